"""The conformance suite of the backend contract: what `sharedstate.backend` promises.

A backend's own test file names a fixture and nothing else:

    class TestMyBackend(BackendSuite):
        @pytest.fixture
        def backend(self) -> Iterator[Backend]:
            backend = open_my_backend()
            yield backend
            backend.close()

What the contract promises about broken connections is in `fault_suite.py`, which needs
a server that may be killed.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from sharedstate.backend import Backend, Capability, Script
from sharedstate.errors import (
    BackendError,
    CommandError,
    NotSupported,
    SharedStateError,
)

from .waiting_suite import WaitingSuite

BIG_BYTES = 10 * 1024 * 1024

_READ = Script("suite.read", "return redis.call('get', KEYS[1])", repeatable=True)
_ADD = Script(
    "suite.add",
    "redis.call('incrby', KEYS[1], ARGV[1]); return {KEYS[1], ARGV[2]}",
)
_REFUSED = Script("suite.refused", "return redis.call('lpush', KEYS[1], 'x')")

KeyMaker = Callable[[str], str]


class ReplySuite:
    """What `execute` takes and returns."""

    def test_a_status_line_is_bytes(self, backend: Backend, key: KeyMaker) -> None:
        assert backend.execute(("SET", key("a"), b"1")) == b"OK"

    def test_a_number_is_an_int(self, backend: Backend, key: KeyMaker) -> None:
        reply = backend.execute(("INCRBY", key("a"), 5))
        assert type(reply) is int
        assert reply == 5

    def test_what_is_missing_is_none(self, backend: Backend, key: KeyMaker) -> None:
        assert backend.execute(("GET", key("a"))) is None

    def test_an_array_is_a_list_with_none_for_what_is_missing(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        backend.execute(("HSET", key("h"), "a", "1"))
        assert backend.execute(("HMGET", key("h"), "a", "b")) == [b"1", None]

    def test_a_hash_is_a_flat_list(self, backend: Backend, key: KeyMaker) -> None:
        backend.execute(("HSET", key("h"), "a", "1", "b", "2"))
        reply = backend.execute(("HGETALL", key("h")))
        assert dict(zip(reply[::2], reply[1::2], strict=True)) == {b"a": b"1", b"b": b"2"}

    def test_a_score_is_its_text(self, backend: Backend, key: KeyMaker) -> None:
        backend.execute(("ZADD", key("z"), 1.5, "a"))
        assert backend.execute(("ZSCORE", key("z"), "a")) == b"1.5"

    def test_lists_may_be_nested(self, backend: Backend, key: KeyMaker) -> None:
        backend.execute(("SADD", key("s"), "a"))
        assert backend.execute(("SSCAN", key("s"), 0)) == [b"0", [b"a"]]

    def test_arguments_travel_as_their_text(self, backend: Backend, key: KeyMaker) -> None:
        backend.execute(("RPUSH", key("l"), "é", -7, 0.5, b"\xff"))
        stored = backend.execute(("LRANGE", key("l"), 0, -1))
        assert stored == ["é".encode(), b"-7", b"0.5", b"\xff"]

    def test_names_of_commands_have_any_case(self, backend: Backend, key: KeyMaker) -> None:
        assert backend.execute((b"set", key("a"), b"1")) == b"OK"

    def test_every_byte_comes_back(self, backend: Backend, key: KeyMaker) -> None:
        every = bytes(range(256)) + b"\r\n$-1\r\n*1\r\n"
        name = key("a").encode() + every
        backend.execute(("SET", name, every))
        assert backend.execute(("GET", name)) == every

    def test_nothing_is_a_value_too(self, backend: Backend, key: KeyMaker) -> None:
        backend.execute(("SET", key("a"), b""))
        assert backend.execute(("GET", key("a"))) == b""

    def test_a_value_may_be_big(self, backend: Backend, key: KeyMaker) -> None:
        big = os.urandom(1024) * (BIG_BYTES // 1024)
        backend.execute(("SET", key("a"), big))
        assert backend.execute(("GET", key("a"))) == big

    def test_a_refusal_is_raised_with_its_code(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        backend.execute(("SET", key("a"), b"1"))
        with pytest.raises(CommandError) as caught:
            backend.execute(("LPUSH", key("a"), b"x"))
        assert caught.value.code == "WRONGTYPE"

    def test_an_unknown_command_is_refused(self, backend: Backend) -> None:
        with pytest.raises(CommandError) as caught:
            backend.execute(("NOSUCHCOMMAND", "a"))
        assert caught.value.code == "ERR"

    def test_replies_stay_in_step_after_a_refusal(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        backend.execute(("SET", key("a"), b"1"))
        with pytest.raises(CommandError):
            backend.execute(("INCRBY", key("a"), "x"))
        assert backend.execute(("GET", key("a"))) == b"1"


class BatchSuite:
    """`execute_many`: several commands in one round trip."""

    def test_replies_come_in_order(self, backend: Backend, key: KeyMaker) -> None:
        replies = backend.execute_many(
            [("SET", key("a"), "1"), ("INCRBY", key("a"), 2), ("GET", key("a"))]
        )
        assert replies == [b"OK", 3, b"3"]

    def test_no_commands_have_no_replies(self, backend: Backend) -> None:
        assert backend.execute_many([]) == []

    def test_a_refusal_does_not_stop_the_others(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        batch = [("SET", key("a"), "x"), ("INCR", key("a")), ("SET", key("b"), "y")]
        with pytest.raises(CommandError):
            backend.execute_many(batch)
        assert backend.execute_many([("GET", key("a")), ("GET", key("b"))]) == [b"x", b"y"]

    def test_the_first_of_two_refusals_is_raised(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        backend.execute(("SET", key("a"), "x"))
        with pytest.raises(CommandError) as caught:
            backend.execute_many([("LPUSH", key("a"), "1"), ("NOSUCHCOMMAND",)])
        assert caught.value.code == "WRONGTYPE"

    def test_many_thousands_are_executed(self, backend: Backend, key: KeyMaker) -> None:
        replies = backend.execute_many([("INCR", key("a"))] * 20_000)
        assert replies == list(range(1, 20_001))

    def test_big_commands_with_big_replies_do_not_wait_for_each_other(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        # More than both socket buffers hold, in both directions at once.
        big = bytes(256 * 1024)
        replies = backend.execute_many([("SET", key("a"), big), ("GET", key("a"))] * 32)
        assert replies == [b"OK", big] * 32


class TransactionSuite:
    """`transact` and `watch`: several commands as one atomic step."""

    def test_replies_are_those_of_the_commands(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        replies = backend.transact([("SET", key("a"), "1"), ("INCR", key("a"))])
        assert replies == [b"OK", 2]

    def test_nothing_to_do_is_done(self, backend: Backend) -> None:
        assert backend.transact([]) == []

    def test_a_refusal_while_queueing_does_nothing(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        with pytest.raises(CommandError) as caught:
            backend.transact([("SET", key("a"), "1"), ("NOSUCHCOMMAND",)])
        assert caught.value.code == "ERR"
        assert backend.execute(("EXISTS", key("a"))) == 0

    def test_a_refusal_while_running_leaves_the_others_done(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        commands = [("SET", key("a"), "x"), ("INCR", key("a")), ("SET", key("b"), "y")]
        with pytest.raises(CommandError):
            backend.transact(commands)
        assert backend.execute(("GET", key("b"))) == b"y"

    def test_the_connection_is_in_step_after_a_refusal(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        with pytest.raises(CommandError):
            backend.transact([("SET", key("a"))])
        assert backend.execute(("SET", key("a"), "1")) == b"OK"

    def test_an_unchanged_key_lets_the_transaction_pass(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        backend.execute(("SET", key("a"), "1"))
        with backend.watch([key("a")]) as watch:
            seen = int(watch.execute(("GET", key("a"))))
            replies = backend.transact([("SET", key("a"), seen + 1)], watching=watch)
        assert replies == [b"OK"]
        assert backend.execute(("GET", key("a"))) == b"2"

    def test_a_changed_key_stops_the_transaction(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        with backend.watch([key("a"), key("b")]) as watch:
            backend.execute(("SET", key("b"), "theirs"))
            assert backend.transact([("SET", key("a"), "1")], watching=watch) is None
        assert backend.execute(("GET", key("a"))) is None

    def test_a_key_changed_by_a_script_stops_the_transaction(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        with backend.watch([key("a")]) as watch:
            backend.run_script(_ADD, [key("a")], [1, "x"])
            assert backend.transact([("SET", key("a"), "9")], watching=watch) is None

    def test_another_transaction_does_not_take_the_guard_away(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        with backend.watch([key("a")]) as watch:
            backend.transact([("SET", key("a"), "theirs")])
            assert backend.transact([("SET", key("a"), "1")], watching=watch) is None

    def test_two_watches_of_one_thread_are_independent(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        with backend.watch([key("a")]) as outer, backend.watch([key("b")]) as inner:
            assert backend.transact([("SET", key("b"), "1")], watching=inner) == [b"OK"]
            assert backend.transact([("SET", key("a"), "1")], watching=outer) == [b"OK"]

    def test_a_watch_serves_once(self, backend: Backend, key: KeyMaker) -> None:
        watch = backend.watch([key("a")])
        backend.transact([("SET", key("a"), "1")], watching=watch)
        with pytest.raises(SharedStateError):
            backend.transact([("SET", key("a"), "2")], watching=watch)
        watch.close()

    def test_a_closed_watch_guards_nothing_any_more(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        watch = backend.watch([key("a")])
        watch.close()
        watch.close()
        backend.execute(("SET", key("a"), "1"))
        with backend.watch([key("b")]) as fresh:
            assert backend.transact([("SET", key("b"), "1")], watching=fresh) == [b"OK"]

    def test_a_refusal_while_watching_is_raised(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        backend.execute(("SET", key("a"), "1"))
        with backend.watch([key("a")]) as watch:
            with pytest.raises(CommandError):
                watch.execute(("LPOP", key("a")))
            assert watch.execute(("GET", key("a"))) == b"1"


class ScriptSuite:
    """`run_script`."""

    def test_keys_and_arguments_arrive_and_the_result_comes_back(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        argument = b"\x00\xff\r\n"
        assert backend.run_script(_ADD, [key("a")], [3, argument]) == [
            key("a").encode(),
            argument,
        ]
        assert backend.execute(("GET", key("a"))) == b"3"

    def test_nil_is_none(self, backend: Backend, key: KeyMaker) -> None:
        assert backend.run_script(_READ, [key("a")]) is None

    def test_a_script_runs_again(self, backend: Backend, key: KeyMaker) -> None:
        for _ in range(3):
            backend.run_script(_ADD, [key("a")], [1, "x"])
        assert backend.execute(("GET", key("a"))) == b"3"

    def test_a_script_that_the_store_has_never_seen_is_loaded(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        fresh = Script("suite.fresh", f"return '{key('fresh')}'")
        assert backend.run_script(fresh, []) == key("fresh").encode()

    def test_a_refusal_inside_is_raised(self, backend: Backend, key: KeyMaker) -> None:
        backend.execute(("SET", key("a"), "1"))
        with pytest.raises(CommandError) as caught:
            backend.run_script(_REFUSED, [key("a")])
        assert caught.value.code == "WRONGTYPE"

    def test_scripts_of_many_threads_do_not_run_at_once(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        body = (
            "local value = tonumber(redis.call('get', KEYS[1]) or 0); "
            "redis.call('set', KEYS[1], value + 1); return value + 1"
        )
        increment = Script("suite.increment", body)

        def work() -> None:
            for _ in range(100):
                backend.run_script(increment, [key("a")])

        run_in_threads(work, 4)
        assert backend.execute(("GET", key("a"))) == b"400"


class LifeSuite:
    """Settings, capabilities, threads, and the end."""

    def test_capabilities_are_a_frozen_set(self, backend: Backend) -> None:
        assert isinstance(backend.capabilities, frozenset)
        assert all(isinstance(each, Capability) for each in backend.capabilities)

    def test_settings_pickle_where_other_processes_can_come(self, backend: Backend) -> None:
        if Capability.PROCESSES in backend.capabilities:
            assert pickle.loads(pickle.dumps(backend.settings)) == backend.settings
        else:
            with pytest.raises(NotSupported):
                _ = backend.settings

    def test_wait_counts_no_replicas_where_there_are_none(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        if Capability.REPLICATION not in backend.capabilities:
            pytest.skip("this backend has no replication")
        backend.execute(("SET", key("a"), "1"))
        assert backend.execute(("WAIT", 0, 10)) == 0

    def test_threads_get_their_own_replies(self, backend: Backend, key: KeyMaker) -> None:
        def work() -> None:
            mine = str(threading.get_ident())
            for turn in range(200):
                backend.execute(("SET", key(mine), turn))
                assert backend.execute(("GET", key(mine))) == b"%d" % turn

        run_in_threads(work, 8)

    def test_threads_lose_no_increment(self, backend: Backend, key: KeyMaker) -> None:
        def work() -> None:
            for _ in range(200):
                backend.execute(("INCR", key("a")))

        run_in_threads(work, 8)
        assert backend.execute(("GET", key("a"))) == b"1600"

    def test_threads_come_and_go_without_end(self, backend: Backend, key: KeyMaker) -> None:
        # More than `max_connections` allows at once: those of ended threads are closed.
        for _ in range(60):
            run_in_threads(lambda: backend.execute(("INCR", key("a"))), 8)
        assert backend.execute(("GET", key("a"))) == b"480"

    def test_a_signal_handler_gets_its_own_reply(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        backend.execute(("MSET", key("a"), "1", key("b"), "2"))
        seen: list[object] = []

        def ask(number: int, frame: object) -> None:
            try:
                seen.append(backend.execute(("GET", key("b"))))
            except BackendError:
                seen.append(b"2")  # Refused, which is as good.

        with signals_every_millisecond(ask):
            replies = {backend.execute(("GET", key("a"))) for _ in range(5000)}
            # On a busy machine the first signal may still be to come.
            while not seen:
                replies.add(backend.execute(("GET", key("a"))))
        assert replies == {b"1"}
        assert set(seen) == {b"2"}

    def test_closing_twice_is_fine(self, backend: Backend) -> None:
        backend.close()
        backend.close()
        with pytest.raises(BackendError):
            backend.execute(("PING",))


class BackendSuite(
    ReplySuite, BatchSuite, TransactionSuite, ScriptSuite, WaitingSuite, LifeSuite
):
    """All of the contract but its faults. Needs the fixture `backend`: one of its own."""

    @pytest.fixture
    def key(self) -> KeyMaker:
        """Makes names that no other test uses, all in one slot of a cluster."""
        token = os.urandom(8).hex()
        return lambda name: f"suite:{{{token}}}:{name}"


@contextmanager
def signals_every_millisecond(handler: Callable[[int, object], None]) -> Iterator[None]:
    """Interrupt the main thread all the while. None comes after the end.

    A thread sends them, not a timer: `SIGALRM` belongs to whatever limits the time of
    tests, and a late one of ours would be taken for its own.
    """
    main, done = threading.get_ident(), threading.Event()

    def send() -> None:
        while not done.wait(0.001):
            signal.pthread_kill(main, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, handler)
    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        done.set()
        sender.join()
        signal.signal(signal.SIGUSR1, before)


def run_in_threads(function: Callable[[], object], count: int) -> None:
    """Call a function in threads at once; raise what the first failing one raised."""
    errors: list[BaseException] = []

    def work() -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
