"""Pollers: what waits for files to be ready, by the best means the system has.

All have the calls of epoll, which is used as it is: `register`, `modify`, `unregister`,
and `poll(seconds, most)`, which gives (file, ready mask) pairs. Masks are those of `poll`.
Of the files that are ready epoll gives `most` at a time, those first that have waited; its
stand-ins give all.
"""

from __future__ import annotations

import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Poller(Protocol):
        """What epoll and its stand-ins have in common."""

        def register(self, fd: int, eventmask: int) -> None: ...
        def modify(self, fd: int, eventmask: int) -> None: ...
        def unregister(self, fd: int) -> None: ...
        def poll(self, timeout: float, most: int = -1) -> list[tuple[int, int]]: ...


READABLE = 1
WRITABLE = 4
# The other side has closed, or half. Where it cannot be asked for, its end alone tells.
HANGUP: int = getattr(select, "POLLRDHUP", 0)

_READY = READABLE | WRITABLE


class PollPoller:
    """`select.poll`, which counts its time-outs in milliseconds."""

    def __init__(self) -> None:
        poll = select.poll()
        self.register = poll.register
        self.modify = poll.modify
        self.unregister = poll.unregister
        self._poll = poll.poll

    def poll(self, timeout: float, most: int = -1) -> list[tuple[int, int]]:
        """The files that are ready within so many seconds."""
        return self._poll(timeout * 1000)


class KqueuePoller:
    """kqueue, of the BSDs and macOS: it watches for reading and for writing apart."""

    def __init__(self) -> None:
        self._queue = select.kqueue()  # type: ignore[attr-defined, unused-ignore]
        self._masks: dict[int, int] = {}

    def register(self, fd: int, eventmask: int) -> None:
        """Watch a file."""
        self._masks[fd] = 0
        self.modify(fd, eventmask)

    def modify(self, fd: int, eventmask: int) -> None:
        """Watch a file for something else."""
        changed = self._masks[fd] ^ eventmask
        for mask, kind in (
            (READABLE, select.KQ_FILTER_READ),  # type: ignore[attr-defined, unused-ignore]
            (WRITABLE, select.KQ_FILTER_WRITE),  # type: ignore[attr-defined, unused-ignore]
        ):
            if changed & mask:
                self._change(fd, kind, is_wanted=bool(eventmask & mask))
        self._masks[fd] = eventmask

    def _change(self, fd: int, kind: int, *, is_wanted: bool) -> None:
        flags = select.KQ_EV_ADD if is_wanted else select.KQ_EV_DELETE  # type: ignore[attr-defined, unused-ignore]
        self._queue.control([select.kevent(fd, kind, flags)], 0, 0)  # type: ignore[attr-defined, unused-ignore]

    def unregister(self, fd: int) -> None:
        """Watch a file no more."""
        self.modify(fd, 0)
        del self._masks[fd]

    def poll(self, timeout: float, most: int = -1) -> list[tuple[int, int]]:
        """The files that are ready within so many seconds."""
        ready: dict[int, int] = {}
        for event in self._queue.control(None, max(len(self._masks), 1), timeout):
            is_read = event.filter == select.KQ_FILTER_READ  # type: ignore[attr-defined, unused-ignore]
            ready[event.ident] = ready.get(event.ident, 0) | (
                READABLE if is_read else WRITABLE
            )
        return list(ready.items())


class SelectPoller:
    """`select.select`, which every system has, for up to some thousand files."""

    def __init__(self) -> None:
        self._masks: dict[int, int] = {}

    def register(self, fd: int, eventmask: int) -> None:
        """Watch a file."""
        self._masks[fd] = eventmask

    def modify(self, fd: int, eventmask: int) -> None:
        """Watch a file for something else."""
        self._masks[fd] = eventmask

    def unregister(self, fd: int) -> None:
        """Watch a file no more."""
        del self._masks[fd]

    def poll(self, timeout: float, most: int = -1) -> list[tuple[int, int]]:
        """The files that are ready within so many seconds."""
        reading = [fd for fd, mask in self._masks.items() if mask & READABLE]
        writing = [fd for fd, mask in self._masks.items() if mask & WRITABLE]
        readable, writable, _ = select.select(reading, writing, [], timeout)
        ready = dict.fromkeys(readable, READABLE)
        for fd in writable:
            ready[fd] = ready.get(fd, 0) | WRITABLE
        return list(ready.items())


def new_poller() -> Poller:
    """The best poller there is."""
    if hasattr(select, "epoll"):
        return select.epoll()
    if hasattr(select, "kqueue"):
        return KqueuePoller()
    return PollPoller() if hasattr(select, "poll") else SelectPoller()
