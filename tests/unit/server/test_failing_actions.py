"""What the loop calls may fail: that is told, and the loop turns on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sharedstate_server.loop import NO_FILE, EventLoop

Call = Callable[[], None]


def fail() -> None:
    raise ValueError("a mistake")


def set_soon(loop: EventLoop) -> None:
    loop.soon(fail)


def set_timer(loop: EventLoop) -> None:
    loop.every(0.001, fail)


def set_alarm(loop: EventLoop) -> None:
    def ring() -> None:
        loop.on_alarm = lambda: None
        fail()

    loop.on_alarm = ring


def set_turn_end(loop: EventLoop) -> None:
    def end() -> None:
        loop.on_turn_end = lambda: None
        fail()

    loop.on_turn_end = end


@pytest.mark.parametrize("set_up", [set_soon, set_timer, set_alarm, set_turn_end])
def test_what_fails_is_told_and_the_rest_is_done(
    set_up: Callable[[EventLoop], None],
) -> None:
    loop = EventLoop()
    told: list[int] = []
    loop.on_failure = told.append
    set_up(loop)
    loop.every(0.03, loop.stop)
    loop.run()
    assert told == [NO_FILE]


def test_what_was_put_off_behind_a_failure_is_done() -> None:
    loop = EventLoop()
    loop.on_failure = lambda fd: None
    done: list[str] = []
    loop.soon(fail)
    loop.soon(lambda: done.append("behind"))
    loop.soon(loop.stop)
    loop.run()
    assert done == ["behind"]


def test_without_anybody_to_tell_a_failure_ends_the_loop() -> None:
    loop = EventLoop()
    loop.soon(fail)
    with pytest.raises(ValueError, match="a mistake"):
        loop.run()
