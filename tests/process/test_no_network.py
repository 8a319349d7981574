"""Nothing is fetched: the studio starts, shows its pages and trains in a network namespace that has no route out."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.collect import pebblo
from app.config import ROOT

pytestmark = pytest.mark.timeout(300)

INSIDE = """
import fcntl, json, socket, struct, sys
from pathlib import Path

import httpx

# A new namespace has its loopback down: name it and set it up and running (SIOCSIFFLAGS, IFF_UP | IFF_RUNNING).
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plug:
    fcntl.ioctl(plug, 0x8914, struct.pack("16sH14s", b"lo", 0x1 | 0x40, b""))
try:
    socket.create_connection(("192.0.2.1", 80), timeout=2)
    sys.exit("there is a way out")
except OSError:
    pass

from tests.studio import Studio, until

studio = Studio(Path(sys.argv[1]))
client = httpx.Client(base_url=studio.address, headers={"X-LoRA-Studio": "1"}, timeout=30)
pages = {path: client.get(path).status_code for path in ("/", "/projects/new", "/bases", "/runs", "/docs")}
project = client.post("/api/projects", json={"name": "Pebblo", "purpose": "character"}).json()
picture = Path(sys.argv[2])
client.post(
    f"/projects/{project['id']}/images", content=picture.read_bytes(), headers={"X-File-Name": picture.name}
).raise_for_status()
bases = client.get("/api/bases").json()
until(lambda: client.get("/api/bases").json()[0]["sha256"], "the hash", 30)
settings = {"optimization.steps": "2", "sampling.inference_steps": "2", "prompts": "pebblo"}
run = client.post(f"/api/projects/{project['id']}/runs", json={"base_id": bases[0]["id"], "settings": settings}).json()
until(lambda: client.get(f"/api/runs/{run['id']}").json()["outcome"], "the run", 150)
facts = client.get(f"/api/runs/{run['id']}").json()
studio.end()
print(json.dumps({"pages": pages, "status": facts["status"], "reason": facts["reason"]}))
"""


def can_unshare() -> bool:
    """Whether this machine lets us make a network namespace."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_unshare(), reason="needs the right to make a network namespace (root on Linux)")
def test_the_whole_way_without_a_network(tmp_path: Path) -> None:
    name, data, _ = pebblo.drawings()[0]
    (tmp_path / name).write_bytes(data)
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", INSIDE, str(tmp_path / "studio"), str(tmp_path / name)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert set(answer["pages"].values()) == {200}
    assert answer["status"] == "completed", answer["reason"]
