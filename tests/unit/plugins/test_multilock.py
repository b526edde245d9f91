"""The names of a lock of several names, and what becomes of an interrupted taking."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sharedstate
from sharedstate.errors import BackendError, ConfigError
from sharedstate.locking import Refusal
from sharedstate.state import State
from sharedstate.structures.multilock import MultiLock, join_names, split_names
from sharedstate.testing.background import SECONDS, wait_until
from sharedstate.testing.multilock_suite import stranger
from sharedstate.testing.plugin import fresh_namespace
from sharedstate.testing.proxy import Proxy
from sharedstate.testing.servers import RedisServer
from sharedstate_locks.several import OneByOneStrategy

TTL = 1.0
SHORT = 0.1


@given(st.sets(st.text(min_size=1), min_size=1))
def test_names_that_were_joined_come_back(names: set[str]) -> None:
    assert split_names(join_names(names)) == tuple(sorted(names))


@given(st.sets(st.text("a+%2B5", min_size=1), min_size=1), st.data())
def test_no_other_names_are_joined_to_the_same(
    names: set[str], data: st.DataObject
) -> None:
    others = data.draw(st.sets(st.text("a+%2B5", min_size=1), min_size=1))
    assert (join_names(names) == join_names(others)) == (names == others)


@pytest.mark.parametrize("joined", ["", "+", "b+a", "a+a", "a++b", "%41"])
def test_what_was_never_joined_is_refused(joined: str) -> None:
    with pytest.raises(ConfigError, match=r"state\.multilock"):
        split_names(joined)


def test_an_iterator_of_names_will_do() -> None:
    assert join_names(name for name in "ba") == "a+b"


def test_what_failed_waits_held_is_forgotten() -> None:
    with sharedstate.connect("memory://") as state:
        lock = state.multilock(["a", "b"], one_by_one=True, ttl=SHORT)
        strategy = lock._strategy
        assert isinstance(strategy, OneByOneStrategy)
        with state.lock("b"):
            # These waits end by errors: nobody leaves.
            for number in range(3):
                owner = stranger(f"s{number}")
                assert isinstance(strategy.try_acquire(owner, "nobody"), Refusal)
                wait_until(lambda: not state.lock("a").locked())
            began = monotonic()
            wait_until(lambda: monotonic() - began > 2 * SHORT)
            strategy.try_acquire(stranger("last"), "nobody")
            assert list(strategy._held_since) == ["last.1"]
            assert not lock.acquire(timeout=SHORT)
        assert list(strategy._held_since) == ["last.1"]
        with lock:
            assert list(strategy._held_since) == ["last.1"]


class TestLostAnswers:
    """What a bad network makes of a taking, with the names one by one."""

    @pytest.fixture
    def namespace(self) -> str:
        """One that no other test uses."""
        return fresh_namespace()

    @pytest.fixture
    def proxy(self, redis_server: RedisServer) -> Iterator[Proxy]:
        """A proxy before the server."""
        with Proxy(("127.0.0.1", redis_server.port)) as proxy:
            yield proxy

    @pytest.fixture
    def near(self, redis_server: RedisServer, namespace: str) -> Iterator[State]:
        """The state, reached without the proxy."""
        with sharedstate.connect(redis_server.url, namespace=namespace) as state:
            yield state

    @pytest.fixture(params=[False, True], ids=["one script", "one by one"])
    def lock(
        self, request: pytest.FixtureRequest, proxy: Proxy, namespace: str
    ) -> Iterator[MultiLock]:
        """A lock of three names, reached through the proxy; its scripts are known."""
        url = f"redis://127.0.0.1:{proxy.port}"
        with sharedstate.connect(url, namespace=namespace, timeout=0.5) as state:
            lock = state.multilock(list("abc"), ttl=TTL, one_by_one=request.param)
            with lock:
                pass
            yield lock

    def test_a_grant_whose_answer_was_lost_is_granted_once(
        self, lock: MultiLock, near: State, proxy: Proxy
    ) -> None:
        proxy.cut_replies_after(1)
        with lock:
            assert lock.tokens == {name: near.lock(name).info().fencing for name in "abc"}
        assert not near.multilock(list("abc")).locked()

    def test_a_release_whose_answer_was_lost_is_no_loss(
        self, lock: MultiLock, near: State, proxy: Proxy
    ) -> None:
        with lock:
            proxy.cut_replies_after(1)
        assert not near.multilock(list("abc")).locked()

    def test_what_cannot_be_given_back_ends_with_its_lease(
        self, lock: MultiLock, near: State, proxy: Proxy
    ) -> None:
        lock.acquire()
        proxy.stall()
        with pytest.raises(BackendError):
            lock.release()
        assert near.multilock(list("abc")).acquire(timeout=SECONDS)
