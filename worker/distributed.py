"""Several processes on one run folder: `accelerate launch -m worker.distributed DIR`, as the user configured it."""

import os
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from filelock import FileLock

from app.contract.events import Claimed, EventLog
from app.contract.lean import read_run_spec
from app.contract.rundir import RunDir
from app.contract.state import read_state
from worker.child import Telling
from worker.closing import Closing
from worker.context import RunContext
from worker.errors import COMPLETED, STOPPED
from worker.run import CHILD_ENV, EXIT_BUSY, EXIT_NO_RUN, Busy, conclude, held, judge
from worker.team import SilentLog, Team

PATIENCE = timedelta(hours=6)
"""While the leader draws samples the others wait."""

NOBODY = -1
OVER = 0


def main(arguments: Sequence[str]) -> int:
    """Train the run in the folder together with the other processes that the launcher started. Returns an exit code."""
    if len(arguments) != 1 or not RunDir(Path(arguments[0])).spec.is_file():
        print("Name one run folder: accelerate launch -m worker.distributed DIR", file=sys.stderr)
        return EXIT_NO_RUN
    os.environ.update(CHILD_ENV)
    closing = Closing()
    closing.listen()
    team = join()
    print(f"Process {team.rank + 1} of {team.size} is here.", file=sys.stderr)
    run_dir = RunDir(Path(arguments[0]).absolute())
    code = _lead(run_dir, team, closing) if team.is_leader else _follow(run_dir, team, closing)
    if code == COMPLETED and dist.is_initialized():
        dist.destroy_process_group()
    return code


def join() -> Team:
    """Meet the other processes that the launcher named in the environment; without any this process is alone."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Team()
    has_gpus = torch.cuda.is_available() and os.environ.get("ACCELERATE_USE_CPU", "").lower() not in ("1", "true")
    if has_gpus:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if has_gpus else "gloo", timeout=PATIENCE)
    return Team(dist.get_rank(), size, dist.new_group(backend="gloo", timeout=PATIENCE))


def _lead(run_dir: RunDir, team: Team, closing: Closing) -> int:
    try:
        with held(run_dir), FileLock(run_dir.lock, timeout=0):
            state = read_state(run_dir.events)
            attempt = OVER if state.is_over else state.attempt + 1
            _agree(team, attempt)
            return _attempt(run_dir, attempt, team, closing) if attempt else COMPLETED
    except Busy as busy:
        _agree(team, NOBODY)
        print(busy, file=sys.stderr)
        return EXIT_BUSY


def _attempt(run_dir: RunDir, attempt: int, team: Team, closing: Closing) -> int:
    log = EventLog(run_dir.events, attempt)
    log.append(Claimed(worker=f"together-{os.getpid()}", pid=os.getpid()))
    code = _train(run_dir, EventLog(run_dir.events, attempt), attempt, team, closing)
    result = conclude(run_dir, attempt, judge(run_dir, attempt, code, "interrupt" if closing() else None))
    print(f"{result.outcome or 'interrupted'}. {result.reason} {result.hint}".strip(), file=sys.stderr)
    return COMPLETED if code == STOPPED else code


def _follow(run_dir: RunDir, team: Team, closing: Closing) -> int:
    attempt = _agree(team, NOBODY)
    if attempt == OVER:
        return COMPLETED
    if attempt == NOBODY:
        return EXIT_BUSY
    code = _train(run_dir, SilentLog(), attempt, team, closing)
    return COMPLETED if code == STOPPED else code


def _train(run_dir: RunDir, log: EventLog, attempt: int, team: Team, closing: Closing) -> int:
    from worker.train import train  # noqa: PLC0415 - after the environment says that nothing is downloaded

    with Telling(log) as telling:
        spec = read_run_spec(run_dir)
        train(RunContext(run_dir, spec, log, attempt, run_dir.stop.exists, closing), team)
    return telling.exit_code


def _agree(team: Team, attempt: int) -> int:
    """Return the leader's attempt in every process."""
    said = torch.tensor(attempt)
    if team.size > 1:
        dist.broadcast(said, src=0, group=team.control)
    return int(said)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
