"""The worker's command line: take runs from the queue, run one folder alone, or be the child of either."""

import argparse
import os
import sys
from pathlib import Path


def main() -> int:
    """Parse the call and do it; each way loads only what it needs."""
    arguments = parser().parse_args()
    if arguments.command == "run":
        from worker.run import run_alone  # noqa: PLC0415 - works without a store

        return run_alone(arguments.folder)
    if arguments.command == "child":
        from worker.child import main as be_child  # noqa: PLC0415 - knows no store

        code = be_child(arguments.folder, arguments.attempt)
        sys.stdout.flush()
        sys.stderr.flush()
        # All is written. How native libraries come down shall not change what the parent is told.
        os._exit(code)
    from worker.supervisor import main as supervise  # noqa: PLC0415 - loads the store

    return supervise(arguments.data)


def parser() -> argparse.ArgumentParser:
    """The grammar of the command line."""
    whole = argparse.ArgumentParser(prog="python -m worker", description="Carry out runs on this machine's GPU.")
    whole.add_argument("--data", type=Path, metavar="DIR", help="data folder whose queue to work for")
    verbs = whole.add_subparsers(dest="command", metavar="COMMAND")
    run = verbs.add_parser("run", help="carry out one run folder, without store or server")
    run.add_argument("folder", type=Path)
    child = verbs.add_parser("child", help="one attempt at a run (started by the other two)")
    child.add_argument("folder", type=Path)
    child.add_argument("attempt", type=int)
    return whole


if __name__ == "__main__":
    sys.exit(main())
