"""The GPU as its driver's tool tells it; none without the tool, or when it fails or talks nonsense."""

from pathlib import Path

import pytest

from app.launch.gpu import DRIVER_TOOL, ask_driver


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo 8192\necho 24576", 8192 * 2**20),
        ("echo '[N/A]'", None),
        ("echo", None),
        ("echo no devices were found; exit 6", None),
    ],
)
def test_the_drivers_tool_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, expected: int | None
) -> None:
    tool = tmp_path / DRIVER_TOOL
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert ask_driver() == expected


def test_without_the_tool_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ask_driver() is None
