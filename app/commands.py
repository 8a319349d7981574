"""The jobs behind the command line: each takes settings and parsed arguments and returns an exit code."""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.collect import demo
from app.collect.decoders import Decoders
from app.collect.imports import OUTCOME_LABELS, Outcome
from app.collect.imports import import_paths as import_files
from app.config import Settings
from app.contract.spec import TrainSpec
from app.contract.state import read_state
from app.errors import Invalid, NotFound
from app.export.datasets import export_dataset, layout_of
from app.export.items import read_items, read_options
from app.export.lora import hand_over
from app.facts import RunFacts, newest_run, run_facts
from app.inspect.reading import read_facts
from app.inspect.rules import inspect
from app.launch.base_scan import scan
from app.launch.bases import hash_base, read_at
from app.launch.draft import draft, refused
from app.launch.start import read_settings, run_dir, start_training
from app.launch.subject import subject_of
from app.store import bases, projects, runs
from app.store.db import migrate, open_engine, read, write
from app.store.models import Base, Project, Run
from app.store.workers import live_workers
from app.worker_process import WorkerProcess, worker_command

POLL_S = 0.5


def open_store(settings: Settings) -> Engine:
    """Make the data folder, readable by its owner alone, bring the store up to date and open it."""
    os.umask(0o077)
    settings.make_folders()
    migrate(settings)
    return open_engine(settings.store_path)


def say(message: str) -> None:
    """Tell a person something without touching standard output."""
    print(message, file=sys.stderr, flush=True)


def answer(facts: object) -> None:
    """Print one JSON document on standard output."""
    data = facts.model_dump(mode="json") if isinstance(facts, BaseModel) else facts
    # A terminal or pipe of another encoding must not fail on a name when the work is done already.
    is_utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    print(json.dumps(data, ensure_ascii=not is_utf8, indent=2, default=str))


def project_named(session: Session, name: str) -> Project:
    """Find a project. Raises NotFound listing those that exist."""
    if found := projects.by_name(session, name):
        return found
    known = ", ".join(card.name for card in projects.cards(session)) or "none yet"
    raise NotFound(f"There is no project called {name}.", f"Projects: {known}.")


def import_paths(settings: Settings, arguments: argparse.Namespace) -> int:
    """`import`: take pictures in; exit 1 when a file was refused."""
    engine = open_store(settings)
    for path in arguments.paths:
        if not path.exists():
            raise Invalid(f"{path} does not exist.", "Give files or folders with images.")
    with write(engine) as session:
        project = projects.by_name(session, arguments.project) or projects.create(
            session, arguments.project, arguments.purpose or "style", arguments.trigger, None
        )
        project_id = project.id
    outcomes: list[Outcome] = []

    def count(outcome: Outcome, total: int) -> None:
        outcomes.append(outcome)
        reason = f": {outcome.reason}" if outcome.reason else ""
        say(f"[{len(outcomes)}/{total}] {outcome.name} — {OUTCOME_LABELS[outcome.status]}{reason}")

    import_files(settings, engine, project_id, [path.absolute() for path in arguments.paths], on_outcome=count)
    refused = [outcome for outcome in outcomes if outcome.status == "refused"]
    say(f"{len(outcomes) - len(refused)} of {len(outcomes)} files are in {arguments.project}.")
    if arguments.json:
        answer({"project": arguments.project, "files": [asdict(outcome) for outcome in outcomes]})
    return 1 if refused else 0


def check(settings: Settings, arguments: argparse.Namespace) -> int:
    """`check`: inspect a dataset; exit 1 when a finding is an error."""
    engine = open_store(settings)
    with read(engine) as session:
        project = project_named(session, arguments.project)
        facts = read_facts(session, settings, project.id)
    findings = inspect(facts)
    for finding in findings:
        say(f"{finding.severity}: {finding.name}: {finding.reason} {finding.fix}")
    say(f"{len(facts.rows)} images, {len(findings)} findings.")
    if arguments.json:
        answer(
            {
                "project": project.name,
                "images": len(facts.rows),
                "findings": [asdict(finding) for finding in findings],
            }
        )
    return 1 if any(finding.severity == "error" for finding in findings) else 0


def train(settings: Settings, arguments: argparse.Namespace) -> int:
    """`train`: queue a run, and with --wait stay until it is over; exit 1 unless it completes."""
    engine = open_store(settings)
    scan_listed(engine, settings)
    texts = dict(_pair(text) for text in arguments.set)
    with read(engine) as session:
        project = project_named(session, arguments.project)
        base_id = project.base_id
    base = hashed(engine, chosen_base(engine, arguments.base, base_id))
    with read(engine) as session:
        subject = subject_of(session, project.id, base)
    made = draft(subject, arguments.preset, texts)
    if made.spec is None:
        raise refused(made)
    run = start_training(settings, engine, project.id, made.spec)
    say(f"Queued {run.name} as {run.dir}.")
    if arguments.wait:
        wait(settings, engine, run)
    elif not live_workers(settings.data):
        say("No worker is up: start one with `lora-studio serve` or `lora-studio worker`.")
    with read(engine) as session:
        facts = run_facts(settings, runs.get(session, run.id))
    if arguments.json:
        answer(facts)
    return 1 if arguments.wait and facts.status != "completed" else 0


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise Invalid(f"--set {text} has no value.", "Write it as KEY=VALUE.")
    return key.strip(), value


def scan_listed(engine: Engine, settings: Settings) -> None:
    """List the bundled base and those of the data folder when nothing has been listed yet."""
    with read(engine) as session:
        is_listed = bool(bases.listed(session))
    if not is_listed:
        scan(engine, settings.models)


def chosen_base(engine: Engine, wanted: str | None, base_id: int | None) -> Base:
    """The base named on the command line (listing it when it is a new path), the project's, or the bundled one."""
    if wanted and Path(wanted).exists():
        with write(engine) as session:
            bases.add_found(session, read_at(Path(wanted).absolute()))
    with read(engine) as session:
        if wanted:
            name = str(Path(wanted).absolute()) if Path(wanted).exists() else wanted
            return bases.by_name_or_path(session, name)
        if base_id:
            return bases.get(session, base_id)
        return next(base for base in bases.listed(session) if base.is_bundled)


def hashed(engine: Engine, base: Base) -> Base:
    """Return the base with its hash, reading its files when they have not been hashed yet."""
    if base.sha256:
        return base
    say(f"Hashing {base.name} …")
    digest = hash_base(Path(base.path))
    with write(engine) as session:
        bases.set_hash(session, base.id, digest)
        return bases.get(session, base.id)


def wait(settings: Settings, engine: Engine, run: Run) -> None:
    """Stay until a run is over, telling its progress; brings a worker along when none is up."""
    shown = ""
    own: WorkerProcess | None = None
    try:
        while True:
            with read(engine) as session:
                facts = run_facts(settings, runs.get(session, run.id))
            if (line := progress_line(facts)) != shown:
                say(line)
                shown = line
            if facts.status not in ("queued", "running"):
                return
            if own is None and not live_workers(settings.data):
                own = WorkerProcess(worker_command(settings))
                own.start()
            time.sleep(POLL_S)
    finally:
        if own is not None:
            own.stop()


def progress_line(facts: RunFacts) -> str:
    """One line on where a run stands."""
    if facts.outcome:
        return f"{facts.name}: {facts.status}. {facts.reason} {facts.hint}".strip()
    if facts.phase != "training":
        return f"{facts.name}: {facts.phase or facts.status}"
    loss = f", loss {facts.loss:.4f}" if facts.loss is not None else ""
    left = f", {facts.eta_s:.0f} s left" if facts.eta_s is not None else ""
    return f"{facts.name}: step {facts.step}/{facts.steps}{loss}{left}"


def export(settings: Settings, arguments: argparse.Namespace) -> int:
    """`export`: a LoRA with sidecar and preview, or with --dataset the pictures and captions.

    Exit 1 when an image could not be read and was left out.
    """
    engine = open_store(settings)
    to = arguments.to.expanduser().absolute()
    with read(engine) as session:
        project = project_named(session, arguments.project)
        run = _chosen_run(session, project, arguments.run) if not arguments.dataset else None
    if run is None:
        written: Mapping[str, Any] = _export_dataset(settings, engine, project.id, arguments, to)
    else:
        folder = run_dir(settings, run)
        spec = read_settings(folder, run.name)
        if not isinstance(spec, TrainSpec):
            raise Invalid(f"{run.name} drew images and has no LoRA.", "Name a training run.")
        written = asdict(hand_over(folder, spec, read_state(folder.events), arguments.step, to))
    gaps = written.get("left_out") or ()
    say("\n".join(f"{key}: {value}" for key, value in written.items() if key != "left_out"))
    for gap in gaps:
        say(f"left out: {gap['name']}: {gap['reason']}")
    if arguments.json:
        answer(written)
    return 1 if gaps else 0


def _export_dataset(
    settings: Settings, engine: Engine, project_id: int, arguments: argparse.Namespace, to: Path
) -> Mapping[str, Any]:
    with read(engine) as session:
        items = read_items(session, settings, project_id)
        options = read_options(session, project_id)
    chosen = replace(
        options,
        leads_with_trigger=arguments.lead_with_trigger,
        as_utf8=arguments.utf8,
        root="" if to.suffix == ".zip" else to.as_posix(),
    )

    def count(done: int) -> None:
        if done % 100 == 0 or done == len(items):
            say(f"[{done}/{len(items)}]")

    decoders = Decoders(settings)
    try:
        return asdict(export_dataset(items, layout_of(arguments.dataset), chosen, to, count, decoders))
    finally:
        decoders.close()


def _chosen_run(session: Session, project: Project, wanted: str | None) -> Run:
    if wanted is None:
        if newest := newest_run(session, project.id):
            return newest
        raise NotFound(f"{project.name} has no training run yet.", "Train first.")
    found = [run for run in runs.listed(session, project.id) if wanted in (str(run.id), run.dir, run.name)]
    if not found:
        raise NotFound(f"{project.name} has no run {wanted}.", "Give its number or folder name.")
    return max(found, key=lambda run: run.id)


def make_demos(settings: Settings) -> None:
    """Make the demo projects, unless they are there."""
    engine = open_store(settings)
    scan_listed(engine, settings)
    for each in demo.DEMOS:
        demo.make(settings, engine, each)
