"""The command that opens the demos: both projects stand there, also after a second start."""

import re
from pathlib import Path

import httpx

from tests.studio import Studio


def test_the_demos_are_there_after_one_command_and_once(tmp_path: Path) -> None:
    data = tmp_path / "studio"
    for _ in range(2):
        studio = Studio(data, "--no-worker", command="demo")
        try:
            home = httpx.get(studio.address, timeout=30).text
        finally:
            studio.end()
        assert set(re.findall(r'href="(/projects/\d+)"', home)) == {"/projects/1", "/projects/2"}
        assert "Demo: OpenMoji style" in home
        assert "Demo: Pebblo" in home
        assert "Open the demo" not in home
