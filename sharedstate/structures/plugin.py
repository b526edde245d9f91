"""The built-in structures. They come in by the same door as those of third parties."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharedstate.hookspecs import StructureRecord, hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharedstate.structures.base import StructureContext


@hookimpl
def sharedstate_structures() -> list[StructureRecord]:
    """Every kind that has a method of `State`. Each is imported when the first is made."""
    return [
        StructureRecord("map", "A dict that processes share", _create_map),
        StructureRecord("counter", "A whole number that many add to", _create_counter),
        StructureRecord("float_counter", "A float that many add to", _create_float_counter),
        StructureRecord("queue", "Items in order, each for one taker", _create_queue),
        StructureRecord("lock", "One holder at a time, by lease", _create_lock),
        StructureRecord("rwlock", "Many readers or one writer, by lease", _create_rwlock),
        StructureRecord("multilock", "Several locks, all or none", _create_multilock),
        StructureRecord("event", "A flag that many wait for", _create_event),
        StructureRecord("latch", "Opens when counted down to zero", _create_latch),
        StructureRecord("barrier", "Parties that pass together", _create_barrier),
        StructureRecord("semaphore", "So many permits, by lease", _create_semaphore),
        StructureRecord("condition", "A lock to wait under", _create_condition),
        StructureRecord("election", "One leader at a time, by lease", _create_election),
        StructureRecord("once", "A function that runs once", _create_once),
        StructureRecord("rate_limiter", "So many in so long", _create_rate_limiter),
    ]


def _create_map(context: StructureContext, options: Mapping[str, object]) -> object:
    from sharedstate.structures.map import Map

    return Map(context, options)


def _create_counter(context: StructureContext, options: Mapping[str, object]) -> object:
    from sharedstate.structures.counter import Counter

    return Counter(context, options)


def _create_float_counter(
    context: StructureContext, options: Mapping[str, object]
) -> object:
    from sharedstate.structures.counter import FloatCounter

    return FloatCounter(context, options)


def _create_queue(context: StructureContext, options: Mapping[str, object]) -> object:
    from sharedstate.structures.queue import Queue

    return Queue(context, options)


def _create_lock(context: StructureContext, options: Mapping[str, object]) -> object:
    from sharedstate.structures.lock import Lock

    return Lock(context, options)


def _create_multilock(context: StructureContext, options: Mapping[str, object]) -> object:
    from sharedstate.structures.multilock import MultiLock

    return MultiLock(context, options)


def _create_rwlock(context: StructureContext, options: Mapping[str, object]) -> object:
    from sharedstate.structures.rwlock import RWLock

    return RWLock(context, options)


def _create_event(context: StructureContext, options: Mapping[str, object]) -> object:
    from sharedstate.structures.event import Event

    return Event(context, options)


def _create_latch(context: StructureContext, options: Mapping[str, object]) -> object:
    from sharedstate.structures.latch import CountDownLatch

    return CountDownLatch(context, options)


def _create_barrier(context: StructureContext, options: Mapping[str, object]) -> object:
    from sharedstate.structures.barrier import Barrier

    return Barrier(context, options)


def _create_semaphore(context: StructureContext, options: Mapping[str, object]) -> object:
    from sharedstate.structures.semaphore import BoundedSemaphore, Semaphore

    kind = BoundedSemaphore if options.get("bounded") else Semaphore
    return kind(context, options)


def _create_condition(context: StructureContext, options: Mapping[str, object]) -> object:
    from sharedstate.structures.condition import Condition

    return Condition(context, options)


def _create_election(context: StructureContext, options: Mapping[str, object]) -> object:
    from sharedstate.structures.election import LeaderElection

    return LeaderElection(context, options)


def _create_once(context: StructureContext, options: Mapping[str, object]) -> object:
    from sharedstate.structures.once import Once

    return Once(context, options)


def _create_rate_limiter(
    context: StructureContext, options: Mapping[str, object]
) -> object:
    from sharedstate.structures.rate_limiter import RateLimiter

    return RateLimiter(context, options)
