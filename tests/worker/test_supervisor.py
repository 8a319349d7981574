"""What the supervisor does with a run whose results cannot be brought into the store."""

import hashlib

from sqlalchemy import Engine

from app.config import Settings
from app.contract.recipe import Crop
from app.contract.rundir import RunDir, publish
from app.contract.spec import MaskSpec
from app.contract.suggestions import Book, Looked, Subject, book_path, mask_path
from app.store import projects, runs
from app.store.db import read, write
from worker.run import AttemptResult, Attendant
from worker.supervisor import Supervisor


def test_masks_that_cannot_be_moved_fail_their_run_and_not_the_worker(settings: Settings, engine: Engine) -> None:
    settings.make_folders()
    digest = hashlib.sha256(b"mask").hexdigest()
    with write(engine) as session:
        project_id = projects.create(session, "Ink", "style", "ink", None).id
        runs.create(session, project_id, "mask", "Subjects", "0001-subjects")
        run = runs.claim(session, "me")
    assert run is not None
    folder = RunDir(settings.runs / run.dir)
    spec = MaskSpec(name="Subjects", project="Ink", model="u2net", model_path="/models/u2net.onnx")
    publish(folder.spec, spec.model_dump_json().encode())
    publish(mask_path(folder, digest), b"mask")
    seen = Subject(mask_sha256=digest, box=Crop(left=0, top=0, width=9, height=9), share=0.5)
    Book(book_path(folder)).write([Looked(sha256="a" * 64, name="a.png", subject=seen)])
    # Where the folder of the blob should be is a file.
    settings.blob(digest, "png").parent.write_bytes(b"")
    supervisor = Supervisor(settings, engine, Attendant("me", lambda: False))
    supervisor._settle(run, AttemptResult("completed", ""))
    with read(engine) as session:
        ended = runs.get(session, run.id)
    assert ended.status == "failed"
    assert ended.reason.startswith("Its masks cannot be moved into the store: ")
    # Nothing is lost: the mask lies where it was.
    assert mask_path(folder, digest).read_bytes() == b"mask"
