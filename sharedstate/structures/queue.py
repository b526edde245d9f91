"""Queue: as `queue.Queue`, between processes and machines. `queue.lua` is its model.

First in, first out, over all producers and consumers: each item is got by one of them,
in the order in which the puts reached the store. Who waits is woken by whoever makes
room, without polling (`sharedstate.waiting`).

An item that was got and not finished is gone with the process that got it: `task_done`
counts, it does not lease. If the answer to a put or get is lost, `IndeterminateError`
says so: the item may be in the queue, or have been taken out, and nothing is sent twice.

The bound is the queue's, not the handle's. The first put of a handle with a `maxsize`
sets it for everybody; handles made without one follow it; a put by a handle with
another one raises `ConfigError`, for a program in which producers disagree is wrong.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sharedstate.errors import (
    BackendError,
    ConfigError,
    QueueEmpty,
    QueueFull,
    QueueShutDown,
    SerializationError,
    SharedStateError,
)
from sharedstate.scripts import load_scripts
from sharedstate.structures.base import Structure
from sharedstate.structures.queue_options import check_options, deadline_of
from sharedstate.waiting import FOREVER, wait_for_token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import timedelta
    from typing import NoReturn

    from sharedstate.backend import Script
    from sharedstate.fencing import FencingLock
    from sharedstate.structures.base import StructureContext
    from sharedstate.waiting import Deadline

T = TypeVar("T")

MAX_PORTION = 1000
"""The most items that one script call puts. More are put in portions: a script keeps
every other client waiting, and Lua passes some 8,000 values to a call at most."""

_SCRIPTS = str(Path(__file__).with_name("queue.lua"))

# What scripts reply in place of items, or of how many were put.
_NOT_NOW, _SHUT, _OTHER_LIMIT = 0, -1, -2


class Queue(Structure, Generic[T]):
    """A queue that processes share. Each method is atomic unless it says otherwise.

    Putting and getting cost one round trip when they need not wait; who waits, three
    more. Time-outs are seconds, or a `timedelta`; None waits for ever.

    What is done with `fence=lock` carries the token of a lock that is held, and raises
    `StaleToken`, with nothing changed, if a later holder has written: see `Lock.fencing`.
    """

    fenceable = True

    def __init__(self, context: StructureContext, options: Mapping[str, object]) -> None:
        super().__init__(context, options)
        self._bound = check_options(context, options)
        self._limit = str(self._bound)
        self._run = context.backend.run_script
        self._execute: Callable[[tuple[Any, ...]], Any] = context.backend.execute
        self._dumps = context.serializer.dumps
        self._loads = context.serializer.loads
        items, meta = context.key("items"), context.key("meta")
        ready, room, done = context.key("ready"), context.key("room"), context.key("done")
        self._items, self._meta = items, meta
        self._wake_lists = {"getters": ready, "putters": room, "joiners": done}
        self._put_keys = (items, meta, ready)
        self._get_keys = (items, meta, room)
        self._scripts = scripts = load_scripts(_SCRIPTS)
        self._put, self._get = scripts["put"], scripts["get"]

    def put(
        self,
        item: T,
        block: bool = True,
        timeout: float | timedelta | None = None,
        *,
        fence: FencingLock | None = None,
    ) -> None:
        """Put an item at the end, waiting for room if need be.

        Raises `QueueFull` if there was no room, at once or within `timeout`, and
        `QueueShutDown` once the queue is shut down. One round trip.
        """
        if fence is not None:
            self._fenced(fence, self.put, item, block, timeout)
            return
        deadline = FOREVER if block and timeout is None else deadline_of(block, timeout)
        data = self._dumps(item)
        announce = "0" if deadline.is_over else "1"
        reply: int = self._run(self._put, self._put_keys, (self._limit, announce, data))
        if reply < 1:
            if reply == _NOT_NOW and announce == "1":
                reply = self._ask_again(self._putting((data,)), "putters", deadline)
            if reply < 1:
                self._refuse_put(reply)

    def put_nowait(self, item: T, *, fence: FencingLock | None = None) -> None:
        """Put an item, or raise `QueueFull`. One round trip."""
        self.put(item, False, fence=fence)

    def put_many(
        self,
        items: Iterable[T],
        block: bool = True,
        timeout: float | timedelta | None = None,
        *,
        fence: FencingLock | None = None,
    ) -> int:
        """Put items in order, as room appears; how many were put.

        That is all of them, unless time ran out, or the queue was shut down, between
        two portions. Raises `QueueFull` or `QueueShutDown` only if not one was put.
        Atomic, and one round trip, for each portion: as many items as there is room
        for, `MAX_PORTION` at most. Items of others may come between two portions.
        """
        if fence is not None:
            return self._fenced(fence, self.put_many, items, block, timeout)
        deadline = deadline_of(block, timeout)
        values = [self._dumps(item) for item in items]
        put = 0
        while put < len(values):
            ask = self._putting(values[put : put + MAX_PORTION])
            reply: int = self._ask(ask, "putters", deadline)
            if reply < 1:
                if put:
                    break
                self._refuse_put(reply)
            put += reply
        return put

    def get(
        self,
        block: bool = True,
        timeout: float | timedelta | None = None,
        *,
        fence: FencingLock | None = None,
    ) -> T:
        """Take the first item, waiting for one if need be.

        Raises `QueueEmpty` if there was none, at once or within `timeout`, and
        `QueueShutDown` if the queue is shut down and empty. An item that the serializer
        cannot read goes back to its place, and `SerializationError` is raised. One
        round trip.
        """
        if fence is not None:
            return self._fenced(fence, self.get, block, timeout)
        deadline = FOREVER if block and timeout is None else deadline_of(block, timeout)
        announce = "0" if deadline.is_over else "1"
        reply = self._run(self._get, self._get_keys, (announce,))
        if type(reply) is int:
            if reply == _NOT_NOW and announce == "1":
                reply = self._ask_again(self._getting(self._get), "getters", deadline)
            if type(reply) is int:
                self._refuse_get(reply)
        try:
            item: T = self._loads(reply)
        except SerializationError:
            self._give_back((reply,))
            raise
        return item

    def get_nowait(self, *, fence: FencingLock | None = None) -> T:
        """Take the first item, or raise `QueueEmpty`. One round trip."""
        return self.get(False, fence=fence)

    def get_many(
        self,
        n: int,
        block: bool = True,
        timeout: float | timedelta | None = None,
        *,
        fence: FencingLock | None = None,
    ) -> list[T]:
        """Take the first items: as many as there are, up to `n`, and at least one.

        Waits for the first as `get` does, not for more. Atomic; one round trip.
        """
        if fence is not None:
            return self._fenced(fence, self.get_many, n, block, timeout)
        if n < 1:
            raise ValueError(f"expected to get at least 1 item, got n={n}")
        ask = self._getting(self._scripts["get_many"], n)
        reply = self._ask(ask, "getters", deadline_of(block, timeout))
        if type(reply) is int:
            self._refuse_get(reply)
        try:
            return [self._loads(data) for data in reply]
        except SerializationError:
            self._give_back(reply[::-1])
            raise

    def peek(self) -> T:
        """The first item, which stays. Raises `QueueEmpty`. One round trip."""
        items = self.peek_many(1)
        if not items:
            raise QueueEmpty(f"the queue {self.name!r} is empty")
        return items[0]

    def peek_many(self, n: int) -> list[T]:
        """The first items, up to `n`, which stay. One round trip."""
        if n < 1:
            raise ValueError(f"expected to look at 1 item at least, got n={n}")
        return [
            self._loads(data) for data in self._execute(("LRANGE", self._items, 0, n - 1))
        ]

    def clear(self, *, fence: FencingLock | None = None) -> int:
        """Drop all items, as done; how many there were. Wakes putters. One round trip."""
        if fence is not None:
            return self._fenced(fence, self.clear)
        keys = (self._items, self._meta, *self._lists("putters", "joiners"))
        dropped: int = self._run(self._scripts["clear"], keys)
        return dropped

    def task_done(self, *, count: int = 1, fence: FencingLock | None = None) -> None:
        """Report that an item which was got is done; or `count` of them.

        Raises `ValueError`, and reports nothing, if more would be done than were put.
        One round trip.
        """
        if fence is not None:
            self._fenced(fence, self.task_done, count=count)
            return
        if count < 1:
            raise ValueError(f"expected to report at least 1 task, got count={count}")
        keys = (self._meta, *self._lists("joiners"))
        left: int = self._run(self._scripts["task_done"], keys, (count,))
        if left < 0:
            raise ValueError(
                f"task_done() called too many times on the queue {self.name!r}"
            )

    def join(self, timeout: float | timedelta | None = None) -> bool:
        """Wait until every item that was put is done; False if time ran out before.

        One round trip if all are done.
        """
        deadline = deadline_of(True, timeout)
        script, keys = self._scripts["join"], (self._meta,)

        def ask(announce: str) -> Any:
            return self._run(script, keys, (announce,))

        done: int = self._ask(ask, "joiners", deadline)
        return done == 1

    def shutdown(
        self, immediate: bool = False, *, fence: FencingLock | None = None
    ) -> None:
        """Let nobody put any more; once the items are taken, `get` raises too.

        Those who wait are woken, and raise `QueueShutDown`. With `immediate`, the items
        are dropped, as done. For every process, and for good. As `queue.Queue.shutdown`
        of Python 3.13. One round trip.
        """
        if fence is not None:
            self._fenced(fence, self.shutdown, immediate)
            return
        keys = (
            self._items,
            self._meta,
            *self._lists("getters", "putters", "joiners"),
        )
        self._run(self._scripts["shutdown"], keys, ("1" if immediate else "0",))

    @property
    def is_shutdown(self) -> bool:
        """Whether the queue was shut down. One round trip."""
        found: int = self._execute(("HEXISTS", self._meta, "shut"))
        return found == 1

    @property
    def maxsize(self) -> int:
        """The most items the queue holds; 0 for no bound.

        One round trip for a handle that was made without a bound, none for others.
        """
        return self._bound or int(self._execute(("HGET", self._meta, "limit")) or 0)

    def qsize(self) -> int:
        """How many items are in the queue at this moment. One round trip."""
        size: int = self._execute(("LLEN", self._items))
        return size

    def empty(self) -> bool:
        """Whether the queue is empty at this moment. One round trip."""
        return self.qsize() == 0

    def full(self) -> bool:
        """Whether the queue is full at this moment. One round trip, and `maxsize`'s."""
        bound = self.maxsize
        return 0 < bound <= self.qsize()

    # Asking and waiting. To ask is to run a script that replies "not now" (0), and
    # counts us as waiting if told to by "1".

    def _putting(self, values: Sequence[bytes]) -> Callable[[str], Any]:
        return lambda announce: self._run(
            self._put, self._put_keys, (self._limit, announce, *values)
        )

    def _getting(self, script: Script, *count: int) -> Callable[[str], Any]:
        return lambda announce: self._run(script, self._get_keys, (announce, *count))

    def _ask(self, ask: Callable[[str], Any], kind: str, deadline: Deadline) -> Any:
        """Ask until the reply is another than "not now", or the time is over."""
        announce = "0" if deadline.is_over else "1"
        reply = ask(announce)
        if announce == "0" or type(reply) is not int or reply != _NOT_NOW:
            return reply
        return self._ask_again(ask, kind, deadline)

    def _ask_again(self, ask: Callable[[str], Any], kind: str, deadline: Deadline) -> Any:
        """The same, for one who is counted as waiting already."""
        while True:
            self._sleep(kind, deadline)
            announce = "0" if deadline.is_over else "1"
            reply = ask(announce)
            if announce == "0" or type(reply) is not int or reply != _NOT_NOW:
                return reply

    def _sleep(self, kind: str, deadline: Deadline) -> None:
        """Wait for a token. Afterwards we are not counted as waiting any more."""
        backend = self._context.backend
        try:
            woken = wait_for_token(backend, self._wake_lists[kind], deadline.remaining())
        except BackendError:
            raise
        except BaseException:
            # The interrupt is what the caller has to hear of. A count that stays behind
            # costs somebody one needless question.
            with suppress(SharedStateError):
                self._stop_waiting(kind)
            raise
        if not woken:
            self._stop_waiting(kind)

    def _stop_waiting(self, kind: str) -> None:
        keys = (self._meta, self._wake_lists[kind], self._items)
        self._run(self._scripts["stop_waiting"], keys, (kind,))

    def _lists(self, *kinds: str) -> tuple[str, ...]:
        return tuple(self._wake_lists[kind] for kind in kinds)

    def _give_back(self, values: Sequence[bytes]) -> None:
        """Put what we cannot read back to where it was, for one who can."""
        self._run(self._scripts["give_back"], self._put_keys, values)

    def _refuse_put(self, reply: int) -> NoReturn:
        if reply == _SHUT:
            raise QueueShutDown(f"the queue {self.name!r} was shut down: no more puts")
        if reply == _OTHER_LIMIT:
            stored = int(self._execute(("HGET", self._meta, "limit")) or 0)
            raise ConfigError(
                f"the queue {self.name!r} holds {stored} items at most, and this handle "
                f"was made with maxsize={self._bound}; give the same maxsize everywhere, "
                f"or none to follow the one that is set"
            )
        raise QueueFull(f"the queue {self.name!r} is full")

    def _refuse_get(self, reply: int) -> NoReturn:
        if reply == _SHUT:
            raise QueueShutDown(f"the queue {self.name!r} was shut down, and is empty")
        raise QueueEmpty(f"the queue {self.name!r} is empty")
