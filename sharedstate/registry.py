"""The registry: every plugin of this process, and what each of them provides.

Built-in and third-party plugins come in by one door, the entry points of the group
`sharedstate`, and a program may hand in its own with `register`. The registry is built
once a process, when the first `connect` asks for something. Hooks are called then, and
never again: what they return are records, and pluggy is not on the way of any data.

A plugin that fails (its import, a hook, the shape of what a hook returns) provides
nothing and hurts nobody else. Its error is kept with its traceback. Since nobody knows
what it would have provided, every question after an unknown name mentions the broken
plugins, and chains the first of their errors.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

from sharedstate import hookspecs
from sharedstate.config import COMMON_OPTIONS, nearest
from sharedstate.discovery import FoundPlugin, find_plugins, normalize
from sharedstate.errors import ConfigError, PluginError
from sharedstate.hookspecs import (
    PROJECT,
    BackendRecord,
    ConsistencyRecord,
    LockRecord,
    SerializerRecord,
    StructureRecord,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

_Record = TypeVar("_Record")

# What each hook returns, and what one of them is called in messages.
HOOKS: dict[str, tuple[str, type[Any]]] = {
    "sharedstate_backends": ("backend", BackendRecord),
    "sharedstate_serializers": ("serializer", SerializerRecord),
    "sharedstate_consistency_levels": ("consistency level", ConsistencyRecord),
    "sharedstate_lock_strategies": ("lock strategy", LockRecord),
    "sharedstate_structures": ("structure", StructureRecord),
}

# What `connect` itself understands.
_TAKEN_OPTIONS = frozenset({"url", "file", "profile", *COMMON_OPTIONS})

DISABLE_VARIABLE = "SHAREDSTATE_DISABLE_PLUGINS"
"""Names of entry points or distributions to leave out, separated by commas."""


class PluginInfo:
    """One plugin: where it came from, what it provides, and what is wrong with it."""

    __slots__ = ("disabled", "distribution", "error", "name", "records", "value", "version")

    def __init__(self, found: FoundPlugin) -> None:
        self.name = found.name
        self.value = found.value
        self.distribution = found.distribution
        self.version = found.version
        self.records: list[tuple[str, Any]] = []
        """What it provides: (`backend`, record), (`serializer`, record), …"""
        self.error: BaseException | None = None
        self.disabled = False

    @property
    def origin(self) -> str:
        """The distribution and its version, for messages."""
        return f"{self.distribution} {self.version}".strip()

    def __repr__(self) -> str:
        return f"<PluginInfo {self.name} of {self.origin}>"


class Registry:
    """The plugins of a process, and their records by kind and name.

    Look-ups raise `ConfigError` for a name that nobody provides, and `PluginError` when
    two plugins provide it, or when a broken plugin may be the one that would have.
    """

    def __init__(
        self, found: Iterable[FoundPlugin] = (), *, disabled: frozenset[str] = frozenset()
    ) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._plugins: list[PluginInfo] = []
        self._tables: dict[str, dict[str, list[tuple[PluginInfo, Any]]]] = {
            what: {} for what, _ in HOOKS.values()
        }
        for each in found:
            info = PluginInfo(each)
            info.disabled = not disabled.isdisjoint(
                {each.name, each.distribution, normalize(each.distribution)}
            )
            self._plugins.append(info)
            if not info.disabled:
                self._load(info, each)

    def backend(self, scheme: str) -> BackendRecord:
        """The backend that answers to a URL's scheme."""
        return self._find("backend", scheme, BackendRecord)

    def serializer(self, name: str) -> SerializerRecord:
        """The serializer of a name."""
        return self._find("serializer", name, SerializerRecord)

    def consistency(self, name: str) -> ConsistencyRecord:
        """The consistency level of a name."""
        return self._find("consistency level", name, ConsistencyRecord)

    def lock(self, name: str) -> LockRecord:
        """The lock strategy of a name."""
        return self._find("lock strategy", name, LockRecord)

    def structure(self, kind: str) -> StructureRecord:
        """The structure of a kind."""
        return self._find("structure", kind, StructureRecord)

    def records(self, what: str) -> list[Any]:
        """All records of one kind (`backend`, `serializer`, …), each once."""
        return [
            record
            for info in self._plugins
            for provided, record in info.records
            if provided == what
        ]

    def distribution_of(self, record: object) -> str:
        """The distribution whose plugin provides a record."""
        for info in self._plugins:
            if any(each is record for _, each in info.records):
                return info.distribution
        return PROJECT

    def plugins(self) -> list[PluginInfo]:
        """All plugins that were found, broken and disabled ones too."""
        return list(self._plugins)

    def plugin(self, name: str) -> PluginInfo:
        """One plugin by the name of its entry point, or of its distribution.

        Raises `PluginError` if there is none or more than one; if it is broken, from
        the original error.
        """
        found = [info for info in self._plugins if name in (info.name, info.distribution)]
        if not found:
            known = [info.name for info in self._plugins]
            raise PluginError(f"unknown plugin {name!r}; {nearest(name, known)}")
        if len(found) > 1:
            raise PluginError(f"several plugins answer to {name!r}: {_list_origins(found)}")
        if found[0].error is not None:
            raise PluginError(_describe_failure(found[0])) from found[0].error
        return found[0]

    def broken(self) -> list[PluginInfo]:
        """The plugins that failed, with their errors."""
        return [info for info in self._plugins if info.error is not None]

    def register(self, plugin: object, *, name: str) -> PluginInfo:
        """Add a plugin that the program made itself. Raises `PluginError` if it is bad."""
        info = PluginInfo(FoundPlugin(name, "", "this program", ""))
        self._collect(info, plugin)
        if info.error is not None:
            raise PluginError(_describe_failure(info)) from info.error
        self._plugins.append(info)
        return info

    def unregister(self, info: PluginInfo) -> None:
        """Take back what `register` added. States that are open keep what they have."""
        self._manager.unregister(name=_pluggy_name(info))
        self._plugins.remove(info)
        for table in self._tables.values():
            for name in list(table):
                table[name] = [entry for entry in table[name] if entry[0] is not info]

    def _load(self, info: PluginInfo, found: FoundPlugin) -> None:
        try:
            plugin = found.load()
        except Exception as error:  # kept, and raised when the plugin is asked for
            info.error = error
        else:
            self._collect(info, plugin)

    def _collect(self, info: PluginInfo, plugin: object) -> None:
        """Register one plugin and call its hooks: all of its records, or its error."""
        try:
            self._manager.register(plugin, name=_pluggy_name(info))
            self._manager.check_pending()
            records = self._call_hooks(plugin)
        except Exception as error:  # kept, and raised when the plugin is asked for
            info.error = error
            if self._manager.has_plugin(_pluggy_name(info)):
                self._manager.unregister(name=_pluggy_name(info))
            return
        info.records = records
        for what, record in records:
            for name in _names_of(record):
                self._tables[what].setdefault(name, []).append((info, record))

    def _call_hooks(self, plugin: object) -> list[tuple[str, Any]]:
        """Call the hooks of one plugin only, so that its errors are its own."""
        records: list[tuple[str, Any]] = []
        for hook, (what, kind) in HOOKS.items():
            caller = getattr(self._manager.hook, hook)
            for implementation in caller.get_hookimpls():
                if implementation.plugin is plugin:
                    provided = _checked(hook, implementation.function(), kind)
                    records += [(what, each) for each in provided]
        return records

    def _find(self, what: str, name: str, kind: type[_Record]) -> _Record:
        entries = self._tables[what].get(name, [])
        if len(entries) == 1:
            record: _Record = entries[0][1]
            return record
        if entries:
            origins = _list_origins([info for info, _ in entries])
            raise PluginError(
                f"more than one plugin provides the {what} {name!r}: {origins}; leave "
                f"out all but one with {DISABLE_VARIABLE}"
            )
        raise self._unknown(what, name)

    def _unknown(self, what: str, name: str) -> Exception:
        known = sorted(key for key, entries in self._tables[what].items() if entries)
        asked = "URL scheme" if what == "backend" else what
        message = f"unknown {asked} {name!r}; {nearest(str(name), known)}"
        return self.blame_broken(message) or ConfigError(message)

    def blame_broken(self, message: str) -> PluginError | None:
        """The error for what nobody provides while some plugins are broken, if any is."""
        broken = self.broken()
        if not broken:
            return None
        failures = "; ".join(map(_describe_failure, broken))
        error = PluginError(f"{message}. It may be of a broken plugin: {failures}")
        error.__cause__ = broken[0].error
        return error


def _checked(hook: str, provided: object, kind: type[_Record]) -> list[_Record]:
    if not isinstance(provided, (list, tuple)):
        raise PluginError(
            f"{hook}() must return a list of {kind.__name__}, not {provided!r:.200}"
        )
    for each in provided:
        if not isinstance(each, kind):
            raise PluginError(
                f"{hook}() must return {kind.__name__} records, got {each!r:.200}"
            )
        _check_record(each)
    return list(provided)


def _check_record(record: Any) -> None:
    """Raise `PluginError` for a record that could not be chosen, or not be opened."""
    names = _names_of(record)
    if not all(isinstance(name, str) and name for name in (record.name, *names)):
        raise PluginError(f"names must be strings that are not empty: {record!r:.200}")
    if not callable(record.create):
        raise PluginError(f"create must be callable: {record!r:.200}")
    taken = _TAKEN_OPTIONS.intersection(getattr(record, "options", ()))
    if taken:
        raise PluginError(
            f"{record.name!r} has options whose names are taken: {', '.join(sorted(taken))}"
        )


def _names_of(record: Any) -> tuple[str, ...]:
    """The names by which a record is asked for: a backend's are its schemes."""
    return record.schemes if isinstance(record, BackendRecord) else (record.name,)


def _pluggy_name(info: PluginInfo) -> str:
    # Two distributions may use one entry point's name; pluggy wants it unique.
    return f"{info.distribution}:{info.name}:{id(info)}"


def _list_origins(plugins: list[PluginInfo]) -> str:
    return " and ".join(f"{info.name!r} of {info.origin}" for info in plugins)


def _describe_failure(info: PluginInfo) -> str:
    error = info.error
    return f"plugin {info.name!r} of {info.origin}: {type(error).__name__}: {error}"


_lock = threading.RLock()
_registry: Registry | None = None
_is_building = False


def get_registry() -> Registry:
    """The registry of this process, built on first use: once, whoever asks."""
    if _registry is None:
        with _lock:
            if _registry is None:
                _build()
    assert _registry is not None
    return _registry


def _build() -> None:
    global _registry, _is_building
    if _is_building:
        raise PluginError("a plugin asked for plugins while they are being loaded")
    _is_building = True
    try:
        _registry = Registry(find_plugins(), disabled=_disabled_names())
    finally:
        _is_building = False


def register(plugin: object, *, name: str = "program") -> PluginInfo:
    """Add a plugin without installing it: for programs, notebooks and tests.

    `plugin` is any object with hook implementations, as an entry point would name.
    Raises `PluginError` if it is bad. Worker processes that are not forked have to
    register it too, before they unpickle a handle that needs it.
    """
    return get_registry().register(plugin, name=name)


def unregister(info: PluginInfo) -> None:
    """Take back what `register` added."""
    get_registry().unregister(info)


def _disabled_names() -> frozenset[str]:
    text = os.environ.get(DISABLE_VARIABLE, "")
    return frozenset(filter(None, (name.strip() for name in text.split(","))))


def _renew_lock() -> None:
    """A fork may happen while another thread builds; the child has no such thread."""
    global _lock, _is_building
    _lock, _is_building = threading.RLock(), False


os.register_at_fork(after_in_child=_renew_lock)
