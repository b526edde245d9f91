"""The event loop calls handlers when files are ready, timers when they are due."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from sharedstate_server.loop import LONG_TURN_SECONDS, READABLE, WRITABLE, EventLoop
from sharedstate_server.pollers import PollPoller, SelectPoller, new_poller

if TYPE_CHECKING:
    from sharedstate_server.pollers import Poller


def test_a_readable_file_calls_its_handler() -> None:
    loop = EventLoop()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        received: list[bytes] = []

        def read(mask: int) -> None:
            received.append(ours.recv(10))
            loop.stop()

        loop.watch(ours.fileno(), READABLE, read)
        theirs.send(b"hello")
        loop.run()
        loop.forget(ours.fileno())
    assert received == [b"hello"]


def test_a_handler_may_forget_a_file_that_is_ready_in_the_same_turn() -> None:
    loop = EventLoop()
    pairs = [socket.socketpair() for _ in range(2)]
    called: list[int] = []

    def forget_the_other(mine: int, other: int) -> None:
        called.append(mine)
        loop.forget(other)
        loop.stop()

    first, second = (pair[0].fileno() for pair in pairs)
    loop.watch(first, READABLE, lambda mask: forget_the_other(first, second))
    loop.watch(second, READABLE, lambda mask: forget_the_other(second, first))
    for pair in pairs:
        pair[1].send(b"x")
    loop.run()
    for pair in pairs:
        for end in pair:
            end.close()
    assert len(called) == 1


def test_a_handler_that_fails_is_reported_and_the_others_go_on() -> None:
    loop = EventLoop()
    bad, good = socket.socketpair(), socket.socketpair()
    failed: list[int] = []

    def fail(mask: int) -> None:
        raise ValueError("a mistake")

    def report(fd: int) -> None:
        failed.append(fd)
        loop.forget(fd)
        good[1].send(b"x")

    loop.on_failure = report
    loop.watch(bad[0].fileno(), READABLE, fail)
    loop.watch(good[0].fileno(), READABLE, lambda mask: loop.stop())
    bad[1].send(b"x")
    loop.run()
    assert failed == [bad[0].fileno()]
    for end in (*bad, *good):
        end.close()


def test_without_anybody_to_report_to_a_failure_ends_the_loop() -> None:
    loop = EventLoop()
    ours, theirs = socket.socketpair()

    def fail(mask: int) -> None:
        raise ValueError("a mistake")

    with ours, theirs:
        loop.watch(ours.fileno(), READABLE, fail)
        theirs.send(b"x")
        with pytest.raises(ValueError, match="a mistake"):
            loop.run()


def test_the_mask_of_a_watched_file_can_change() -> None:
    loop = EventLoop()
    ours, theirs = socket.socketpair()
    masks: list[int] = []
    with ours, theirs:
        loop.watch(ours.fileno(), READABLE, lambda mask: None)

        def write(mask: int) -> None:
            masks.append(mask)
            loop.stop()

        loop.watch(ours.fileno(), WRITABLE, write)
        loop.run()
        loop.forget(ours.fileno())
    assert masks == [WRITABLE]


def test_timers_come_back_until_they_are_cancelled() -> None:
    loop = EventLoop()
    ticks: list[str] = []

    def tick() -> None:
        ticks.append("tick")
        if len(ticks) == 3:
            timer.cancelled = True
            loop.every(0.02, loop.stop)

    timer = loop.every(0.001, tick)
    loop.run()
    assert ticks == ["tick"] * 3


def test_what_is_put_off_while_putting_off_waits_for_the_next_turn() -> None:
    loop = EventLoop()
    order: list[str] = []

    def first() -> None:
        order.append("first")
        loop.soon(second)

    def second() -> None:
        order.append("second")
        loop.stop()

    loop.soon(first)
    loop.soon(lambda: order.append("also"))
    loop.run()
    assert order == ["first", "also", "second"]


def test_the_end_of_a_turn_comes_after_all_its_handlers() -> None:
    loop = EventLoop()
    pairs = [socket.socketpair() for _ in range(3)]
    order: list[str] = []

    def end_turn() -> None:
        order.append("end")
        loop.stop()

    def read(end: socket.socket) -> None:
        order.append("handler")
        loop.soon(lambda: order.append("soon"))
        end.recv(1)

    for ours, theirs in pairs:
        loop.watch(ours.fileno(), READABLE, lambda mask, end=ours: read(end))  # type: ignore[misc]
        theirs.send(b"x")
    loop.on_turn_end = end_turn
    loop.run()
    assert order == ["handler"] * 3 + ["soon"] * 3 + ["end"]
    for pair in pairs:
        for end in pair:
            end.close()


def test_a_turn_within_a_turn_serves_the_others() -> None:
    loop = EventLoop()
    busy, other = socket.socketpair(), socket.socketpair()
    order: list[str] = []

    def serve_other(mask: int) -> None:
        order.append("other")
        other[0].recv(1)

    def be_busy(mask: int) -> None:
        busy[0].recv(1)
        other[1].send(b"x")
        while not order:
            loop.turn()
        order.append("busy")
        loop.stop()

    loop.watch(busy[0].fileno(), READABLE, be_busy)
    loop.watch(other[0].fileno(), READABLE, serve_other)
    busy[1].send(b"x")
    loop.run()
    assert order == ["other", "busy"]
    for end in (*busy, *other):
        end.close()


def test_a_long_turn_is_reported() -> None:
    loop = EventLoop()
    ours, theirs = socket.socketpair()
    reported: list[float] = []

    def dawdle(mask: int) -> None:
        ours.recv(1)
        time.sleep(2 * LONG_TURN_SECONDS)
        loop.every(0.001, loop.stop)

    loop.on_long_turn = reported.append
    loop.watch(ours.fileno(), READABLE, dawdle)
    with ours, theirs:
        theirs.send(b"x")
        loop.run()
    assert len(reported) == 1
    assert loop.longest_turn == reported[0] >= 2 * LONG_TURN_SECONDS


@pytest.mark.parametrize("make", [new_poller, PollPoller, SelectPoller])
class TestPollers:
    def test_a_file_is_ready_for_what_it_was_watched_for(
        self, make: Callable[[], Poller]
    ) -> None:
        poller = make()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            poller.register(ours.fileno(), READABLE)
            assert poller.poll(0) == []
            theirs.send(b"x")
            assert poller.poll(5) == [(ours.fileno(), READABLE)]
            poller.modify(ours.fileno(), READABLE | WRITABLE)
            assert poller.poll(5) == [(ours.fileno(), READABLE | WRITABLE)]
            poller.modify(ours.fileno(), 0)
            assert poller.poll(0) == []
            poller.unregister(ours.fileno())

    def test_waiting_ends_with_its_time(self, make: Callable[[], Poller]) -> None:
        started = time.monotonic()
        assert make().poll(0.02) == []
        assert time.monotonic() - started >= 0.015

    def test_a_loop_turns_with_it(self, make: Callable[[], Poller]) -> None:
        loop = EventLoop(make())
        ours, theirs = socket.socketpair()
        with ours, theirs:
            loop.watch(ours.fileno(), READABLE, lambda mask: loop.stop())
            theirs.send(b"x")
            loop.run()
            loop.forget(ours.fileno())
