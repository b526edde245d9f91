"""The event loop: file events over epoll, time events, and what is to be done soon.

One thread turns the loop. A turn is: wait until a file is ready or a timer is due, call
the handlers of the ready files, then the timers, then what was put off (`soon`). A
handler never blocks and never takes longer than a slice; whoever has more to do puts
the rest off, so that everyone else gets a turn in between.

    while running:  poll ──> file handlers ──> due timers ──> soon ──┐
                      ^──────────────────────────────────────────────┘

Where there is no epoll, `poll` takes its place: same masks, same calls.
"""

from __future__ import annotations

import heapq
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    FileHandler = Callable[[int], None]

    class Poller(Protocol):
        """What epoll and its stand-in have in common."""

        def register(self, fd: int, eventmask: int) -> None: ...
        def modify(self, fd: int, eventmask: int) -> None: ...
        def unregister(self, fd: int) -> None: ...
        def poll(self, timeout: float) -> list[tuple[int, int]]: ...


READABLE = select.POLLIN
WRITABLE = select.POLLOUT
# The other side has closed, or half. Where it cannot be asked for, its end alone tells.
HANGUP: int = getattr(select, "POLLRDHUP", 0)

# How long to sleep when no timer is set. Any bound would do: a signal or a file wakes us.
IDLE_SECONDS = 60.0


class _PollPoller:
    """`select.poll` with the calls of epoll, which counts its time-outs in seconds."""

    def __init__(self) -> None:
        poll = select.poll()
        self.register = poll.register
        self.modify = poll.modify
        self.unregister = poll.unregister
        self._poll = poll.poll

    def poll(self, timeout: float) -> list[tuple[int, int]]:
        return self._poll(timeout * 1000)


def _new_poller() -> Poller:
    if hasattr(select, "epoll"):
        return select.epoll()
    return _PollPoller()


class Timer:
    """A time event that comes back every `interval` seconds until it is cancelled."""

    __slots__ = ("action", "cancelled", "interval")

    def __init__(self, interval: float, action: Callable[[], None]) -> None:
        self.interval = interval
        self.action = action
        self.cancelled = False


class EventLoop:
    """File events, time events, and actions put off to the end of the turn."""

    def __init__(self) -> None:
        self._poller = _new_poller()
        self._handlers: dict[int, FileHandler] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._timer_count = 0
        self._soon: list[Callable[[], None]] = []
        self._running = False
        self._next_due = 0.0
        self.on_failure: Callable[[int], None] = _raise_again
        """Called with the file while its handler's exception is handled. The file must
        not stay ready. Without one, the exception ends the loop."""
        self.on_alarm: Callable[[], float | None] = lambda: None
        """Called with the timers. Does what is due by deadlines of its own, and returns
        the next one (monotonic seconds). An earlier one is announced by `wake_by`."""

    def watch(self, fd: int, mask: int, handler: FileHandler) -> None:
        """Call `handler(ready mask)` whenever the file is ready for what `mask` asks."""
        if fd in self._handlers:
            self._poller.modify(fd, mask)
        else:
            self._poller.register(fd, mask)
        self._handlers[fd] = handler

    def forget(self, fd: int) -> None:
        """Watch the file no more. Call this before closing it."""
        if self._handlers.pop(fd, None) is not None:
            self._poller.unregister(fd)

    def every(self, interval: float, action: Callable[[], None]) -> Timer:
        """Call `action` every `interval` seconds, the first time after one interval."""
        timer = Timer(interval, action)
        self._push(timer, time.monotonic() + interval)
        return timer

    def soon(self, action: Callable[[], None]) -> None:
        """Call `action` once, at the end of this turn, or of the next one if this turn's
        actions are under way."""
        self._soon.append(action)

    def stop(self) -> None:
        """End `run` after the current turn."""
        self._running = False

    def wake_by(self, deadline: float) -> None:
        """Turn at the latest at a time (monotonic seconds), to call `on_alarm`."""
        self._next_due = min(self._next_due, deadline)

    def run(self) -> None:
        """Turn until `stop` is called."""
        self._running = True
        poll = self._poller.poll
        monotonic = time.monotonic
        # The handler of a file that an earlier handler of the turn has closed is gone.
        find_handler = self._handlers.get
        while self._running:
            now = monotonic()
            if now >= self._next_due:
                now = self._run_timers()
            for fd, mask in poll(0.0 if self._soon else self._next_due - now):
                handler = find_handler(fd)
                if handler is not None:
                    try:
                        handler(mask)
                    except Exception:
                        self.on_failure(fd)
            if self._soon:
                self._run_soon()

    def _run_timers(self) -> float:
        """Run what is due. Returns the time, which is before the next that is due."""
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            if not timer.cancelled:
                timer.action()
                # From now, not from when it was due: a stall is not made up for.
                self._push(timer, time.monotonic() + timer.interval)
        alarm = self.on_alarm()
        now = time.monotonic()
        next_due = self._timers[0][0] if self._timers else now + IDLE_SECONDS
        self._next_due = max(now, next_due if alarm is None else min(alarm, next_due))
        return now

    def _push(self, timer: Timer, due: float) -> None:
        self._timer_count += 1
        heapq.heappush(self._timers, (due, self._timer_count, timer))
        self._next_due = min(self._next_due, due)

    def _run_soon(self) -> None:
        actions, self._soon = self._soon, []
        for action in actions:
            action()


def _raise_again(fd: int) -> None:
    """Let the exception that is being handled go on."""
    raise
