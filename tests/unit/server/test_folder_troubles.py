"""`local:///folder` where it cannot be had, and where somebody else serves it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

import sharedstate
from sharedstate.errors import BackendError, ConfigError
from sharedstate.testing.background import wait_until
from sharedstate.testing.servers import BuiltInServer
from tests.privileges import without_privilege
from tests.unit.server.joined import (
    Joiner,
    has_ended,
    joining,
    kill_server,
    kill_servers,
    leave,
    server_of,
    setting,
)

SECONDS = 20.0


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for state, whose server has ended when the test has."""
    yield tmp_path / "state"
    kill_servers(tmp_path / "state")


@pytest.fixture
def join(folder: Path) -> Iterator[Joiner]:
    """Connects to the folder, as one more program would."""
    with joining(folder) as joiner:
        yield joiner


def spoil(folder: Path) -> None:
    """Damage the log of a folder in its middle."""
    (log,) = folder.glob("appendonlydir/*.incr.aof")
    with log.open("r+b") as file:
        file.seek(log.stat().st_size // 2)
        file.write(b"rubbish" * 10)


def test_damaged_data_is_told_with_the_servers_words_and_the_remedy(
    join: Joiner, folder: Path
) -> None:
    state = join(linger=0.05)
    for number in range(100):
        state.map("numbers")[str(number)] = number
    leave(state)
    spoil(folder)
    before = {path: path.read_bytes() for path in folder.glob("appendonlydir/*")}
    with pytest.raises(BackendError) as caught:
        join()
    message = str(caught.value)
    assert str(folder) in message
    assert "sharedstate check" in message
    assert re.search(r"at byte \d+: expected", message)
    assert {path: path.read_bytes() for path in folder.glob("appendonlydir/*")} == before


def test_a_torn_end_is_cut_off_and_the_rest_is_there(join: Joiner, folder: Path) -> None:
    state = join(linger=0.05)
    for _ in range(100):
        state.counter("hits").add(1)
    leave(state)
    (log,) = folder.glob("appendonlydir/*.incr.aof")
    os.truncate(log, log.stat().st_size - 3)
    assert join().counter("hits").value == 99


SAYS_WHY = """
try:
    sharedstate.connect(sys.argv[1])
except sharedstate.SharedStateError as error:
    print(type(error).__name__, error)
"""

FULL = """
import resource, sys
import sharedstate
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
"""


def run(program: str, folder: Path, *, by: tuple[str, ...] = ()) -> str:
    """What a program says that begins so, and connects to the folder."""
    return subprocess.run(
        [*by, sys.executable, "-c", program + SAYS_WHY, f"local://{folder}"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    ).stdout


def test_a_folder_that_takes_no_bytes_is_told_so(folder: Path) -> None:
    # As on a full disk, where the server could not even say why it ended.
    said = run(FULL, folder)
    assert said.startswith("BackendError")
    assert "cannot be written to: File too large" in said


def test_a_read_only_folder_is_told_so(folder: Path) -> None:
    folder.mkdir(mode=0o500)
    said = run("import sys\nimport sharedstate\n", folder, by=without_privilege())
    assert said.startswith("ConfigError cannot use the folder")
    assert "Permission denied" in said


def test_a_folder_that_another_server_uses_is_told_with_its_pid(
    join: Joiner, folder: Path
) -> None:
    folder.mkdir(mode=0o700)
    words = ["--dir", str(folder), "--appendonly", "yes", "--port", "0"]
    socket = folder / "other.sock"
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "sharedstate_server.program"),
            *(*words, "--unixsocket", str(socket)),
        ],
        stdout=subprocess.DEVNULL,
    ) as other:
        try:
            wait_until(socket.exists)
            with pytest.raises(
                BackendError, match=f"in use by another server, pid {other.pid}"
            ):
                join()
        finally:
            other.kill()


# A server that somebody started by `sharedstate serve --dir`.


@pytest.fixture
def serve(folder: Path) -> Iterator[Callable[..., None]]:
    servers: list[subprocess.Popen[str]] = []

    def start(*words: str) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "sharedstate_server", "--dir", folder.name, *words],
            cwd=folder.parent,
            stderr=subprocess.PIPE,
            text=True,
        )
        servers.append(process)
        assert process.stderr is not None
        for line in process.stderr:
            if "ready on" in line:
                return
        raise AssertionError("it did not start")

    yield start
    for process in servers:
        process.kill()
        process.communicate()


def test_a_served_folder_keeps_its_data(serve: Callable[..., None], join: Joiner) -> None:
    serve()
    state = join()
    assert setting(state, "appendfsync") == "everysec"
    state.counter("hits").add(41)
    kill_server(state)
    wait_until(lambda: state.counter("hits").value == 41)


def test_a_served_folder_has_the_durability_of_its_command_line(
    serve: Callable[..., None], join: Joiner
) -> None:
    serve("--durability", "always")
    assert setting(join(), "appendfsync") == "always"


def test_settings_win_over_what_a_served_folder_does_by_itself(
    serve: Callable[..., None], join: Joiner
) -> None:
    serve("--set", "appendonly=no")
    assert setting(join(), "appendonly") == "no"
    with pytest.raises(ConfigError, match=r"cannot keep 'always'.*appendonly no"):
        join(durability="always")


def test_a_program_may_require_that_a_server_keeps_its_data(
    serve: Callable[..., None], folder: Path, built_in_server: BuiltInServer
) -> None:
    serve("--port", "0", "--port-file", "port")
    port = int((folder.parent / "port").read_text())
    url = f"server://127.0.0.1:{port}"
    with sharedstate.connect(url, require={"persistence"}) as state:
        assert state.ping() is not None
    with pytest.raises(ConfigError, match="lacks what is required: persistence"):
        sharedstate.connect(built_in_server.url, require={"persistence"})


@pytest.mark.parametrize("durability", ["second", "always"])
def test_a_server_whose_disk_takes_nothing_stays_until_it_does(
    join: Joiner, folder: Path, durability: str
) -> None:
    state = join(linger=0.05, durability=durability)
    state.counter("hits").add(1)
    # The server's words are to fit in where the log does not.
    state.map("big")["k"] = "x" * 100_000
    server = psutil.Process(server_of(state))
    _, hard = server.rlimit(psutil.RLIMIT_FSIZE)
    (log,) = folder.glob("appendonlydir/*.incr.aof")
    server.rlimit(psutil.RLIMIT_FSIZE, (log.stat().st_size, hard))
    with suppress(sharedstate.SharedStateError):
        state.counter("hits").add(1)
    state.close()
    words = folder / "server.log"
    wait_until(lambda: "the server stays until the disk has taken it" in words.read_text())
    assert not has_ended(server)
    server.rlimit(psutil.RLIMIT_FSIZE, (hard, hard))
    wait_until(lambda: has_ended(server))
    assert words.read_text().count("the server stays") == 1
    assert join().counter("hits").value == 2
