"""Histories of real workers, under faults of each kind, are linearizable.

Each run drives maps, counters, queues and a lock at once. `LINEARIZABILITY_SECONDS` says
for how long (2); `make linearizability` goes on for longer. `SHAREDSTATE_TEST_SEED`
repeats the choices of a run, though not its timing.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import sharedstate
from sharedstate.backend import Capability
from sharedstate.testing.proxy import Proxy
from sharedstate.testing.servers import BuiltInServer, StoreServer, free_port
from tests.faults.crash_harness import KeepingRedis, KeepingServer
from tests.faults.moved_clock import MovedClock
from tests.linearizability.harness import SECONDS, Run, ThreadRun

pytestmark = pytest.mark.timeout(120 + 10 * SECONDS)

CALL_TIMEOUT = 0.4
"""Of the workers' calls where answers are held back."""

DAY_S = 86_400.0


@pytest.fixture(params=["built_in_server", "redis_server"])
def server(request: pytest.FixtureRequest) -> StoreServer:
    """Each kind of server in turn."""
    server: StoreServer = request.getfixturevalue(request.param)
    return server


@pytest.fixture(params=["local", "server", "redis"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of each backend that processes can reach, in turn."""
    if request.param == "local":
        with sharedstate.connect("local://") as state:
            yield state.backend.settings.url
    elif request.param == "server":
        yield request.getfixturevalue("built_in_server").url
    else:
        yield request.getfixturevalue("redis_server").unix_url


def test_threads_on_memory(tmp_path: Path) -> None:
    with sharedstate.connect("memory://") as state, ThreadRun(state, tmp_path) as run:
        pass
    run.assert_linearizable()


def test_workers_that_are_killed_and_stopped(url: str, tmp_path: Path) -> None:
    with Run(url, tmp_path) as run:
        run.kill_worker()
        run.stop_worker()
        while run.goes_on():
            run.random.choice((run.kill_worker, run.stop_worker))()
    run.assert_linearizable()
    assert run.faults >= 2


def test_connections_that_are_cut_and_delayed(server: StoreServer, tmp_path: Path) -> None:
    with Proxy(("127.0.0.1", server.port)) as proxy:
        url = f"{server.scheme}://127.0.0.1:{proxy.port}"
        with Run(url, tmp_path, timeout=CALL_TIMEOUT) as run:
            cut(proxy, run)
            delay(proxy, run)
            while run.goes_on():
                run.random.choice((cut, cut_in_a_reply, hang_up, stall, delay))(proxy, run)
            proxy.resume()
            proxy.delay_seconds = proxy.command_delay_seconds = 0.0
        run.assert_linearizable()
        assert run.faults >= 2
        assert any(each.is_pending for each in run.history)


def cut(proxy: Proxy, run: Run) -> None:
    """All connections break at once."""
    proxy.cut()
    run.faults += 1


def cut_in_a_reply(proxy: Proxy, run: Run) -> None:
    """A connection breaks in a reply, and what it answers has happened."""
    proxy.cut_replies_after(run.random.randrange(1, 500))
    run.faults += 1


def hang_up(proxy: Proxy, run: Run) -> None:
    """All connections end in order: to the server, as if their processes had ended."""
    with run.ending_holds():
        proxy.hang_up()


def stall(proxy: Proxy, run: Run) -> None:
    """No replies for a while, shorter or longer than a call waits."""
    proxy.stall()
    run.sleep(0.0, 1.5 * CALL_TIMEOUT)
    proxy.resume()
    run.faults += 1


def delay(proxy: Proxy, run: Run) -> None:
    """Commands and replies come late, commands of those who gave up already among them."""
    proxy.command_delay_seconds = run.random.choice((0.0, 0.005, 1.2 * CALL_TIMEOUT))
    proxy.delay_seconds = run.random.choice((0.0, 0.005))
    run.sleep(0.1, 0.5)
    proxy.command_delay_seconds = proxy.delay_seconds = 0.0
    run.faults += 1


@pytest.mark.parametrize("kind", [KeepingServer, KeepingRedis])
def test_a_server_that_is_killed_and_started_again(
    kind: type[KeepingServer | KeepingRedis],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    if kind is KeepingRedis:
        request.getfixturevalue("redis_is_installed")
    with kind("always") as server:
        with Run(server.url, tmp_path) as run:
            restart(server, run)
            while run.goes_on():
                restart(server, run)
        run.assert_linearizable()


def restart(server: StoreServer, run: Run) -> None:
    """Kill the server, and start another one."""
    run.sleep(0.2, 0.6)
    with run.ending_holds():
        server.restart()


def test_a_folder_whose_server_is_killed(tmp_path: Path) -> None:
    """The workers start another one by themselves."""
    url = f"local://{tmp_path}/state?durability=always&linger=0.2"
    with sharedstate.connect(url) as state, Run(url, tmp_path) as run:
        while run.goes_on():
            run.sleep(0.3, 0.8)
            facts: bytes = state.backend.execute(("INFO", "server"))
            with run.ending_holds():
                os.kill(int(facts.partition(b"process_id:")[2].split()[0]), signal.SIGKILL)
        assert Capability.PERSISTENCE in state.capabilities
    run.assert_linearizable()
    assert run.faults >= 1


class ClockServer(BuiltInServer):
    """The built-in server, with a wall clock that the test moves."""

    def __init__(self, clock: MovedClock) -> None:
        super().__init__()
        self._clock = clock

    def _prepare(self) -> None:
        self.port = self.port or free_port()

    def _command(self) -> list[str]:
        return [*self._clock.program, "--port", str(self.port), "--save", ""]


def test_wall_clocks_that_jump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    clocks = [MovedClock(tmp_path / name) for name in ("of-server", "of-workers")]
    with ClockServer(clocks[0]) as server:
        with Run(server.url, tmp_path, clock=clocks[1].path) as run:
            while run.goes_on():
                # A jump forwards is the end of every lease.
                with run.ending_holds():
                    for clock in clocks:
                        clock.move_to(run.random.choice((-DAY_S, -1.0, 0.0, 1.0, DAY_S)))
        run.assert_linearizable()
    assert run.faults >= 3
