"""The command as a whole: its options, its exit codes, and what it imports."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sharedstate import __version__
from sharedstate.cli import exits, main

Command = Callable[..., Any]
DOCUMENTATION = Path(__file__).parents[3] / "docs" / "cli.md"


def test_the_help_lists_every_exit_code(run: Command) -> None:
    text = run("--help").out
    for code, meaning in exits.TABLE.items():
        assert f"{code}  {meaning}" in text


def test_the_documentation_lists_every_exit_code_and_command(run: Command) -> None:
    from sharedstate.cli.app import application

    text = DOCUMENTATION.read_text()
    for code, meaning in exits.TABLE.items():
        assert f"| {code} | {meaning} |" in text
    for name in application.commands:
        assert f"sharedstate {name}" in text


def test_the_version_is_told(run: Command) -> None:
    assert run("--version").out == f"sharedstate, version {__version__}\n"


def test_an_option_after_the_command_counts_more(run: Command, store_url: str) -> None:
    ended = run("--url", "redis://127.0.0.1:1", "ping", "--url", store_url)
    assert ended.code == 0


def test_ping_times_the_store(on_store: Command, store_url: str) -> None:
    assert on_store("ping").out.startswith(f"{store_url} answered 5 times, in ")
    answer = on_store("ping", "--count", "2", "--json").data
    assert answer["count"] == 2
    assert 0 < answer["median_ms"] < 1000


def test_an_unreachable_store_has_an_exit_code_of_its_own(
    run: Command, tmp_path: Path
) -> None:
    ended = run("ping", "--url", f"redis+unix://{tmp_path}/nobody.sock")
    assert (ended.code, ended.out) == (3, "")
    assert "nobody.sock" in ended.err


@pytest.mark.parametrize("url", ["beam://up", "no url at all"])
def test_a_wrong_url_is_an_error_of_usage(run: Command, url: str) -> None:
    ended = run("ping", "--url", url)
    assert ended.code == 2
    assert ended.err.startswith("sharedstate: ")


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_a_missing_library_is_told_in_one_line(missing: str) -> None:
    program = (
        f"import sys; sys.modules[{missing!r}] = None; "
        "from sharedstate.cli import main; sys.exit(main(['plugins']))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr == (
        f"sharedstate: the command needs the package {missing}, which is not installed: "
        'pip install "sharedstate[cli]"\n'
    )


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = subprocess.Popen(
        [sys.executable, "-m", "sharedstate", "plugins"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stdout is not None
    assert command.stderr is not None
    command.stdout.close()
    assert command.stderr.read() == ""
    command.stderr.close()
    assert command.wait() == 0


def test_importing_the_package_imports_nothing_of_the_command() -> None:
    program = "import sharedstate, sys; print({'click', 'rich'} & sys.modules.keys())"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "set()\n"


def test_ctrl_c_has_an_exit_code_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from sharedstate.cli.store import Choice

    def interrupt(self: Choice) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Choice, "connect", interrupt)
    assert main(["ping"]) == 130


def test_the_server_answers_for_its_own_options(run: Command) -> None:
    ended = run("serve", "--help")
    assert ended.code == 0
    for option in ("--port", "--bind", "--unix", "--dir", "--password-file"):
        assert option in ended.out
    assert run("serve", "--port", "many").code == 2


def test_the_server_serves_until_it_is_told_to_end(run: Command, tmp_path: Path) -> None:
    socket = tmp_path / "s.sock"
    server = subprocess.Popen(
        [sys.executable, "-m", "sharedstate", "serve", "--unix", str(socket)],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    try:
        assert "ready" in server.stderr.readline()
        assert run("ping", "--url", f"server+unix://{socket}").code == 0
    finally:
        server.terminate()
        server.communicate()
    assert server.returncode == 0
