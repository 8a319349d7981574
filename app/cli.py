"""The command line: every job of the studio without a browser.

JSON goes to standard output alone; messages and progress go to standard error. Exit codes: 0 done, 1 the job ended
without what was asked for (a failed run, findings of severity error, refused files), 2 the call itself was wrong, 3
another server has the data folder, 130 it was ended by Ctrl-C.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from app import commands, service
from app.config import ROOT, Settings, read_port
from app.contract.purposes import PURPOSES
from app.errors import AppError
from app.export.datasets import LAYOUTS
from app.worker_process import worker_command


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = parser().parse_args(argv)
    try:
        settings = Settings.from_env()
        if arguments.data:
            settings = replace(settings, data=Path(arguments.data).expanduser().absolute())
        return run(settings, arguments)
    except AppError as error:
        print(f"{error.message} {error.hint}".strip(), file=sys.stderr)
        return 2 if error.status in (404, 409, 422) else 1
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(disk_text(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def disk_text(error: OSError) -> str:
    """Say what the disk or the system refused, and for which file."""
    reason = error.strerror or str(error)
    named = f"{error.filename}: " if error.filename else ""
    return f"{named}{reason}. Check that it is there, that you may use it and that the disk has room."


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Dispatch to the command's function."""
    match arguments.command:
        case "serve" | "demo":
            served = replace(
                settings,
                host=arguments.host or settings.host,
                port=read_port(arguments.port) if arguments.port else settings.port,
                token=arguments.token or settings.token,
                starts_worker=not arguments.no_worker,
            )
            if arguments.command == "demo":
                commands.make_demos(served)
            return service.serve(served, opens_browser=not arguments.no_browser)
        case "worker":
            return subprocess.run(worker_command(settings), cwd=ROOT, check=False).returncode
        case "import":
            return commands.import_paths(settings, arguments)
        case "check":
            return commands.check(settings, arguments)
        case "train":
            return commands.train(settings, arguments)
        case _:
            return commands.export(settings, arguments)


def parser() -> argparse.ArgumentParser:
    """The grammar of the command line."""
    whole = argparse.ArgumentParser(prog="lora-studio", description="Collect, label, train and review LoRAs.")
    whole.add_argument("--data", metavar="DIR", help="data folder (default: ~/lora-studio)")
    verbs = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, words in (
        ("serve", "start the studio"),
        ("demo", "make the demo projects, then start the studio"),
    ):
        _add_serving(verbs.add_parser(name, help=words, description=words))
    verbs.add_parser("worker", help="run the worker alone, beside a server started with --no-worker")
    _add_import(verbs)
    check = verbs.add_parser("check", help="inspect a project's dataset")
    check.add_argument("project")
    check.add_argument("--json", action="store_true")
    _add_train(verbs)
    _add_export(verbs)
    return whole


def _add_serving(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--host", help="address to listen on; beyond this machine only with a token")
    verb.add_argument("--port", help="port to listen on (0: any free one)")
    verb.add_argument("--token", help="secret that every browser must show; better given as LORA_STUDIO_TOKEN")
    verb.add_argument("--no-browser", action="store_true", help="do not open the page")
    verb.add_argument("--no-worker", action="store_true", help="do not start a worker")


def _add_import(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    verb = verbs.add_parser("import", help="take images and captions into a project, making it if it is new")
    verb.add_argument("project")
    verb.add_argument("paths", nargs="+", metavar="PATH", type=Path)
    verb.add_argument("--purpose", choices=tuple(PURPOSES), help="of a new project (default: style)")
    verb.add_argument("--trigger", default="", metavar="WORD", help="trigger word of a new project")
    verb.add_argument("--json", action="store_true")


def _add_train(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    verb = verbs.add_parser("train", help="queue a training run")
    verb.add_argument("project")
    verb.add_argument("--preset", help="quick, balanced or thorough")
    verb.add_argument("--base", metavar="NAME|PATH", help="base model (default: the project's)")
    verb.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="one setting, such as optimization.steps=500",
    )
    verb.add_argument("--wait", action="store_true", help="stay until the run is over; starts a worker if none is up")
    verb.add_argument("--json", action="store_true")


def _add_export(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    verb = verbs.add_parser("export", help="hand over a LoRA, or the dataset in another tool's layout")
    verb.add_argument("project")
    verb.add_argument("--run", help="run by number or folder name (default: the newest)")
    verb.add_argument("--step", type=int, help="checkpoint (default: the newest)")
    verb.add_argument("--dataset", choices=LAYOUTS, metavar="LAYOUT", help=f"export the dataset: {', '.join(LAYOUTS)}")
    verb.add_argument("--to", required=True, metavar="DIR", type=Path, help="new folder, or a file that ends in .zip")
    verb.add_argument("--lead-with-trigger", action="store_true", help="put the trigger word into captions without it")
    verb.add_argument("--utf8", action="store_true", help="write captions of other encodings anew as UTF-8")
    verb.add_argument("--json", action="store_true")


if __name__ == "__main__":
    sys.exit(main())
