"""The lean client: who gets which reply, and what an error says, when things go wrong."""

from __future__ import annotations

import os
import pickle
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import sharedstate
from sharedstate.errors import BackendError, ConfigError, IndeterminateError
from sharedstate.testing.background import in_background, wait_until
from sharedstate_server.client import ServerBackend
from sharedstate_server.server import Server


class Running:
    """A server on a Unix socket, in a thread, that can be ended and started again."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.start()

    def start(self) -> None:
        self.server = Server()
        self.server.listen_unix(self.path)
        self.thread = threading.Thread(
            target=self.server.run, kwargs={"catch_signals": False}
        )
        self.thread.start()

    def stop(self) -> None:
        self.server.request_stop()
        self.thread.join(20)
        assert not self.thread.is_alive()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    running = Running(str(tmp_path / "s"))
    yield running
    running.stop()


@pytest.fixture
def backend(running: Running) -> Iterator[ServerBackend]:
    with sharedstate.connect(f"server+unix://{running.path}", max_connections=8) as state:
        assert isinstance(state.backend, ServerBackend)
        yield state.backend


def test_what_was_not_sent_is_sent_again_after_a_restart(
    backend: ServerBackend, running: Running
) -> None:
    backend.execute(("PING",))
    running.stop()
    running.start()
    assert backend.transact([("INCR", "n")]) == [1]
    running.stop()
    running.start()
    assert backend.execute_many([("INCR", "n"), ("INCR", "n")]) == [1, 2]


def test_a_command_that_cannot_be_packed_costs_no_connection(
    backend: ServerBackend,
) -> None:
    connection = backend.execute(("CLIENT", "ID"))
    for _ in range(20):
        with pytest.raises(TypeError):
            backend.execute(("SET", "k", None))  # type: ignore[arg-type]
    assert backend.execute(("CLIENT", "ID")) == connection


def test_a_watch_whose_server_was_restarted_says_that_nothing_happened(
    backend: ServerBackend, running: Running
) -> None:
    watch = backend.watch(["n"])
    running.stop()
    running.start()
    with pytest.raises(BackendError) as caught:
        backend.transact([("INCR", "n")], watching=watch)
    assert not isinstance(caught.value, IndeterminateError)


def test_wait_is_not_asked_on_another_connection(
    backend: ServerBackend, running: Running
) -> None:
    backend.execute(("INCR", "n"))
    running.stop()
    running.start()
    with pytest.raises(BackendError):
        backend.execute(("WAIT", 0, 1))


def test_closing_a_subscription_wakes_who_waits_on_it(backend: ServerBackend) -> None:
    subscription = backend.subscribe(["news"])
    waiting = in_background(subscription.get)
    subscription.close()
    with pytest.raises(BackendError):
        waiting.result(20)


def test_closing_wakes_who_waits(backend: ServerBackend) -> None:
    waiting = in_background(lambda: backend.wait_for(("BLPOP", "list"), 60))
    while backend.execute(("CLIENT", "LIST")).count(b"id=") < 2:
        pass
    backend.close()
    with pytest.raises(BackendError):
        waiting.result(20)


def test_errors_that_are_kept_keep_no_connection(
    backend: ServerBackend, running: Running
) -> None:
    errors = []
    for _ in range(20):
        running.stop()
        try:
            backend.execute(("INCR", "n"))
        except BackendError as error:
            errors.append(error)
        running.start()
    assert errors
    assert backend.execute(("INCR", "n")) == 1


@pytest.mark.parametrize("name", ["a b", "what?", "100%41", "a#b"])
def test_a_folder_of_any_name_is_the_same_one_for_a_pickled_handle(
    tmp_path: Path, name: str
) -> None:
    from urllib.parse import quote

    with sharedstate.connect(f"local://{quote(str(tmp_path / name))}") as state:
        hits = state.counter("hits")
        hits.add(2)
        assert pickle.loads(pickle.dumps(hits)).add(1) == 3
    assert (tmp_path / name).is_dir()


@pytest.mark.parametrize("name", ["what?", "100%41", "a#b"])
def test_the_temporary_folder_may_have_any_name(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    # Not in the folder of the test: a socket's path must be short.
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        folder = Path(short) / name
        folder.mkdir()
        monkeypatch.setenv("TMPDIR", str(folder))
        _count_in(folder)


def _count_in(folder: Path) -> None:
    with sharedstate.connect("local://") as state:
        hits = state.counter("hits")
        hits.add(2)
        assert pickle.loads(pickle.dumps(hits)).add(1) == 3
        assert list(folder.iterdir())


@pytest.mark.parametrize("base", ["/proc", "/nowhere/at/all"])
def test_an_unusable_temporary_folder_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, base: str
) -> None:
    monkeypatch.setenv("TMPDIR", base)
    with sharedstate.connect("local://") as state:
        assert state.counter("hits").add(1) == 1


def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(ConfigError, match="chmod go-w"):
        sharedstate.connect(f"local://{folder}")


def test_a_working_folder_that_was_removed_is_no_hindrance(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        gone = tmp_path / "gone"
        gone.mkdir()
        os.chdir(gone)
        gone.rmdir()
        try:
            with sharedstate.connect("local://") as state:
                os._exit(0 if state.counter("hits").add(1) == 1 else 2)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_blocked_sigterm_does_not_make_closing_slow() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        state = sharedstate.connect("local://")
        state.ping()
        server = state.backend._launched  # type: ignore[attr-defined]
        state.close()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    assert not server.was_killed


def test_a_state_that_was_dropped_takes_its_server_with_it() -> None:
    import gc

    state = sharedstate.connect("local://")
    state.ping()
    server = state.backend._launched  # type: ignore[attr-defined]
    del state
    gc.collect()
    assert server.pid == 0
    assert not os.path.exists(server.folder)


def test_a_killed_private_server_leaves_no_folder_behind() -> None:
    state = sharedstate.connect("local://")
    state.ping()
    server = state.backend._launched  # type: ignore[attr-defined]
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: server.why_it_ended() is not None)
    with pytest.raises(BackendError, match=r"server (of this program )?ended"):
        state.ping()
    state.close()
    assert not os.path.exists(server.folder)
