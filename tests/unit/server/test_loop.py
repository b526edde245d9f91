"""The event loop calls handlers when files are ready, timers when they are due."""

from __future__ import annotations

import socket

import pytest

from sharedstate_server.loop import READABLE, WRITABLE, EventLoop


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
