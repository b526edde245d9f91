"""The event loop: file events, time events, and what is to be done soon.

One thread turns the loop. A turn is: wait until a file is ready or a timer is due, call
the handlers of the ready files, then what was put off (`soon`), then `on_files_done`
(what was read is processed) and `on_turn_end` (replies leave), then the timers. A handler
never blocks and never takes longer than a slice; whoever has more to do puts the rest
off, so that everyone else gets a turn in between.

    while running:  poll ─> file handlers ─> soon ─> files done ─> turn end ─> due timers ─┐
                      ^────────────────────────────────────────────────────────────────────┘

**Before it sleeps.** Being woken takes longer than most turns. When several files were
ready in a turn, more are likely to be soon: then the loop gives others the processor and
looks again, a few times, before it sleeps. With one client alone it sleeps at once.
"""

from __future__ import annotations

import heapq
import os
import time
from collections import deque

from sharedstate_server.own_time import OwnTime
from sharedstate_server.pollers import HANGUP, READABLE, WRITABLE, new_poller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_server.pollers import Poller

    FileHandler = Callable[[int], None]

__all__ = ("HANGUP", "READABLE", "WRITABLE", "EventLoop", "Timer")

# How long to sleep when no timer is set. Any bound would do: a signal or a file wakes us.
IDLE_SECONDS = 60.0

# So many ready files in a turn are a crowd, and so often the loop looks for more of them
# before it sleeps.
_CROWD = 4
_LOOKS = 16

FILES_PER_TURN = 64
"""So many files are served in a turn. What is read from all of them is then processed,
and then all replies leave: kernel and interpreter each find their caches warm."""

SLICE_SECONDS = 0.005
"""After so long in a turn, what can wait for the next one does."""

SOON_SECONDS = 0.005
"""What was put off goes on in the next turn when it has taken so long in this one."""

# A timer that failed comes again after so long at the earliest: each time is logged.
_FAILED_SECONDS = 1.0

NO_FILE = -1
"""What `on_failure` is called with when it was no file's handler that failed."""

LONG_TURN_SECONDS = 0.025
"""A turn that takes longer is told to `on_long_turn`."""


class Timer:
    """A time event that comes back every `interval` seconds until it is cancelled."""

    __slots__ = ("action", "cancelled", "interval")

    def __init__(self, interval: float, action: Callable[[], None]) -> None:
        self.interval = interval
        self.action = action
        self.cancelled = False


class EventLoop:
    """File events, time events, and actions put off to the end of the turn."""

    def __init__(self, poller: Poller | None = None) -> None:
        self._poller = new_poller() if poller is None else poller
        self._handlers: dict[int, FileHandler] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._timer_count = 0
        self._soon: deque[Callable[[], None]] = deque()
        self._running = False
        self._own_time = OwnTime()
        # Since the timers ran last.
        self._slept = 0.0
        self.files_per_turn = FILES_PER_TURN
        """How many files are served in a turn. More where a turn has a price of its own."""
        self.ready_count = 0
        """How often a file was ready so far."""
        self._next_due = 0.0
        self.reads = True
        """Whether files are looked at. Not while what was read waits to be processed."""
        self.is_crowded = True
        """Whether several files are ready in this turn."""
        self.now = time.monotonic()
        """The time at which this turn began."""
        self.longest_turn = 0.0
        """The longest turn so far, in seconds."""
        self.longest_own_turn = 0.0
        """The same without what the machine gave to others meanwhile, as far as can be
        told. Turns that are no longer than a slice are not looked at."""
        self.on_files_done: Callable[[], None] = lambda: None
        """Called when the files of a turn have been served, before the turn's end."""
        self.on_turn_end: Callable[[], None] = lambda: None
        """Called when the handlers of a turn are done."""
        self.on_long_turn: Callable[[float], None] = lambda seconds: None
        """Called with the duration of a turn that was longer than a slice."""
        self.on_failure: Callable[[int], None] = _raise_again
        """Called with the file while its handler's exception is handled, or with NO_FILE
        while that of a timer, or of something put off, is. The file must not stay ready.
        Without one, the exception ends the loop."""
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
        """Call `action` once, at the end of this turn; of a later one if this turn's
        actions are under way, or there is much to do. All are called in order."""
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
        ready: list[tuple[int, int]] = []
        self.now = monotonic()
        self._own_time.begin(self.now)
        while self._running:
            now = monotonic()
            if now - self.now > LONG_TURN_SECONDS:
                self._note_long_turn(now - self.now, now)
            if now >= self._next_due:
                now = self._run_timers()
            timeout = 0.0 if self._soon else self._next_due - now
            ready = self._look_around() if len(ready) >= _CROWD and self.reads else []
            if not ready and self.reads:
                ready = poll(timeout, self.files_per_turn)
            began = self.now = monotonic()
            self._slept += began - now
            self.ready_count += len(ready)
            self.is_crowded = len(ready) > 1
            for fd, mask in ready:
                handler = find_handler(fd)
                if handler is not None:
                    try:
                        handler(mask)
                    except Exception:
                        self.on_failure(fd)
            if self._soon:
                self._run_soon()
            self._end_turn()

    def _look_around(self) -> list[tuple[int, int]]:
        """The files that become ready while others have the processor."""
        poll, yield_processor = self._poller.poll, os.sched_yield
        for _ in range(_LOOKS):
            ready = poll(0.0, self.files_per_turn)
            if ready:
                return ready
            yield_processor()
        return []

    def turn(self) -> None:
        """Serve the files that are ready now, in the middle of a handler that cannot go
        on by itself. Timers, and what was put off, wait.
        """
        for fd, mask in self._poller.poll(0.0) if self.reads else ():
            handler = self._handlers.get(fd)
            if handler is not None:
                try:
                    handler(mask)
                except Exception:
                    self.on_failure(fd)
        self._end_turn()
        # A turn within a turn is no reason to call that one long.
        self.now = time.monotonic()

    def is_over_time(self) -> bool:
        """Whether this turn has taken its slice of time."""
        return time.monotonic() - self.now > SLICE_SECONDS

    def _note_long_turn(self, seconds: float, now: float) -> None:
        """Note a turn, or what its timers did, that has taken so long and is over now."""
        own_seconds = self._own_time.within(seconds, now, self._slept)
        self.longest_turn = max(self.longest_turn, seconds)
        self.longest_own_turn = max(self.longest_own_turn, own_seconds)
        self.on_long_turn(seconds)

    def _run_timers(self) -> float:
        """Run what is due. Returns the time, which is before the next that is due."""
        began = now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            if not timer.cancelled:
                self._run_timer(timer)
        alarm = self._ring_alarm()
        now = time.monotonic()
        if now - began > LONG_TURN_SECONDS:
            self._note_long_turn(now - began, now)
        self._own_time.begin(now)
        self._slept = 0.0
        next_due = self._timers[0][0] if self._timers else now + IDLE_SECONDS
        self._next_due = max(now, next_due if alarm is None else min(alarm, next_due))
        return now

    def _run_timer(self, timer: Timer) -> None:
        pause = 0.0
        try:
            timer.action()
        except Exception:
            pause = _FAILED_SECONDS
            self.on_failure(NO_FILE)
        # From now, not from when it was due: a stall is not made up for.
        self._push(timer, time.monotonic() + max(timer.interval, pause))

    def _ring_alarm(self) -> float | None:
        try:
            return self.on_alarm()
        except Exception:
            self.on_failure(NO_FILE)
            return None

    def _push(self, timer: Timer, due: float) -> None:
        self._timer_count += 1
        heapq.heappush(self._timers, (due, self._timer_count, timer))
        self._next_due = min(self._next_due, due)

    def _run_soon(self) -> None:
        actions = self._soon
        end = time.monotonic() + SOON_SECONDS
        for _ in range(len(actions)):
            try:
                actions.popleft()()
            except Exception:
                self.on_failure(NO_FILE)
            if time.monotonic() > end:
                break

    def _end_turn(self) -> None:
        try:
            self.on_files_done()
            self.on_turn_end()
        except Exception:
            self.on_failure(NO_FILE)


def _raise_again(fd: int) -> None:
    """Let the exception that is being handled go on."""
    raise
