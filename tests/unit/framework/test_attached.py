"""States that came with a pickle: one for the same settings, closed with the last."""

from __future__ import annotations

import gc
import pickle
import threading
import weakref
from collections import deque

import pytest

from sharedstate import State, attached, connect
from sharedstate.structures.counter import Counter


def attach(state: State) -> State:
    back = pickle.loads(pickle.dumps(state))
    assert isinstance(back, State)
    return back


def test_a_state_pickles_small_and_reaches_the_same_data(remote_state: State) -> None:
    remote_state.counter("c").add(3)
    assert len(pickle.dumps(remote_state)) < 600
    other = attach(remote_state)
    assert other is not remote_state
    assert other.counter("c").value == 3
    other.close()


def test_a_handle_pickles_with_its_options(remote_state: State) -> None:
    handle = remote_state.map("m", key=int, serializer="json")
    handle[7] = "seven"
    back = pickle.loads(pickle.dumps(handle))
    assert dict(back) == {7: "seven"}
    assert len(pickle.dumps(handle)) < 800


def test_handles_of_one_state_arrive_as_handles_of_one_state(remote_state: State) -> None:
    one: Counter = pickle.loads(pickle.dumps(remote_state.counter("a")))
    two: Counter = pickle.loads(pickle.dumps(remote_state.counter("b")))
    assert one._context.state is two._context.state
    assert attach(attach(remote_state)) is one._context.state


def test_threads_that_unpickle_at_once_share_one_state(remote_state: State) -> None:
    data = pickle.dumps(remote_state)
    barrier = threading.Barrier(4)
    arrived: list[object] = []

    def work() -> None:
        barrier.wait()
        arrived.append(pickle.loads(data))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, arrived))) == 1


def test_a_closed_state_is_replaced_by_what_arrives_next(remote_state: State) -> None:
    first = attach(remote_state)
    first.close()
    second = attach(remote_state)
    assert second is not first
    assert second.ping() >= 0


def test_a_state_that_nobody_uses_is_closed(
    remote_state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attached, "_kept", deque(maxlen=1))
    first = attach(remote_state)
    closed = weakref.ref(first)
    del first
    assert closed() is not None  # kept: the next task of a pool may want it
    with connect(remote_state.settings.url, namespace="another") as other:
        attach(other)
        gc.collect()
        assert closed() is None


def test_equal_settings_with_other_origins_are_one_state(remote_state: State) -> None:
    url, namespace = remote_state.settings.url, remote_state.settings.namespace
    with connect({"url": url, "namespace": namespace}) as other:
        assert attach(other) is attach(remote_state)
