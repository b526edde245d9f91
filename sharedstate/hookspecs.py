"""What a plugin may provide: five hooks, each returning frozen records.

A plugin is a module (or an object) named by an entry point of the group `sharedstate`:

    [project.entry-points.sharedstate]
    acme = "acme_sharedstate.plugin"

It implements any of the hooks below with the `hookimpl` mark:

    from sharedstate.hookspecs import SerializerRecord, hookimpl

    @hookimpl
    def sharedstate_serializers() -> list[SerializerRecord]:
        return [SerializerRecord(name="cbor", summary="CBOR, RFC 8949", create=_cbor)]

Hooks are called once, when the first `connect` of a process needs them, and never on
the way of the data. A record names a thing and says how to make it; what is heavy is
imported inside its `create`, when somebody asks for that name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

from sharedstate.records import EMPTY, Record

if TYPE_CHECKING:
    from sharedstate.backend import Backend, Capability
    from sharedstate.config import OptionSpec, Settings
    from sharedstate.consistency import ConsistencyLevel
    from sharedstate.locking import LockStrategy, LockTarget
    from sharedstate.serializers import Serializer
    from sharedstate.structures.base import StructureContext

PROJECT = "sharedstate"

_Function = TypeVar("_Function", bound=Callable[..., Any])


def hookspec(function: _Function) -> _Function:
    """Mark a function as the specification of a hook."""
    marked: _Function = pluggy.HookspecMarker(PROJECT)(function)
    return marked


def hookimpl(function: _Function) -> _Function:
    """Mark a function of a plugin as the implementation of the hook of its name."""
    marked: _Function = pluggy.HookimplMarker(PROJECT)(function)
    return marked


class BackendRecord(Record):
    """A backend, chosen by the scheme of a URL.

    `create` opens it: it receives the checked settings and returns a connected
    `Backend`, or raises `BackendError` when the store cannot be reached. `options` are
    the options that only this backend has, by name; they may be given to `connect`, in
    a file, in the environment or in the query of the URL. `requires` maps each
    importable module that the backend needs beyond the core to the extra that has it.
    """

    name: str
    summary: str
    schemes: tuple[str, ...]
    capabilities: frozenset[Capability]
    create: Callable[[Settings], Backend]
    options: Mapping[str, OptionSpec] = EMPTY
    requires: Mapping[str, str] = EMPTY


class SerializerRecord(Record):
    """A serializer, chosen by name. `create` receives the settings (for keys)."""

    name: str
    summary: str
    create: Callable[[Settings], Serializer]
    options: Mapping[str, OptionSpec] = EMPTY
    requires: Mapping[str, str] = EMPTY


class ConsistencyRecord(Record):
    """A consistency level, chosen by name. `create` receives the settings."""

    name: str
    summary: str
    create: Callable[[Settings], ConsistencyLevel]
    options: Mapping[str, OptionSpec] = EMPTY
    capabilities: frozenset[Capability] = frozenset()
    """What the backend must be able to do for this level to mean anything."""


class LockRecord(Record):
    """A lock strategy, chosen by name.

    `create` receives what is to be locked (backend, key names, lease time) and the
    options that were given to `state.lock(...)` beyond the common ones.
    """

    name: str
    summary: str
    create: Callable[[LockTarget, Mapping[str, object]], LockStrategy]
    capabilities: frozenset[Capability] = frozenset()
    requires: Mapping[str, str] = EMPTY


class StructureRecord(Record):
    """A structure, chosen by kind: `state.structure("map", "prices")`.

    `create` receives the context (backend, key names, serializer, …), and the keyword
    options that were given, and returns the handle.
    """

    name: str
    summary: str
    create: Callable[[StructureContext, Mapping[str, object]], object]
    capabilities: frozenset[Capability] = frozenset()


@hookspec
def sharedstate_backends() -> list[BackendRecord]:  # type: ignore[empty-body]
    """Backends, each with the URL schemes it answers to."""


@hookspec
def sharedstate_serializers() -> list[SerializerRecord]:  # type: ignore[empty-body]
    """Serializers: how values become bytes and come back equal."""


@hookspec
def sharedstate_consistency_levels() -> list[ConsistencyRecord]:  # type: ignore[empty-body]
    """Consistency levels: what must be true before a write is called done."""


@hookspec
def sharedstate_lock_strategies() -> list[LockRecord]:  # type: ignore[empty-body]
    """Lock strategies: how a lock is granted, kept, released and waited for."""


@hookspec
def sharedstate_structures() -> list[StructureRecord]:  # type: ignore[empty-body]
    """Structures: what users hold, written as commands and scripts."""
