"""The child's last words: what it says when it cannot begin, and of faults that only some systems have."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from app.contract.rundir import RunDir
from worker.child import in_words
from worker.errors import BUSY, OUT_OF_MEMORY, TOLD
from worker.run import ROOT, judge

IMPATIENT = """
import sys
from pathlib import Path
from worker import child

child.PREDECESSOR_S = 0.1
sys.exit(child.main(Path(sys.argv[1]), 1))
"""


def test_a_folder_in_use_is_no_failure_of_the_run(tmp_path: Path) -> None:
    """It may be free at the next attempt; until then the parent repeats what the child said."""
    run_dir = RunDir(tmp_path)
    with FileLock(run_dir.lock), run_dir.log.open("wb") as log:
        command = [sys.executable, "-c", IMPATIENT, str(tmp_path)]
        ended = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)
    assert ended.returncode == BUSY
    assert not run_dir.events.exists()
    result = judge(run_dir, 1, ended.returncode, None)
    assert (result.outcome, result.is_death) == (None, True)
    assert "Another process still works in" in result.reason


@pytest.mark.parametrize(
    ("error", "exit_code", "words"),
    [
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried"), OUT_OF_MEMORY, "not enough memory"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), TOLD, "disk is full"),
    ],
)
def test_faults_of_other_systems_have_words(error: Exception, exit_code: int, words: str) -> None:
    told = in_words(error)
    assert told.exit_code == exit_code
    assert words in told.message
