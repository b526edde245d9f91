"""The conformance suite of the backend contract under faults.

What is checked is one sentence: a command that was lost is either known not to have
happened, or said to be in doubt, within the time that was allowed; and it was never
sent twice unless that is harmless. A `server` is killed and stalled for it, and a
`proxy` before it plays a bad network and counts what it sees.

    class TestMyBackendUnderFaults(FaultSuite):
        @pytest.fixture(scope="module")
        def server(self) -> Iterator[StoreServer]:
            with MyServer() as server:
                yield server
"""

from __future__ import annotations

import threading

import pytest

from sharedstate.backend import Backend, Message, Script, Subscription
from sharedstate.errors import (
    BackendError,
    BackendTimeout,
    IndeterminateError,
    SharedStateError,
)

from .fault_fixtures import (
    TIMEOUT_SECONDS,
    FaultFixtures,
    KeyMaker,
    OpenBackend,
    wait_until,
    within,
)
from .proxy import Proxy
from .servers import StoreServer
from .waiting_suite import LONG_SECONDS, Interrupted, background, interrupt_soon

_ADD = Script("faults.add", "return redis.call('incrby', KEYS[1], ARGV[1])")
_READ = Script("faults.read", "return redis.call('get', KEYS[1])", repeatable=True)


class NetworkFaults(FaultFixtures):
    """The network stalls, and breaks at the worst moment."""

    def test_a_read_that_is_not_answered_in_time_says_so(
        self, backend: Backend, proxy: Proxy, key: KeyMaker
    ) -> None:
        proxy.stall()
        with within(TIMEOUT_SECONDS), pytest.raises(BackendTimeout):
            backend.execute(("GET", key("a")))
        # Nor was it tried again: the caller said how long to wait.
        assert (len(proxy.commands("GET")), proxy.accepted) == (1, 1)

    def test_a_write_that_is_not_answered_in_time_is_in_doubt(
        self, backend: Backend, proxy: Proxy, key: KeyMaker
    ) -> None:
        proxy.stall()
        with within(TIMEOUT_SECONDS), pytest.raises(IndeterminateError):
            backend.execute(("INCRBY", key("a"), 1))
        assert len(proxy.commands("INCRBY")) == 1

    def test_replies_are_in_step_after_a_time_out(
        self, backend: Backend, proxy: Proxy, key: KeyMaker
    ) -> None:
        backend.execute_many([("SET", key("a"), "1"), ("SET", key("b"), "2")])
        proxy.stall()
        with pytest.raises(BackendTimeout):
            backend.execute(("GET", key("a")))
        proxy.resume()
        assert backend.execute(("GET", key("b"))) == b"2"

    def test_replies_are_in_step_after_an_interrupt(
        self, open_backend: OpenBackend, proxy: Proxy, server: StoreServer, key: KeyMaker
    ) -> None:
        url = f"{server.scheme}://127.0.0.1:{proxy.port}"
        backend = open_backend(url, timeout=LONG_SECONDS)
        backend.execute_many([("SET", key("a"), "1"), ("SET", key("b"), "2")])
        proxy.stall()
        with interrupt_soon(), pytest.raises(Interrupted):
            backend.execute(("GET", key("a")))
        proxy.resume()
        assert backend.execute(("GET", key("b"))) == b"2"

    def test_a_write_after_the_connection_was_ended_is_not_lost_in_silence(
        self, backend: Backend, proxy: Proxy, key: KeyMaker
    ) -> None:
        backend.execute(("INCRBY", key("a"), 1))
        proxy.hang_up()
        try:
            assert backend.execute(("INCRBY", key("a"), 1)) == 2
        except IndeterminateError:
            assert backend.execute(("GET", key("a"))) == b"1"

    def test_a_slow_network_is_no_fault(
        self, backend: Backend, proxy: Proxy, key: KeyMaker
    ) -> None:
        proxy.delay_seconds = TIMEOUT_SECONDS / 3
        assert backend.execute(("SET", key("a"), "1")) == b"OK"

    def test_a_read_cut_off_is_repeated_once(
        self, backend: Backend, proxy: Proxy, key: KeyMaker
    ) -> None:
        backend.execute(("SET", key("a"), "value"))
        proxy.cut_replies_after(4)
        assert backend.execute(("GET", key("a"))) == b"value"
        assert len(proxy.commands("GET")) == 2

    def test_a_write_cut_off_is_in_doubt_and_not_repeated(
        self, backend: Backend, proxy: Proxy, key: KeyMaker
    ) -> None:
        proxy.cut_replies_after(1)
        with pytest.raises(IndeterminateError):
            backend.execute(("INCRBY", key("a"), 1))
        assert backend.execute(("GET", key("a"))) == b"1"
        assert len(proxy.commands("INCRBY")) == 1

    def test_a_batch_with_a_write_is_not_repeated(
        self, backend: Backend, proxy: Proxy, key: KeyMaker
    ) -> None:
        proxy.cut_replies_after(6)
        with pytest.raises(IndeterminateError):
            backend.execute_many([("INCRBY", key("a"), 1), ("GET", key("a"))])
        assert len(proxy.commands("INCRBY")) == 1

    def test_a_batch_of_reads_is_repeated(
        self, backend: Backend, proxy: Proxy, key: KeyMaker
    ) -> None:
        backend.execute(("SET", key("a"), "value"))
        proxy.cut_replies_after(14)
        assert backend.execute_many([("GET", key("a"))] * 2) == [b"value"] * 2

    def test_a_transaction_cut_off_is_in_doubt(
        self, backend: Backend, proxy: Proxy, key: KeyMaker
    ) -> None:
        proxy.cut_replies_after(8)
        with pytest.raises(IndeterminateError):
            backend.transact([("INCRBY", key("a"), 1)])
        assert len(proxy.commands("EXEC")) == 1

    def test_a_script_cut_off_is_in_doubt(
        self, backend: Backend, proxy: Proxy, key: KeyMaker
    ) -> None:
        backend.run_script(_ADD, [key("a")], [1])
        ran = len(proxy.commands("EVALSHA"))
        proxy.cut_replies_after(1)
        with pytest.raises(IndeterminateError):
            backend.run_script(_ADD, [key("a")], [1])
        assert len(proxy.commands("EVALSHA")) == ran + 1

    def test_a_script_that_changes_nothing_is_repeated(
        self, backend: Backend, proxy: Proxy, key: KeyMaker
    ) -> None:
        backend.execute(("SET", key("a"), "value"))
        backend.run_script(_READ, [key("a")])
        proxy.cut_replies_after(4)
        assert backend.run_script(_READ, [key("a")]) == b"value"

    def test_a_broken_watch_does_nothing(
        self, backend: Backend, proxy: Proxy, key: KeyMaker
    ) -> None:
        with backend.watch([key("a")]) as watch:
            proxy.cut()
            with pytest.raises(BackendError):
                backend.transact([("INCRBY", key("a"), 1)], watching=watch)
        assert backend.execute(("GET", key("a"))) is None

    def test_a_stalled_wait_ends_soon_after_its_time(
        self, backend: Backend, proxy: Proxy, key: KeyMaker
    ) -> None:
        # Nobody knows whether the store popped something: it may have.
        proxy.stall()
        with within(6.0), pytest.raises(BackendError):
            backend.wait_for(("BLPOP", key("l")), 0.1)

    def test_a_cut_wait_ends_at_once(
        self, backend: Backend, proxy: Proxy, key: KeyMaker
    ) -> None:
        def cut_when_waiting() -> None:
            wait_until(lambda: bool(proxy.commands("BLPOP")))
            proxy.cut()

        with background(cut_when_waiting), within(1.0), pytest.raises(BackendError):
            backend.wait_for(("BLPOP", key("l")), LONG_SECONDS)
        assert len(proxy.commands("BLPOP")) == 1

    def test_a_server_that_accepts_and_is_silent_is_not_waited_for(
        self, proxy: Proxy, server: StoreServer, open_backend: OpenBackend
    ) -> None:
        proxy.stall()
        url = f"{server.scheme}://127.0.0.1:{proxy.port}"
        with within(TIMEOUT_SECONDS), pytest.raises(BackendTimeout):
            open_backend(url, connect_timeout=TIMEOUT_SECONDS)

    def test_connections_that_are_closed_at_once_are_an_error(
        self, proxy: Proxy, server: StoreServer, open_backend: OpenBackend
    ) -> None:
        proxy.refuse()
        with within(1.0), pytest.raises(BackendError):
            open_backend(f"{server.scheme}://127.0.0.1:{proxy.port}")


class ServerFaults(FaultFixtures):
    """The server is killed, stands still, and comes back."""

    def test_without_a_server_every_call_says_where_it_is_missing(
        self, server: StoreServer, open_backend: OpenBackend, key: KeyMaker
    ) -> None:
        backend = open_backend(server.url)
        server.kill()
        try:
            for command in (("GET", key("a")), ("INCRBY", key("a"), 1)):
                with within(1.0), pytest.raises(BackendError):
                    backend.execute(command)
            with within(1.0), pytest.raises(BackendError, match=str(server.port)):
                backend.execute(("INCRBY", key("a"), 1))
        finally:
            server.start()

    def test_a_connect_without_a_server_shows_no_password(
        self, server: StoreServer, open_backend: OpenBackend
    ) -> None:
        port = server.port
        server.kill()
        try:
            with within(1.0), pytest.raises(BackendError) as caught:
                open_backend(f"{server.scheme}://user:secret@127.0.0.1:{port}")
            assert "secret" not in str(caught.value)
            assert str(port) in str(caught.value)
        finally:
            server.start()

    def test_after_a_restart_reads_go_on_by_themselves(
        self, server: StoreServer, open_backend: OpenBackend, key: KeyMaker
    ) -> None:
        backend = open_backend(server.url)
        server.restart()
        assert backend.execute(("GET", key("a"))) is None
        assert backend.execute(("INCRBY", key("a"), 1)) == 1

    def test_after_a_restart_a_write_goes_on_after_one_error_at_most(
        self, server: StoreServer, open_backend: OpenBackend, key: KeyMaker
    ) -> None:
        backend = open_backend(server.url)
        server.restart()
        try:
            backend.execute(("SET", key("a"), 1))
        except IndeterminateError:
            backend.execute(("SET", key("a"), 1))
        assert backend.execute(("GET", key("a"))) == b"1"

    def test_after_a_restart_scripts_are_loaded_again(
        self, server: StoreServer, open_backend: OpenBackend, key: KeyMaker
    ) -> None:
        backend = open_backend(server.url)
        backend.run_script(_READ, [key("a")])
        server.restart()
        assert backend.run_script(_READ, [key("a")]) is None

    def test_after_a_restart_waiting_works(
        self, server: StoreServer, open_backend: OpenBackend, key: KeyMaker
    ) -> None:
        backend = open_backend(server.url)
        assert backend.wait_for(("BLPOP", key("l")), 0.01) is None
        server.restart()
        backend.execute(("GET", key("a")))
        backend.execute(("RPUSH", key("l"), "a"))
        assert backend.wait_for(("BLPOP", key("l")), LONG_SECONDS) is not None

    def test_a_wait_ends_when_the_server_dies(
        self, server: StoreServer, open_backend: OpenBackend, key: KeyMaker
    ) -> None:
        backend = open_backend(server.url)
        killer = threading.Timer(0.1, server.kill)
        killer.start()
        try:
            with within(1.0), pytest.raises(BackendError):
                backend.wait_for(("BLPOP", key("l")), LONG_SECONDS)
        finally:
            killer.join()
            server.start()

    def test_a_subscription_says_what_it_may_have_missed_and_goes_on(
        self, server: StoreServer, open_backend: OpenBackend, key: KeyMaker
    ) -> None:
        backend = open_backend(server.url)
        with backend.subscribe([key("c")]) as subscription:
            server.kill()
            with within(1.0), pytest.raises(BackendError):
                subscription.get(LONG_SECONDS)
            assert subscription.missed == 1
            server.start()
            assert subscription.get(0) is None
            backend = open_backend(server.url)
            backend.execute(("PUBLISH", key("c"), "again"))
            message = _get(subscription)
        assert message is not None
        assert message.data == b"again"

    def test_a_server_that_stands_still_is_not_waited_for(
        self, server: StoreServer, open_backend: OpenBackend, key: KeyMaker
    ) -> None:
        backend = open_backend(server.url)
        server.pause()
        try:
            with within(TIMEOUT_SECONDS), pytest.raises(BackendTimeout):
                backend.execute(("GET", key("a")))
            with within(6.0), pytest.raises(BackendError):
                backend.execute(("INCRBY", key("a"), 1))
        finally:
            server.resume()
        wait_until(lambda: _works(backend))

    def test_no_acknowledged_increment_is_lost_or_doubled_while_connections_break(
        self,
        server: StoreServer,
        proxy: Proxy,
        open_backend: OpenBackend,
        key: KeyMaker,
    ) -> None:
        backend = open_backend(f"{server.scheme}://127.0.0.1:{proxy.port}")
        done, doubtful = 0, 0
        for turn in range(200):
            if turn % 7 == 0:
                proxy.cut_replies_after(turn % 5)
            try:
                backend.execute(("INCRBY", key("a"), 1))
                done += 1
            except IndeterminateError:
                doubtful += 1
        total = int(backend.execute(("GET", key("a"))))
        assert done <= total <= done + doubtful
        assert len(proxy.commands("INCRBY")) == 200


class FaultSuite(NetworkFaults, ServerFaults):
    """All of it. Needs the fixture `server`: one that nobody else uses."""


def _works(backend: Backend) -> bool:
    try:
        return bool(backend.execute(("PING",)) == b"PONG")
    except SharedStateError:
        return False


def _get(subscription: Subscription) -> Message | None:
    return subscription.get(LONG_SECONDS)
