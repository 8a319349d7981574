"""The one command that runs every check."""

import sys
from pathlib import Path

import pytest

from app.checks import Check, checks, find_chromium, lacks, run


def test_every_check_is_there_and_pytest_gets_the_arguments() -> None:
    made = checks(["-k", "one"])
    assert [check.name for check in made] == ["format", "lint", "types", "tests"]
    assert made[-1].command[-4:] == ("--dist", "loadfile", "-k", "one")


def test_a_failed_check_is_told_from_a_good_one(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(Check("good", ("timeit", "-n", "1", "-r", "1", "pass")))[0] is True
    assert run(Check("bad", ("no_such_module_anywhere",)))[0] is False
    out = capfd.readouterr().out
    assert out.index("== good: timeit") < out.index("== bad: no_such_module_anywhere")


def test_what_the_machine_lacks_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("LORA_STUDIO_CHROMIUM", raising=False)
    assert find_chromium() is None
    browser, gpu = lacks()
    assert "apt install chromium" in browser
    assert "gpu tests are skipped" in gpu
    monkeypatch.setenv("LORA_STUDIO_CHROMIUM", sys.executable)
    assert find_chromium() == sys.executable
