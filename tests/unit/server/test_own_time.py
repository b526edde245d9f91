"""The loop tells what it took for its turns from what the machine took for others."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from sharedstate_server.loop import LONG_TURN_SECONDS, READABLE, EventLoop

_WORK_SECONDS = 2 * LONG_TURN_SECONDS
# What the system took from us since the timers ran last is taken off, though some of it
# was before the work began.
_MOST_OF_IT = _WORK_SECONDS / 2


def turn_once(work: Callable[[], object]) -> EventLoop:
    """A loop after a turn in which something was done."""
    loop = EventLoop()
    ours, theirs = socket.socketpair()

    def serve(mask: int) -> None:
        ours.recv(1)
        work()
        loop.every(0.001, loop.stop)

    loop.watch(ours.fileno(), READABLE, serve)
    with ours, theirs:
        theirs.send(b"x")
        loop.run()
    return loop


def keep_busy() -> None:
    end = time.thread_time() + _WORK_SECONDS
    while time.thread_time() < end:
        pass


def test_a_turn_of_hard_work_is_the_loop_s_own() -> None:
    loop = turn_once(keep_busy)
    assert _MOST_OF_IT <= loop.longest_own_turn <= loop.longest_turn


def test_a_turn_that_stood_still_is_long_and_not_the_loop_s_own() -> None:
    loop = turn_once(lambda: time.sleep(_WORK_SECONDS))
    assert loop.longest_turn >= _WORK_SECONDS
    assert loop.longest_own_turn < _WORK_SECONDS / 2


def test_what_passed_before_the_loop_ran_is_no_turn() -> None:
    loop = EventLoop()
    time.sleep(_WORK_SECONDS)
    loop.every(0.001, loop.stop)
    loop.run()
    assert loop.longest_turn < _WORK_SECONDS


def test_timers_that_take_long_are_noted() -> None:
    loop = EventLoop()

    def dawdle() -> None:
        keep_busy()
        loop.stop()

    loop.every(0.001, dawdle)
    loop.run()
    assert loop.longest_own_turn >= _MOST_OF_IT
