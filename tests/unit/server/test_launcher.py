"""`local://`: servers that start with a program, and end with it, however it ends."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

import sharedstate
from sharedstate.errors import BackendError, ConfigError
from sharedstate_server.launcher import _search_path, join_folder, start_private

SECONDS = 20.0

# A server tells which modules it has imported when it begins to serve, and after its
# first chores.
_STARTING = """
import os, socket, sys
sys.path[:] = eval(sys.argv[1])
listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
listener.bind(os.path.join(sys.argv[2], "server.sock"))
listener.listen()
os.dup2(listener.fileno(), 3)
from sharedstate_server import launched

def run(server):
    print(*sys.modules)
    server._cron()
    print(*sys.modules)

launched.Server.run = run
launched.main(["private", sys.argv[2], str(os.getppid())])
"""

# Each takes a tenth of a millisecond, and every program that starts a private server
# waits for it. What only some programs use is better imported when one of them does.
MOST_MODULES_AT_START = 64

_HEAVY = {
    *("asyncio", "dataclasses", "decimal", "fractions", "importlib", "inspect", "json"),
    *("logging", "lupa", "queue", "random", "re", "sortedcontainers", "ssl", "struct"),
    *("subprocess", "tempfile", "threading", "traceback", "typing", "warnings"),
}


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that must come true."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.005)


@pytest.fixture(autouse=True)
def temporary_folders_here(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Private servers put their folders into a folder of the test."""
    folder = tmp_path_factory.mktemp("t")
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def test_a_private_server_imports_little_before_it_serves(
    temporary_folders_here: Path,
) -> None:
    arguments = [repr(_search_path()), str(temporary_folders_here)]
    command = [sys.executable, "-I", "-S", "-c", _STARTING, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    imported, later = (set(line.split()) for line in result.stdout.splitlines())
    ours = {name for name in imported if name.startswith("sharedstate")}
    families = {name for name in ours if name.startswith("sharedstate_memory.commands.")}
    assert imported & _HEAVY == set()
    assert {name.rpartition(".")[2] for name in families} == {"arguments", "registry"}
    assert len(ours) <= MOST_MODULES_AT_START, sorted(ours)
    # Nobody waits any more, and the common commands come.
    assert "sharedstate_memory.commands.lists" in later


def test_what_comes_before_a_private_server_imports_little() -> None:
    program = (
        "import os, sys\n"
        "os.posix_spawn = lambda *_, **__: sys.exit(' '.join(sys.modules))\n"
        "import sharedstate; sharedstate.connect('local://')"
    )
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        f"import sys; sys.path[:] = {_search_path()!r}; exec({program!r})",
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    imported = set(result.stderr.split())
    assert "sharedstate_server.launcher" in imported
    # `importlib` is how a plugin is imported, and it imports `warnings`.
    assert imported & _HEAVY == {"importlib", "warnings"}


def test_a_private_server_is_for_its_user_only(temporary_folders_here: Path) -> None:
    with sharedstate.connect("local://") as state:
        state.ping()
        (folder,) = temporary_folders_here.iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "server.sock").stat().st_mode) == 0o600


def test_closing_ends_the_private_server_and_leaves_nothing(
    temporary_folders_here: Path,
) -> None:
    state = sharedstate.connect("local://")
    state.counter("hits").add(1)
    server = state.backend._launched.pid  # type: ignore[attr-defined]
    state.close()
    state.close()
    assert list(temporary_folders_here.iterdir()) == []
    assert not psutil.pid_exists(server)


def test_two_private_servers_share_nothing() -> None:
    with sharedstate.connect("local://") as one, sharedstate.connect("local://") as other:
        one.counter("hits").add(1)
        assert other.counter("hits").value == 0


OWNER = """
import sys, time
import sharedstate
state = sharedstate.connect("local://")
state.counter("hits").add(1)
print(state.backend._launched.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_private_server_ends_with_its_owner(
    number: signal.Signals, temporary_folders_here: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as owner:
        assert owner.stdout is not None
        server = int(owner.stdout.readline())
        assert psutil.pid_exists(server)
        owner.send_signal(number)
        owner.wait(SECONDS)
        wait_until(lambda: not _lives(server))
        wait_until(lambda: list(temporary_folders_here.iterdir()) == [])


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_forked_child_that_closes_does_not_end_the_server() -> None:
    with sharedstate.connect("local://") as state:
        hits = state.counter("hits")
        hits.add(1)
        child = os.fork()
        if child == 0:
            hits.add(1)
            state.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert hits.add(1) == 3


def test_a_private_server_that_was_killed_is_reported_with_a_reason() -> None:
    launched = start_private()
    launched.end()
    with sharedstate.connect("local://") as state:
        state.ping()
        os.kill(state.backend._launched.pid, signal.SIGKILL)  # type: ignore[attr-defined]
        with pytest.raises(BackendError):
            wait_until(lambda: bool(state.counter("hits").add(1)) and False)
        with pytest.raises(BackendError, match="private server"):
            state.counter("hits").value  # noqa: B018


JOINER = """
import sys
import sharedstate
sys.stdin.readline()
with sharedstate.connect(sys.argv[1], linger=0.2) as state:
    print(state.counter("hits").add(1), flush=True)
    sys.stdin.readline()
"""


def test_ten_programs_that_open_a_folder_at_once_share_one_server(tmp_path: Path) -> None:
    url = f"local://{tmp_path}/state"
    joiners = [
        subprocess.Popen(
            [sys.executable, "-c", JOINER, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(10)
    ]
    for joiner in joiners:
        assert joiner.stdin is not None
        joiner.stdin.write("go\n")
        joiner.stdin.flush()
    numbers = sorted(int(joiner.stdout.readline()) for joiner in joiners if joiner.stdout)
    assert numbers == list(range(1, 11))
    for joiner in joiners:
        joiner.communicate("end\n", timeout=SECONDS)
    wait_until(lambda: not (tmp_path / "state" / "server.sock").exists())


def test_a_folders_state_outlives_the_program_that_started_it(tmp_path: Path) -> None:
    url = f"local://{tmp_path}/state"
    first = sharedstate.connect(url, linger=SECONDS)
    first.counter("hits").add(1)
    second = sharedstate.connect(url)
    first.close()
    assert second.counter("hits").add(1) == 2
    second.close()


def test_a_new_program_finds_the_server_that_lingers(tmp_path: Path) -> None:
    url = f"local://{tmp_path}/state"
    with sharedstate.connect(url, linger=SECONDS) as state:
        state.counter("hits").add(1)
    with sharedstate.connect(url) as state:
        assert state.counter("hits").add(1) == 2


def test_a_folder_is_served_again_after_its_server_was_killed(tmp_path: Path) -> None:
    folder = str(tmp_path / "state")
    anchor, launched = join_folder(folder, SECONDS)
    assert launched is not None
    os.kill(launched.pid, signal.SIGKILL)
    launched.end()
    anchor.close()
    with sharedstate.connect(f"local://{folder}") as state:
        assert state.counter("hits").add(1) == 1


def test_a_folder_whose_path_is_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leaves room for a socket"):
        sharedstate.connect(f"local://{tmp_path}/{'x' * 120}")


def test_a_local_url_with_a_host_is_refused() -> None:
    with pytest.raises(ConfigError, match="third slash"):
        sharedstate.connect("local://folder")
