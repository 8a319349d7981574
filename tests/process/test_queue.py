"""Several workers at one queue: every run is done once, and no two get the same."""

import json
import subprocess
import sys

from app.config import ROOT
from app.contract.events import Claimed, Ended, Queued
from app.store import runs
from app.store.db import write
from app.store.workers import live_workers
from tests.process.conftest import MOMENTS, Studio, claims, kill, until

CLAIMER = """
import json, sys
from pathlib import Path
from app.store import runs
from app.store.db import open_engine, write

engine, name, got = open_engine(Path(sys.argv[1])), sys.argv[2], []
print("ready", flush=True)
sys.stdin.readline()
while True:
    with write(engine) as session:
        run = runs.claim(session, name)
    if run is None:
        break
    got.append(run.id)
print(json.dumps(got))
"""


def test_two_workers_do_forty_runs_once_each(studio: Studio) -> None:
    queued = [studio.queue() for _ in range(40)]
    for _ in range(2):
        studio.start_worker("tick")
    for run in queued:
        assert studio.ends(run).attempt == 1
        assert (run.run_dir.path / "ticks.txt").read_text() == "1\n"
        assert [type(event) for event in run.events] == [Queued, Claimed, Ended]
    assert len({claims(run)[0].worker for run in queued}) == 2


def test_a_dead_workers_run_goes_to_the_one_that_lives(studio: Studio) -> None:
    for _ in range(2):
        studio.start_worker()
    until(lambda: len(live_workers(studio.settings.data)) == 2, "two workers")
    run = MOMENTS[1].reach(studio)
    kill(claims(run)[0].pid)
    studio.ends(run)
    run.completes()
    assert len({claimed.worker for claimed in claims(run)}) == 2


def test_a_claim_is_atomic_across_processes(studio: Studio) -> None:
    with write(studio.engine) as session:
        queued = [runs.create(session, studio.project_id, "train", "toy", f"{n:04d}-toy").id for n in range(60)]
    claimers = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMER, str(studio.settings.store_path), name],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two", "three")
    ]
    for claimer in claimers:
        assert claimer.stdout is not None
        assert claimer.stdout.readline() == "ready\n"
    for claimer in claimers:
        assert claimer.stdin is not None
        claimer.stdin.write("go\n")
        claimer.stdin.flush()
    got = [json.loads(claimer.communicate(timeout=30)[0]) for claimer in claimers]
    assert sorted(run_id for ids in got for run_id in ids) == queued
    assert all(ids == sorted(ids) for ids in got)
