"""`sharedstate serve`: its own options, and the settings of redis.conf beside them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import sharedstate
from sharedstate.errors import ConfigError
from tests.unit.server.joined import joining
from tests.unit.server.started import WAIT_SECONDS, client, free_port

_SERVE = (sys.executable, "-m", "sharedstate", "serve")


@contextmanager
def serving(folder: Path, *words: str) -> Iterator[str]:
    """A server in the foreground. Yields what it says when it is ready."""
    process = subprocess.Popen(
        [*_SERVE, *words], cwd=folder, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        yield process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_SECONDS) == 0
    finally:
        process.kill()
        process.communicate()


def refusal(folder: Path, *words: str) -> tuple[int, str]:
    """The exit code and the reason of a server that does not start."""
    ended = subprocess.run(
        [*_SERVE, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stderr


def test_a_free_port_is_taken_and_written_down(tmp_path: Path) -> None:
    with serving(tmp_path, "--port", "0", "--port-file", "port") as said:
        port = int((tmp_path / "port").read_text())
        assert f"ready on 127.0.0.1:{port}" in said
        assert client(port).config_get("port") == {"port": str(port)}
        assert client(port).info("server")["tcp_port"] == port


def test_a_socket_means_no_port(tmp_path: Path) -> None:
    with serving(tmp_path, "--unix", "s") as said:
        assert "ready on a Unix socket" in said
        assert client(path=tmp_path / "s").config_get("port") == {"port": "0"}


def test_a_folder_holds_the_socket_of_its_server(tmp_path: Path) -> None:
    with serving(tmp_path, "--dir", "inner"):
        assert client(path=tmp_path / "inner" / "server.sock").ping()


def test_settings_come_from_a_file_and_from_options(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "x.conf").write_text(f"port {port}\nmaxmemory 1mb\nhz 20\nmaxclients 5\n")
    words = ("--config", "x.conf", "--set", "hz=30", "--set", "lfu-log-factor=3")
    with serving(tmp_path, *words, "--max-clients", "7") as said:
        assert f":{port}" in said
        wanted = {
            "maxmemory": "1048576",
            "hz": "30",
            "lfu-log-factor": "3",
            "maxclients": "7",
        }
        assert client(port).config_get(*wanted) == wanted
        client(port).config_set("maxmemory", "2mb")
        assert client(port).config_rewrite()
    assert "maxmemory 2mb\n" in (tmp_path / "x.conf").read_text()


def test_a_password_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "password").write_text('a "b" c\n')
    with serving(tmp_path, "--unix", "s", "--password-file", "password"):
        assert client(path=tmp_path / "s", password='a "b" c').ping()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--bind", "0.0.0.0", "--port", "0"), "without a password"),
        (("--set", "bind=127.0.0.1 0.0.0.0", "--port", "0"), "without a password"),
        (("--set", "hz=x"), "couldn't be parsed into an integer"),
        (("--set", "nothing=1"), "Bad directive"),
        (("--set", "daemonize=yes"), "sharedstate-server"),
        (("--config", "nothing.conf"), "No such file"),
        (("--password", ""), "an empty one"),
        (("--unix", "x" * 120), "AF_UNIX path too long"),
    ],
)
def test_what_cannot_be_is_told(
    tmp_path: Path, words: tuple[str, ...], reason: str
) -> None:
    code, said = refusal(tmp_path, *words)
    assert code == 1
    assert reason in said


def test_wrong_usage_has_a_code_of_its_own(tmp_path: Path) -> None:
    assert refusal(tmp_path, "--set", "hz")[0] == 2
    assert refusal(tmp_path, "--port", "70000")[0] == 2
    code, said = refusal(tmp_path, "--max-clients", "0")
    assert code == 2
    assert "expected a number from 1 on, got '0'" in said


@pytest.mark.parametrize(
    ("level", "pair"),
    [
        ("always", "appendonly=no"),
        ("none", "appendonly=no"),
        ("none", "appendfsync=always"),
        ("always", "APPENDFSYNC=no"),
    ],
)
def test_a_durability_that_other_arguments_rule_out_is_wrong_usage(
    tmp_path: Path, level: str, pair: str
) -> None:
    words = ("--dir", "d", "--durability", level, "--set", pair)
    code, said = refusal(tmp_path, *words)
    assert code == 2
    assert f"--durability {level}" in said
    assert pair.partition("=")[0].lower() in said


def test_a_file_may_rule_a_durability_out_too(tmp_path: Path) -> None:
    (tmp_path / "x.conf").write_text("appendonly no\n")
    words = ("--dir", "d", "--durability", "second", "--config", "x.conf")
    code, said = refusal(tmp_path, *words)
    assert code == 2
    assert "appendonly no" in said


def test_a_durability_wins_over_a_file_and_may_be_said_twice(tmp_path: Path) -> None:
    (tmp_path / "x.conf").write_text("appendfsync no\n")
    words = ("--durability", "always", "--set", "appendfsync=always")
    with serving(tmp_path, "--dir", "d", *words, "--config", "x.conf"):
        shown = client(path=tmp_path / "d" / "server.sock").config_get("appendfsync")
        assert shown == {"appendfsync": "always"}


def test_a_folder_that_is_served_already_is_told_with_the_way_out(tmp_path: Path) -> None:
    with serving(tmp_path, "--dir", "d"):
        code, said = refusal(tmp_path, "--dir", "d")
    assert code == 1
    assert f"the folder {tmp_path / 'd'} is in use by a server, pid " in said
    assert f"local://{tmp_path / 'd'} start one" in said
    assert "End them" in said


def test_a_file_in_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "d").touch()
    code, said = refusal(tmp_path, "--dir", "d")
    assert code == 1
    assert f"{tmp_path / 'd'} is a file" in said


def test_a_program_may_require_that_a_served_folder_keeps_its_data(
    tmp_path: Path,
) -> None:
    url = f"local://{tmp_path / 'd'}"
    with serving(tmp_path, "--dir", "d", "--set", "appendonly=no"):
        with sharedstate.connect(url) as state:
            assert state.ping() is not None
        with pytest.raises(ConfigError, match="lacks what is required: persistence"):
            sharedstate.connect(url, require={"persistence"})
    with (
        serving(tmp_path, "--dir", "d"),
        sharedstate.connect(url, require={"persistence"}) as state,
    ):
        assert state.ping() is not None


def test_a_program_may_require_that_a_folder_of_its_own_keeps_its_data(
    tmp_path: Path,
) -> None:
    with joining(tmp_path / "d") as join:
        assert join(require={"persistence"}).ping() is not None


def test_a_program_is_told_that_its_folder_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "d").touch()
    for path in (tmp_path / "d", tmp_path / "d" / "inner"):
        with pytest.raises(ConfigError, match=f"{path} is a file, or lies in one"):
            sharedstate.connect(f"local://{path}")


def test_every_place_is_told(tmp_path: Path) -> None:
    port = free_port()
    words = ("--set", "bind=127.0.0.1 -::1", "--unix", "s", "--port", str(port))
    with serving(tmp_path, *words) as said:
        assert said.rstrip().endswith(f"ready on 127.0.0.1:{port}, a Unix socket")


def test_a_setting_may_be_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, "--unix", "s", "--set", "save=", "--set", "requirepass="):
        assert client(path=tmp_path / "s").config_get("save") == {"save": ""}
