"""Fencing that the store enforces: writes that carry the token of a lock.

A lease can end while its holder does not run: it was stopped, or swapped out, or its
clock jumped. Another process is granted the lock and works on; then the first one wakes,
and writes what it had in mind. No lock can prevent that, for the late write is already
on its way when the lock is lost. What is written to can: every grant of a lock has a
higher number than all before, a write carries the number of its grant, and a structure
that has seen a higher one of the same lock refuses it. Here it is the store that
compares, in the very step that writes.

    map.set("plan", plan, fence=lock)            # this one write

    with lock.fencing(map, counter):             # all writes in the block
        map["plan"] = plan
        counter.add(1)

How it is done: `FencedBackend` stands between one handle and its backend, and is put
there when the handle is fenced for the first time, so that others pay nothing. A write is
run as a script: the check of `fencing.lua`, followed by the script or command that was
asked for. What reads goes straight on.

What always holds:

- A write that is refused changes nothing: neither the structure nor what it has seen.
- A fenced write is never sent twice, even if it could be without the fence. The second
  time, another token may have been seen in between, and a write that was made would be
  reported as refused.
- A block is of the thread or task that entered it (`contextvars`), and so is a `fence=`.
  What others write through the same handle carries nothing. A task that is started in
  the block inherits it, and keeps it if it outlives the block.

Left out on purpose: reads are not refused, since what has been read may be outdated as
soon as it arrives anyway. And a write without a token is not refused either: fencing
protects from those who use it too.

Source: https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from types import MethodType
from typing import TYPE_CHECKING, Protocol

from sharedstate.errors import NotSupported
from sharedstate.fenced_backend import FencedBackend, carried
from sharedstate.structures.base import Structure

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")


class FencingLock(Protocol):
    """What a fence can be taken of: a lock that is held, or a `Fence`.

    Its tokens must rise with every grant. What they are counted by is its `fence_prefix`
    if it has one, otherwise the prefix of its keys on the store.
    """

    @property
    def name(self) -> str:
        """What the lock is called in messages."""

    @property
    def token(self) -> int:
        """The number of the grant. Raises `LockNotOwned` or `LockLost` without one."""


@dataclass(frozen=True, slots=True)
class Fence:
    """One grant of a lock, as writes carry it. It stays what it is when the lock is lost.

    Picklable: a holder that lets other processes write for it sends it along, and they
    write with `fence=`, or in a block of `fencing(fence, …)`.
    """

    name: str
    token: int
    fence_prefix: str

    @classmethod
    def of(cls, lock: FencingLock) -> Fence:
        """The fence of the grant that a lock has now. No round trip.

        Raises `LockNotOwned` or `LockLost` if it is not held, `TypeError` for what is no
        lock.
        """
        if type(lock) is Fence:
            return lock
        prefix = getattr(lock, "fence_prefix", None)
        if prefix is None and isinstance(lock, Structure):
            prefix = lock._context.prefix
        try:
            name, token = lock.name, lock.token
        except AttributeError:
            prefix = None
        if not isinstance(prefix, str):
            raise TypeError(
                f"expected a lock with fencing tokens, got {lock!r:.100}; an object of "
                f"another kind needs the attributes name, token and fence_prefix"
            )
        if type(token) is not int or token < 0:
            raise TypeError(
                f"expected the token of the lock {name!r} as an int that is not "
                f"negative, got {token!r}"
            )
        return cls(name, token, prefix)


def fencing(lock: FencingLock, *structures: Structure) -> AbstractContextManager[Fence]:
    """`with fencing(lock, map, counter):` all writes in the block carry the lock's token.

    That is: what this thread or task writes through these very handles. A write raises
    `StaleToken`, and changes nothing, once the structure has seen a higher token of the
    lock. Blocks can be nested; with several locks on one structure, each is checked.

    Entering takes the token, and shows it to each structure, so that no earlier holder
    can write between what the block reads and what it writes. It costs one round trip a
    structure, and raises `LockNotOwned` or `LockLost` if the lock is not held, and
    `StaleToken` if another has entered or written already. A lock that is lost in the
    middle is told by a `StaleToken` only if another has done so; until then, writes are
    made. Look at `lock.lost` to know earlier.

    Gives the `Fence`. Raises `NotSupported` for structures that cannot be fenced.
    """
    if not structures:
        raise TypeError("expected at least one structure whose writes are to be fenced")
    for structure in structures:
        _check_fenceable(structure)
    return _Fencing(lock, structures)


def call_fenced(
    lock: FencingLock,
    handle: Structure,
    method: Callable[P, R],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> R:
    """Call a method of a handle whose writes carry the token of a lock: `fence=`."""
    fence = Fence.of(lock)
    _fenced_backend(handle)
    mine = carried.get()
    _, fences = mine.get(id(handle), (handle, ()))
    before = carried.set({**mine, id(handle): (handle, (*fences, fence))})
    try:
        return method(*args, **kwargs)
    finally:
        carried.reset(before)


class _Fencing:
    """What `fencing` returns."""

    def __init__(self, lock: FencingLock, structures: tuple[Structure, ...]) -> None:
        self._lock = lock
        self._structures = structures
        self._entered: list[Fence] = []

    def __enter__(self) -> Fence:
        fence = Fence.of(self._lock)
        for structure in self._structures:
            _fenced_backend(structure).announce(fence)
        self._entered.append(fence)
        _begin(fence, self._structures)
        return fence

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _end(self._entered.pop(), self._structures)


def _begin(fence: Fence, structures: tuple[Structure, ...]) -> None:
    mine = dict(carried.get())
    for structure in structures:
        _, fences = mine.get(id(structure), (structure, ()))
        mine[id(structure)] = (structure, (*fences, fence))
    carried.set(mine)


def _end(fence: Fence, structures: tuple[Structure, ...]) -> None:
    """Undo `_begin`. Blocks need not end in the order in which they began, nor in the
    same context: a generator may be closed in another one, where there is nothing to undo.
    """
    mine = dict(carried.get())
    for structure in structures:
        _, fences = mine.get(id(structure), (structure, ()))
        if fence in fences:
            at = fences.index(fence)
            mine[id(structure)] = (structure, fences[:at] + fences[at + 1 :])
        if not mine.get(id(structure), (structure, ()))[1]:
            mine.pop(id(structure), None)
    carried.set(mine)


def _check_fenceable(structure: object) -> None:
    if not isinstance(structure, Structure):
        raise TypeError(
            f"expected handles of structures (a map, a counter, …), got {structure!r:.100}"
        )
    if not structure.fenceable:
        raise NotSupported(
            f"a {structure._context.kind} cannot be fenced; maps, counters and queues can"
        )


def _fenced_backend(handle: Structure) -> FencedBackend:
    """The backend of a handle that can be fenced, put before its own if need be.

    Safe for threads without a lock: two that do it at once make backends that do the
    same. The context comes last, for whoever finds it changed relies on the rest.
    """
    context = handle._context
    backend = context.backend
    if isinstance(backend, FencedBackend):
        return backend
    fenced = FencedBackend(backend, handle)
    for name, value in list(vars(handle).items()):
        if type(value) is MethodType and value.__self__ is backend:
            setattr(handle, name, getattr(fenced, value.__name__))
    handle._context = copy(context)
    handle._context.backend = fenced
    return fenced
