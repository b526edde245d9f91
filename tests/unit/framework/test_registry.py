"""The registry: good plugins work, whatever the bad ones do."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from sharedstate import registry as registry_module
from sharedstate.config import OptionSpec
from sharedstate.discovery import FoundPlugin, find_plugins
from sharedstate.errors import ConfigError, PluginError
from sharedstate.hookspecs import BackendRecord, LockRecord, SerializerRecord, hookimpl
from sharedstate.registry import HOOKS, Registry, get_registry

_numbers = count()


def unused(*arguments: object) -> object:
    raise AssertionError("nothing is opened here")


def serializer(name: str) -> SerializerRecord:
    return SerializerRecord(name, "For tests.", unused)  # type: ignore[arg-type]


class Provides:
    """A plugin that provides what it is given, whatever that is."""

    def __init__(self, provided: object) -> None:
        self._provided = provided

    @hookimpl
    def sharedstate_serializers(self) -> object:
        if isinstance(self._provided, Exception):
            raise self._provided
        return self._provided


Install = Callable[..., FoundPlugin]


@pytest.fixture
def install() -> Iterator[Install]:
    """Make importable modules of plugins, as entry points name them."""
    made: list[str] = []

    def make(plugin: object, name: str = "x", *, of: str = "acme") -> FoundPlugin:
        module = types.ModuleType(f"made_plugin_{next(_numbers)}")
        module.plugin = plugin  # type: ignore[attr-defined]
        sys.modules[module.__name__] = module
        made.append(module.__name__)
        return FoundPlugin(name, f"{module.__name__}:plugin", of, "1.2")

    yield make
    for name in made:
        del sys.modules[name]


def test_all_built_in_plugins_are_sound() -> None:
    assert get_registry().broken() == []


def test_built_in_plugins_are_found_by_their_entry_points() -> None:
    registry = Registry(find_plugins())
    assert registry.backend("redis").name == "redis"
    assert registry.serializer("msgpack").name == "msgpack"
    assert registry.consistency("eventual").name == "eventual"
    assert registry.lock("token").name == "token"
    assert registry.structure("map").name == "map"


def test_the_registry_is_built_once() -> None:
    assert get_registry() is get_registry()


def test_an_unknown_name_is_a_config_error_with_the_known(install: Install) -> None:
    registry = Registry([install(Provides([serializer("cbor")]))])
    with pytest.raises(
        ConfigError, match=r"unknown serializer 'cbro'.*'cbor'\? known: cbor"
    ):
        registry.serializer("cbro")


BAD = {
    "a hook that raises": Provides(ZeroDivisionError("oops")),
    "no list": Provides(3),
    "a wrong record": Provides([LockRecord("a", "b", unused)]),  # type: ignore[arg-type]
    "no name": Provides([serializer("")]),
    "nothing to call": Provides([SerializerRecord("a", "b", 3)]),  # type: ignore[arg-type]
    "an option of connect": Provides(
        [SerializerRecord("a", "b", unused, {"timeout": OptionSpec("int", 1, "")})]  # type: ignore[arg-type]
    ),
}


@pytest.mark.parametrize("plugin", BAD.values(), ids=BAD.keys())
def test_a_bad_plugin_does_not_break_the_others(install: Install, plugin: object) -> None:
    good = install(Provides([serializer("good")]), "good")
    registry = Registry([install(plugin, "bad"), good])
    assert registry.serializer("good").name == "good"
    assert [info.name for info in registry.broken()] == ["bad"]


def test_a_plugin_that_does_not_import_does_not_break_the_others(install: Install) -> None:
    good = install(Provides([serializer("good")]))
    missing = FoundPlugin("bad", "no_such_module_anywhere", "acme", "1.2")
    registry = Registry([missing, good])
    assert registry.serializer("good").name == "good"
    with pytest.raises(PluginError, match=r"'bad' of acme 1\.2: ModuleNotFoundError"):
        registry.plugin("bad")


def test_a_hook_that_does_not_exist_is_told(install: Install) -> None:
    class Mistyped:
        @hookimpl
        def sharedstate_serialisers(self) -> object:
            return []

    registry = Registry([install(Mistyped(), "bad"), install(Provides([]), "good")])
    (bad,) = registry.broken()
    assert "sharedstate_serialisers" in str(bad.error)


def test_an_unknown_name_mentions_the_broken_plugins_and_chains_their_error(
    install: Install,
) -> None:
    cause = ZeroDivisionError("oops")
    registry = Registry([install(Provides(cause), "bad")])
    with pytest.raises(
        PluginError, match=r"unknown serializer 'x'.*'bad' of acme"
    ) as caught:
        registry.serializer("x")
    assert caught.value.__cause__ is cause
    assert cause.__traceback__ is not None


def test_one_name_of_two_plugins_names_both_when_it_is_asked_for(install: Install) -> None:
    one = install(Provides([serializer("cbor"), serializer("one")]), of="acme")
    two = install(Provides([serializer("cbor")]), of="other")
    registry = Registry([one, two])
    assert registry.serializer("one").name == "one"
    with pytest.raises(PluginError, match=r"'x' of acme 1\.2 and 'x' of other 1\.2"):
        registry.serializer("cbor")
    with pytest.raises(PluginError, match="several plugins answer to 'x'"):
        registry.plugin("x")


def test_a_backend_is_asked_for_by_each_of_its_schemes(install: Install) -> None:
    class Plugin:
        @hookimpl
        def sharedstate_backends(self) -> object:
            schemes, nothing = ("a", "b+c"), frozenset[object]()
            return [BackendRecord("ab", "For tests.", schemes, nothing, unused)]  # type: ignore[arg-type]

    registry = Registry([install(Plugin())])
    assert registry.backend("a") is registry.backend("b+c")
    assert registry.records("backend") == [registry.backend("a")]
    assert registry.distribution_of(registry.backend("a")) == "acme"


@pytest.mark.parametrize("word", ["x", "acme-tools", "acme_tools"])
def test_a_plugin_can_be_left_out(install: Install, word: str) -> None:
    found = install(Provides([serializer("cbor")]), of="acme-tools")
    registry = Registry([found], disabled=frozenset({word}))
    assert [info.disabled for info in registry.plugins()] == [True]
    with pytest.raises(ConfigError, match="unknown serializer 'cbor'"):
        registry.serializer("cbor")


def test_the_environment_leaves_plugins_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHAREDSTATE_DISABLE_PLUGINS", "redis, server")
    monkeypatch.setattr(registry_module, "_registry", None)
    disabled = {info.name for info in get_registry().plugins() if info.disabled}
    assert disabled == {"redis", "server"}


def test_a_program_can_register_and_unregister_a_plugin() -> None:
    info = registry_module.register(Provides([serializer("mine")]), name="mine")
    try:
        assert get_registry().serializer("mine").name == "mine"
        assert get_registry().plugin("mine").origin == "this program"
    finally:
        registry_module.unregister(info)
    with pytest.raises(ConfigError):
        get_registry().serializer("mine")


def test_a_bad_plugin_that_a_program_registers_is_refused_at_once() -> None:
    with pytest.raises(PluginError, match="must return a list"):
        registry_module.register(Provides(3), name="bad")
    assert "bad" not in [info.name for info in get_registry().plugins()]


def test_a_plugin_that_connects_while_it_is_loaded_is_told(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Connects:
        @hookimpl
        def sharedstate_serializers(self) -> object:
            get_registry()
            return []

    found = [install(Connects(), "bad")]
    monkeypatch.setattr(registry_module, "_registry", None)
    monkeypatch.setattr(registry_module, "find_plugins", lambda: found)
    (bad,) = get_registry().broken()
    assert "while they are being loaded" in str(bad.error)


def test_an_unknown_plugin_is_an_error() -> None:
    with pytest.raises(
        PluginError, match=r"unknown plugin 'memroy'; did you mean 'memory'"
    ):
        get_registry().plugin("memroy")


def test_every_hook_has_a_kind_of_record() -> None:
    from sharedstate import hookspecs

    specified = {name for name in vars(hookspecs) if name.startswith("sharedstate_")}
    assert specified == set(HOOKS)
