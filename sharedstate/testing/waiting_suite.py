"""The part of the backend suite that waits: `wait_for` and `subscribe`."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from sharedstate.backend import Backend
from sharedstate.errors import CommandError, SharedStateError

SHORT_SECONDS = 0.05
LONG_SECONDS = 30.0
"""A wait that is expected to end long before."""

KeyMaker = Callable[[str], str]


class WaitingSuite:
    """Blocking commands and subscriptions."""

    def test_what_is_there_is_popped_at_once(self, backend: Backend, key: KeyMaker) -> None:
        backend.execute(("RPUSH", key("l"), "a"))
        popped = backend.wait_for(("BLPOP", key("l")), LONG_SECONDS)
        assert popped == [key("l").encode(), b"a"]

    def test_a_wait_ends_with_none_when_its_time_has_passed(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        started = time.monotonic()
        assert backend.wait_for(("BLPOP", key("l")), SHORT_SECONDS) is None
        # Stores count milliseconds.
        assert time.monotonic() - started >= SHORT_SECONDS - 0.002

    @pytest.mark.parametrize("timeout", [0, 0.0, 0.0001])
    def test_a_timeout_of_almost_nothing_does_not_mean_for_ever(
        self, backend: Backend, key: KeyMaker, timeout: float
    ) -> None:
        assert backend.wait_for(("BLPOP", key("l")), timeout) is None

    def test_a_timeout_of_zero_takes_what_is_there(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        backend.execute(("RPUSH", key("l"), "a"))
        assert backend.wait_for(("BLPOP", key("l")), 0) == [key("l").encode(), b"a"]

    def test_a_push_from_another_thread_ends_the_wait(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        with background(lambda: backend.execute(("RPUSH", key("l"), "a"))):
            popped = backend.wait_for(("BLPOP", key("l")), LONG_SECONDS)
        assert popped == [key("l").encode(), b"a"]

    def test_the_first_of_several_keys_is_served(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        backend.execute(("RPUSH", key("second"), "b"))
        popped = backend.wait_for(("BLPOP", key("first"), key("second")), LONG_SECONDS)
        assert popped == [key("second").encode(), b"b"]

    def test_items_can_be_moved_by_waiting(self, backend: Backend, key: KeyMaker) -> None:
        command = ("BLMOVE", key("from"), key("to"), "LEFT", "RIGHT")
        with background(lambda: backend.execute(("RPUSH", key("from"), "a"))):
            assert backend.wait_for(command, LONG_SECONDS) == b"a"
        assert backend.execute(("LRANGE", key("to"), 0, -1)) == [b"a"]

    def test_the_lowest_member_can_be_waited_for(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        with background(lambda: backend.execute(("ZADD", key("z"), 2, "a"))):
            popped = backend.wait_for(("BZPOPMIN", key("z")), LONG_SECONDS)
        assert popped == [key("z").encode(), b"a", b"2"]

    def test_every_item_goes_to_one_waiter(self, backend: Backend, key: KeyMaker) -> None:
        popped: list[bytes] = []

        def wait() -> None:
            popped.append(backend.wait_for(("BLPOP", key("l")), LONG_SECONDS)[1])

        with background(wait), background(wait), background(wait):
            backend.execute(("RPUSH", key("l"), "a", "b", "c"))
        assert sorted(popped) == [b"a", b"b", b"c"]

    def test_a_wait_does_not_hold_up_other_threads(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        with background(lambda: backend.wait_for(("BLPOP", key("l")), LONG_SECONDS)):
            assert backend.execute(("SET", key("a"), "1")) == b"OK"
            backend.execute(("RPUSH", key("l"), "end"))

    def test_a_refusal_of_a_waiting_command_is_raised(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        backend.execute(("SET", key("a"), "1"))
        with pytest.raises(CommandError):
            backend.wait_for(("BLPOP", key("a")), LONG_SECONDS)

    def test_an_interrupted_wait_takes_nothing_any_more(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        with interrupt_soon(), pytest.raises(Interrupted):
            backend.wait_for(("BLPOP", key("l")), LONG_SECONDS)
        deadline = time.monotonic() + 5
        while True:
            backend.execute(("RPUSH", key("l"), "a"))
            # The store may need a moment to see that the waiter has gone.
            if backend.execute(("LLEN", key("l"))) == 1 or time.monotonic() > deadline:
                break
        assert backend.execute(("LLEN", key("l"))) == 1
        assert backend.execute(("SET", key("a"), "1")) == b"OK"

    def test_messages_arrive_in_order(self, backend: Backend, key: KeyMaker) -> None:
        with backend.subscribe([key("c")]) as subscription:
            for number in range(3):
                assert backend.execute(("PUBLISH", key("c"), number)) == 1
            received = [subscription.get(LONG_SECONDS) for _ in range(3)]
        assert [message and message.data for message in received] == [b"0", b"1", b"2"]

    def test_a_message_knows_its_channel(self, backend: Backend, key: KeyMaker) -> None:
        with backend.subscribe([key("c"), key("d")]) as subscription:
            backend.execute(("PUBLISH", key("d"), b"\x00\xff"))
            message = subscription.get(LONG_SECONDS)
        assert message is not None
        assert (message.channel, message.data) == (key("d").encode(), b"\x00\xff")

    def test_other_channels_are_not_heard(self, backend: Backend, key: KeyMaker) -> None:
        with backend.subscribe([key("c")]) as subscription:
            assert backend.execute(("PUBLISH", key("d"), "x")) == 0
            assert subscription.get(0) is None

    @pytest.mark.parametrize("timeout", [0, SHORT_SECONDS])
    def test_silence_is_none(self, backend: Backend, key: KeyMaker, timeout: float) -> None:
        with backend.subscribe([key("c")]) as subscription:
            assert subscription.get(timeout) is None
            assert subscription.missed == 0

    def test_a_message_ends_the_wait_for_it(self, backend: Backend, key: KeyMaker) -> None:
        with (
            backend.subscribe([key("c")]) as subscription,
            background(lambda: backend.execute(("PUBLISH", key("c"), "a"))),
        ):
            message = subscription.get(LONG_SECONDS)
        assert message is not None
        assert message.data == b"a"

    def test_a_message_is_heard_after_silence(
        self, backend: Backend, key: KeyMaker
    ) -> None:
        with backend.subscribe([key("c")]) as subscription:
            assert subscription.get(SHORT_SECONDS) is None
            backend.execute(("PUBLISH", key("c"), "a"))
            message = subscription.get(LONG_SECONDS)
        assert message is not None

    def test_an_ended_subscription_is_deaf(self, backend: Backend, key: KeyMaker) -> None:
        subscription = backend.subscribe([key("c")])
        subscription.close()
        subscription.close()
        with pytest.raises(SharedStateError):
            subscription.get(0)
        deadline = time.monotonic() + 5
        while backend.execute(("PUBLISH", key("c"), "x")) and time.monotonic() < deadline:
            pass
        assert backend.execute(("PUBLISH", key("c"), "x")) == 0


class Interrupted(Exception):
    """What a signal handler of a test raises, in the place of KeyboardInterrupt."""


@contextmanager
def interrupt_soon(seconds: float = 0.1) -> Iterator[None]:
    """Raise `Interrupted` in the main thread, from a signal, a moment from now."""

    def handler(number: int, frame: object) -> None:
        raise Interrupted

    former = signal.signal(signal.SIGUSR1, handler)
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        signal.signal(signal.SIGUSR1, former)


@contextmanager
def background(function: Callable[[], object]) -> Iterator[None]:
    """Run a function in a thread; on exit wait for it, and raise what it raised."""
    errors: list[BaseException] = []

    def work() -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    if errors:
        raise errors[0]
