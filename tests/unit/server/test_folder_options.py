"""`durability=`: where it may be given, and who refuses it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import sharedstate
from sharedstate.config import Settings
from sharedstate.errors import ConfigError
from sharedstate.resolve import gather

FOLDER = "local:///var/lib/shop"


def level(settings: Settings) -> tuple[object, str]:
    """The durability that was asked for, and where."""
    return settings.option("durability"), settings.origin("durability")


def test_a_folder_has_the_durability_second_unless_told_otherwise() -> None:
    assert level(gather(FOLDER, environment={})) == ("second", "default")


def test_durability_is_an_argument() -> None:
    settings = gather(FOLDER, {"durability": "always"}, environment={})
    assert level(settings) == ("always", "argument")


def test_durability_stands_in_a_url() -> None:
    settings = gather(f"{FOLDER}?durability=none", environment={})
    assert level(settings) == ("none", "URL of argument")


def test_durability_comes_from_the_environment() -> None:
    settings = gather(FOLDER, environment={"SHAREDSTATE_DURABILITY": "always"})
    assert level(settings) == ("always", "environment SHAREDSTATE_DURABILITY")


def test_durability_comes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "sharedstate.toml"
    file.write_text(f'url = "{FOLDER}"\ndurability = "always"\n')
    assert level(gather(file=file, environment={})) == ("always", f"file {file}")


def test_an_unknown_durability_is_told_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'alway'; did you mean 'always'.*none, second"):
        gather(FOLDER, {"durability": "alway"}, environment={})


@pytest.mark.parametrize("url", ["memory://", "server://db:1", "redis://db:1"])
def test_other_backends_refuse_durability_and_say_why(url: str) -> None:
    with pytest.raises(ConfigError, match="what its own settings say"):
        sharedstate.connect(url, durability="always")


@pytest.mark.parametrize("url", ["local://", "local://?durability=always"])
def test_a_private_server_refuses_to_be_durable(url: str) -> None:
    options = {} if "?" in url else {"durability": "always"}
    with pytest.raises(ConfigError, match=r"private server.*use local:///folder"):
        sharedstate.connect(url, **options)


def test_a_private_server_may_be_told_that_it_is_not_durable() -> None:
    with sharedstate.connect("local://", durability="none") as state:
        assert state.ping() is not None


def test_the_environment_may_speak_of_another_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHAREDSTATE_DURABILITY", "always")
    with sharedstate.connect("local://") as state:
        assert state.counter("hits").add(1) == 1


def test_serving_needs_a_folder_to_be_durable(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "sharedstate", "serve", "--durability", "always"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ended.returncode == 2
    assert "--durability needs --dir" in ended.stderr
