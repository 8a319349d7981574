"""kill -9 of whoever writes the store: every caption that was acknowledged is there, and the file is whole."""

import sqlite3
import subprocess
import sys
from contextlib import closing

from app.config import ROOT
from app.store import images
from app.store.db import write
from app.store.images import NewImage
from tests.process.conftest import Studio, kill

KILLS = 30
ACKS_BEFORE_KILL = 3
# Imports once and forks its writers, which saves most of their time; nothing of the store is open before the fork.
WRITERS = """
import itertools, os, sys
from pathlib import Path
from app.store import captions
from app.store.db import open_engine, write

def write_captions(life, image_ids):
    engine = open_engine(Path(sys.argv[1]))
    print(f"pid|{os.getpid()}", flush=True)
    for number in itertools.count():
        image_id, text = image_ids[number % len(image_ids)], f"life {life} word {number}"
        with write(engine) as session:
            captions.save(session, image_id, text, "you")
        print(f"{image_id}|{text}", flush=True)

for life in range(int(sys.argv[2])):
    pid = os.fork()
    if not pid:
        write_captions(life, [int(each) for each in sys.argv[3:]])
    os.waitpid(pid, 0)
"""


def live_and_die(studio: Studio, image_ids: list[int]) -> list[tuple[int, str]]:
    """Kill writer after writer, each after a few acknowledged captions, and return all they acknowledged, in order."""
    command = [sys.executable, "-c", WRITERS, str(studio.settings.store_path), str(KILLS), *map(str, image_ids)]
    acknowledged: list[tuple[int, str]] = []
    pid, left = 0, 0
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writers:
        assert writers.stdout is not None
        for line in writers.stdout:
            who, _, text = line.rstrip("\n").partition("|")
            if who == "pid":
                pid, left = int(text), ACKS_BEFORE_KILL + len(acknowledged) % 4
                continue
            acknowledged.append((int(who), text))
            left -= 1
            if left == 0:
                kill(pid)
    assert writers.returncode == 0
    return acknowledged


def test_acknowledged_captions_survive_kill_9(studio: Studio) -> None:
    with write(studio.engine) as session:
        pictures = [NewImage(f"{n:064x}", "png", 1, 64, 64, f"{n}.png") for n in range(3)]
        image_ids = [images.add(session, studio.project_id, each, None, "you")[0].id for each in pictures]
    acknowledged = live_and_die(studio, image_ids)
    assert len(acknowledged) >= KILLS * ACKS_BEFORE_KILL
    with closing(sqlite3.connect(studio.settings.store_path)) as connection:
        assert connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        history = connection.execute("SELECT noun_id, json_extract(after, '$') FROM history WHERE noun = 'caption'")
        written = history.fetchall()
        captions = dict(connection.execute("SELECT image_id, text FROM caption").fetchall())
    assert set(acknowledged) <= set(written)
    # Caption and history are one: the last change written down is the caption that stands.
    assert captions == dict(written)
