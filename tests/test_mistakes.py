"""Mistakes of users are answered at once, by an error that says what was wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sharedstate
from sharedstate.errors import CommandError, ConfigError, WorkerError
from sharedstate.testing.servers import BuiltInServer


def test_joining_a_pool_that_was_never_started_does_not_wait_for_ever() -> None:
    with sharedstate.connect("local://") as state:
        pool = sharedstate.WorkerPool(state, print, workers=1)
        with pytest.raises(WorkerError, match="never started"):
            pool.join()


@pytest.mark.parametrize(
    "arguments",
    [
        {"function": None},
        {"state": None},
        {"workers": 1.5},
        {"workers": True},
        {"workers": "2"},
        {"restarts": "x"},
        {"on_exit": 5},
    ],
)
def test_a_pool_refuses_what_could_only_fail_later(arguments: dict[str, Any]) -> None:
    with sharedstate.connect("local://") as state:
        given: dict[str, Any] = {"state": state, "function": print} | arguments
        with pytest.raises(TypeError, match="expected"):
            sharedstate.WorkerPool(given.pop("state"), given.pop("function"), **given)


@pytest.mark.parametrize("arguments", [["--password", ""], ["--max-clients", "0"]])
def test_serve_refuses_options_that_cannot_be_meant(arguments: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "sharedstate_server", "--port", "0", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode in (1, 2)
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("url", ["local:///", "local:///proc/nope"])
def test_a_folder_that_cannot_be_used_is_a_config_error(url: str) -> None:
    with pytest.raises(ConfigError, match="folder"):
        sharedstate.connect(url)


def test_a_file_in_the_place_of_a_folder_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot use the folder"):
        sharedstate.connect(f"local://{tmp_path}/file")


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 1e300},
        {"connect_timeout": 1e10},
        {"namespace": "\ud800"},
        {"serializer": "pickle"},
        {"serializer": "pickle", "pickle_key": "short"},
        {"serializer": "pickle", "pickle_key_file": "/nope"},
        {"serializer": "pickle", "pickle_key": "k" * 32, "pickle_key_file": "/nope"},
    ],
)
def test_what_cannot_work_is_said_by_connect(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        sharedstate.connect("memory://", **options)


@pytest.mark.parametrize(
    "use",
    [
        lambda state: state.map("\ud800"),
        lambda state: state.structure(None, "a"),
        lambda state: state.names("zz"),
        lambda state: state.delete("zz", "a"),
    ],
)
def test_names_and_kinds_that_cannot_be_are_config_errors(
    use: Callable[[sharedstate.State], object],
) -> None:
    with sharedstate.connect("memory://") as state, pytest.raises(ConfigError):
        use(state)


@pytest.mark.parametrize(
    "use",
    [
        lambda state: state.queue("q").get(timeout="x"),
        lambda state: state.lock("a").acquire(timeout="x"),
        lambda state: state.lock("a", ttl="30s"),
        lambda state: state.lock("a", ttl=None),
    ],
)
def test_a_duration_that_is_none_is_a_type_error(
    use: Callable[[sharedstate.State], object],
) -> None:
    with (
        sharedstate.connect("memory://") as state,
        pytest.raises(TypeError, match="expected a duration"),
    ):
        use(state)


@pytest.mark.parametrize("password", [None, "wrong"])
def test_a_login_that_is_refused_says_where_and_what_to_do(password: str | None) -> None:
    with (
        BuiltInServer("--password", "right") as server,
        pytest.raises(CommandError, match=r"server.*check username and password|WRONGPASS"),
    ):
        sharedstate.connect(server.url, password=password)
