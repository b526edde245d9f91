"""`connect` and `State`: handles by name, over one backend."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import NoReturn

import pytest

from sharedstate import (
    BackendError,
    Capability,
    ConfigError,
    NotSupported,
    PluginError,
    SerializationError,
    State,
    connect,
)
from sharedstate import registry as registry_module
from sharedstate.hookspecs import BackendRecord, LockRecord, StructureRecord, hookimpl
from sharedstate.structures.base import Structure, StructureContext
from sharedstate.testing.servers import RedisServer


def test_connect_takes_a_url_a_mapping_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text('[profiles.p]\nurl = "memory://"\nnamespace = "n"\n')
    with (
        connect("memory://", namespace="n") as one,
        connect({"url": "memory://", "namespace": "n"}) as two,
        connect(file=file, profile="p") as three,
    ):
        assert one.settings == two.settings == three.settings


def test_connect_takes_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHAREDSTATE_URL", "memory://")
    monkeypatch.setenv("SHAREDSTATE_NAMESPACE", "n")
    with connect() as state:
        assert state.describe() == "memory://"
        assert state.settings.namespace == "n"


def test_two_handles_of_one_name_are_one_structure(state: State) -> None:
    state.counter("c").add(2)
    assert state.counter("c").value == 2
    assert state.structure("counter", "c").value == 2
    assert state.counter("d").value == 0


def test_handles_say_what_they_are(state: State) -> None:
    assert repr(state) == "<State memory://>"
    assert repr(state.counter("c")) == "<Counter 'c' on memory://>"


def test_states_of_different_namespaces_do_not_meet(remote_state: State) -> None:
    with connect(remote_state.settings.url, namespace="other-than-hex") as other:
        remote_state.counter("c").add(1)
        assert other.counter("c").value == 0
        assert list(remote_state.names()) == [("counter", "c")]


def test_a_structure_may_have_a_serializer_of_its_own(state: State) -> None:
    state.map("m", serializer="json").set("k", [1])
    with pytest.raises(SerializationError, match="written by the serializer 'json'"):
        _ = state.map("m")["k"]
    assert state.map("m", serializer="json")["k"] == [1]
    with pytest.raises(ConfigError, match="unknown serializer 'jsn'"):
        state.map("m", serializer="jsn")


@pytest.mark.parametrize(("name", "error"), [("", ValueError), (3, TypeError)])
def test_a_name_is_a_str_that_is_not_empty(
    state: State, name: str, error: type[Exception]
) -> None:
    with pytest.raises(error, match="the name of a map"):
        state.map(name)


def test_an_unknown_kind_is_an_error(state: State) -> None:
    with pytest.raises(ConfigError, match=r"unknown structure 'mpa'; did you mean 'map'"):
        state.structure("mpa", "x")


def test_names_tells_each_structure_once(state: State) -> None:
    odd = "a}:b{*?[c]\\"
    state.counter("c").add(1)
    state.map(odd)["k"] = 1
    state.map(odd).set("l", 1, ttl=100)
    assert set(state.names()) == {("counter", "c"), ("map", odd)}
    assert list(state.names("map")) == [("map", odd)]
    assert list(state.names("queue")) == []


def test_names_goes_over_more_keys_than_one_step_tells(state: State) -> None:
    for number in range(1200):
        state.counter(f"c{number}").add(1)
    assert len(list(state.names("counter"))) == 1200


def test_delete_takes_one_structure_and_no_other(state: State) -> None:
    for name in ("a", "a*", "ab"):
        state.map(name).set("k", 1, ttl=100)
    assert state.delete("map", "a*") is True
    assert state.delete("map", "a*") is False
    assert set(state.names()) == {("map", "a"), ("map", "ab")}


def test_ping_tells_how_long_it_took(state: State) -> None:
    assert 0 <= state.ping() < 5


def test_after_close_handles_raise_backend_errors(remote_state: State) -> None:
    counter = remote_state.counter("c")
    counter.add(1)
    remote_state.close()
    remote_state.close()
    with pytest.raises(BackendError):
        counter.add(1)


def test_required_capabilities_are_checked_before_the_backend_is_opened() -> None:
    with pytest.raises(ConfigError, match=r"'memory'.*lacks.*machines.*have it: .*redis"):
        connect("memory://", require={Capability.MACHINES})


def test_required_capabilities_that_the_backend_has_are_fine(
    redis_server: RedisServer,
) -> None:
    with connect(redis_server.url, require="processes,machines") as state:
        assert state.ping() >= 0


class Boasts:
    """A backend that opens as another can do less than its record says."""

    @hookimpl
    def sharedstate_backends(self) -> list[BackendRecord]:
        able = frozenset({Capability.MACHINES})
        create = registry_module.get_registry().backend("memory").create
        return [BackendRecord("boast", "For tests.", ("boast",), able, create)]


def test_required_capabilities_are_checked_again_when_it_is_open() -> None:
    info = registry_module.register(Boasts(), name="boasts")
    try:
        connect("boast://").close()
        with pytest.raises(ConfigError, match="lacks what is required: machines"):
            connect("boast://", require="machines")
    finally:
        registry_module.unregister(info)


def unused(*arguments: object) -> NoReturn:
    raise AssertionError("nothing is opened here")


class Needs:
    """Things that need what is not there."""

    @hookimpl
    def sharedstate_backends(self) -> list[BackendRecord]:
        requires = {"no_such_module": "extra"}
        return [BackendRecord("n", "", ("needs",), frozenset(), unused, requires=requires)]

    @hookimpl
    def sharedstate_lock_strategies(self) -> list[LockRecord]:
        able = frozenset({Capability.REPLICATION})
        return [LockRecord("needs", "", unused, capabilities=able)]

    @hookimpl
    def sharedstate_structures(self) -> list[StructureRecord]:
        able = frozenset({Capability.REPLICATION})
        return [StructureRecord("needs", "", unused, capabilities=able)]


def test_what_is_missing_is_told_with_what_mends_it(state: State) -> None:
    info = registry_module.register(Needs(), name="needs")
    try:
        with pytest.raises(
            ConfigError, match=r"'no_such_module'.*pip install '.*\[extra\]'"
        ):
            connect("needs://")
        with pytest.raises(ConfigError, match=r"lock strategy 'needs'.*replication"):
            state.lock_record("needs")
        with pytest.raises(ConfigError, match=r"structure 'needs'.*replication"):
            state.structure("needs", "x")
    finally:
        registry_module.unregister(info)


def test_the_lock_strategy_of_the_settings_is_the_default(state: State) -> None:
    assert state.lock_record().name == "token"
    with pytest.raises(ConfigError, match="unknown lock strategy 'tokn'"):
        state.lock_record("tokn")


def test_only_options_that_differ_from_the_default_travel(state: State) -> None:
    kept: list[dict[str, object]] = []

    class Keeps:
        @hookimpl
        def sharedstate_structures(self) -> list[StructureRecord]:
            def create(context: StructureContext, options: object) -> object:
                assert isinstance(options, dict)
                kept.append(options)
                return Structure(context, options)

            return [StructureRecord("keeps", "", create)]

    info = registry_module.register(Keeps(), name="keeps")
    try:
        for kind in ("map", "queue", "lock"):
            state._factories[kind] = (
                registry_module.get_registry().structure("keeps").create
            )
        state.map("x")
        state.queue("x")
        state.lock("x")
        state.map("x", key=int, serializer="json")
        state.queue("x", maxsize=3)
        state.lock("x", ttl=5, renew=False, strategy="token", fair=True)
    finally:
        registry_module.unregister(info)
    assert kept == [
        {},
        {},
        {},
        {"key": int, "serializer": "json"},
        {"maxsize": 3},
        {"fair": True, "strategy": "token", "ttl": 5, "renew": False},
    ]


def test_a_memory_state_does_not_pickle_and_says_why(state: State) -> None:
    with pytest.raises(NotSupported):
        pickle.dumps(state)
    with pytest.raises(NotSupported):
        pickle.dumps(state.counter("c"))


def test_a_broken_plugin_is_told_when_its_backend_is_asked_for() -> None:
    class Broken:
        @hookimpl
        def sharedstate_backends(self) -> object:
            raise ZeroDivisionError("oops")

    registry = registry_module.get_registry()
    with pytest.raises(PluginError, match="ZeroDivisionError: oops"):
        registry.register(Broken(), name="broken")
