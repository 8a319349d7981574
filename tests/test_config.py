"""Settings from the environment, and the folders they make."""

from pathlib import Path

import pytest

from app.config import ROOT, Settings


def test_nothing_set_means_home_and_loopback() -> None:
    settings = Settings.from_env({})
    assert settings == Settings(data=Path.home() / "lora-studio", host="127.0.0.1", port=7870, token=None)


def test_everything_can_be_set() -> None:
    env = {
        "LORA_STUDIO_DATA": "~/elsewhere",
        "LORA_STUDIO_HOST": "0.0.0.0",
        "LORA_STUDIO_PORT": "80",
        "LORA_STUDIO_TOKEN": "secret",
    }
    settings = Settings.from_env(env)
    assert settings == Settings(data=Path.home() / "elsewhere", host="0.0.0.0", port=80, token="secret")


@pytest.mark.parametrize("text", ["x", "-1", "65536", "7870 ", "７８７０", "1.5"])
def test_a_port_that_is_none_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is not a port"):
        Settings.from_env({"LORA_STUDIO_PORT": text})


def test_folders_are_made_for_their_owner_alone_and_twice_without_harm(settings: Settings) -> None:
    settings.make_folders()
    settings.make_folders()
    made = [settings.data, *settings.data.iterdir()]
    assert {path.name for path in made[1:]} == {"blobs", "thumbs", "runs", "backups", "models"}
    assert {path.stat().st_mode & 0o777 for path in made} == {0o700}


def test_paths_lie_in_the_data_folder(settings: Settings) -> None:
    for path in (settings.store_path, settings.blobs, settings.lock_path, settings.server_path):
        assert path.is_relative_to(settings.data)
    assert (ROOT / "pyproject.toml").is_file()
