"""The plugin as its users have it: installed, and chosen by name."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

import sharedstate
from sharedstate.registry import get_registry


@pytest.fixture
def state() -> Iterator[sharedstate.State]:
    with sharedstate.connect("memory://", serializer="zjson", zjson_level=9) as opened:
        yield opened


def test_the_plugin_is_found_by_its_entry_point() -> None:
    plugin = get_registry().plugin("acme")
    assert plugin.origin == "acme-sharedstate 1.0"
    assert [record.name for _, record in plugin.records] == ["zjson", "paced"]


def test_values_come_back_equal(state: sharedstate.State) -> None:
    pages = state.map("pages")
    for value in ({"text": "abc" * 1000}, [1, 2.5, None, True], "", 7):
        pages["p"] = value
        assert pages["p"] == value


def test_large_values_are_stored_small(state: sharedstate.State) -> None:
    serializer = get_registry().serializer("zjson").create(state.settings)
    assert len(serializer.dumps("abc" * 1000)) < 100
    assert serializer.dumps("abc") == b'Zj"abc"'


@pytest.mark.parametrize("value", [(1, 2), {1: 2}, b"x", float("nan")])
def test_what_would_come_back_changed_is_refused(
    state: sharedstate.State, value: object
) -> None:
    with pytest.raises(sharedstate.SerializationError):
        state.map("pages")["p"] = value


def test_bytes_of_others_are_refused(state: sharedstate.State) -> None:
    serializer = get_registry().serializer("zjson").create(state.settings)
    for data in (b"Z", b"Zzx", b"Zj{", b"M\xc0", serializer.dumps("abc" * 1000)[:-5]):
        with pytest.raises(sharedstate.SerializationError):
            serializer.loads(data)


def test_a_pause_lies_between_a_release_and_the_next_grant(
    state: sharedstate.State,
) -> None:
    lock = state.lock("api", strategy="paced", pause=0.2)
    with lock:
        first = lock.token
        assert len(lock.info().holders) == 1
    released_at = time.monotonic()
    assert not lock.locked()
    assert lock.acquire(blocking=False) is False
    with lock:
        assert time.monotonic() - released_at >= 0.15
        assert lock.token > first


def test_a_waiter_is_woken_by_the_release(state: sharedstate.State) -> None:
    holder = state.lock("api", strategy="paced", pause=0.05)
    granted = threading.Event()

    def wait_for_it() -> None:
        with state.lock("api", strategy="paced", pause=0.05):
            granted.set()

    waiter = threading.Thread(target=wait_for_it)
    with holder:
        waiter.start()
        while holder.info().waiters == 0:
            assert waiter.is_alive()
    assert granted.wait(5)
    waiter.join()


def test_an_unknown_option_is_refused(state: sharedstate.State) -> None:
    with pytest.raises(sharedstate.ConfigError, match="one option, pause"):
        state.lock("api", strategy="paced", paws=1)
