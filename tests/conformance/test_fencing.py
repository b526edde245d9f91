"""Fencing on every backend; and that a fenced write is never sent twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import sharedstate
from sharedstate.errors import IndeterminateError, StaleToken
from sharedstate.state import State
from sharedstate.testing.fencing_suite import FencingSuite, fence
from sharedstate.testing.plugin import fresh_namespace
from sharedstate.testing.proxy import Proxy
from sharedstate.testing.servers import StoreServer


class TestFencing(FencingSuite):
    """The shipped suite."""


class TestLostReplies:
    """A fenced write whose answer is lost is in doubt, whatever it would be without."""

    @pytest.fixture(params=["built_in_server", "redis_server"])
    def server(self, request: pytest.FixtureRequest) -> StoreServer:
        """Each kind of server in turn."""
        server: StoreServer = request.getfixturevalue(request.param)
        return server

    @pytest.fixture
    def proxy(self, server: StoreServer) -> Iterator[Proxy]:
        """A proxy before the server."""
        with Proxy(("127.0.0.1", server.port)) as proxy:
            yield proxy

    @pytest.fixture
    def state(self, server: StoreServer, proxy: Proxy) -> Iterator[State]:
        """The state, reached through the proxy."""
        url = f"{server.scheme}://127.0.0.1:{proxy.port}"
        with sharedstate.connect(url, namespace=fresh_namespace()) as state:
            yield state

    def test_a_fenced_write_is_not_sent_twice(self, state: State, proxy: Proxy) -> None:
        hits = state.counter("hits")
        hits.add(1, fence=fence(1))
        sent = len(proxy.commands("EVALSHA"))
        proxy.cut_replies_after(1)
        with pytest.raises(IndeterminateError):
            hits.add(1, fence=fence(1))
        assert len(proxy.commands("EVALSHA")) == sent + 1
        assert hits.value == 2

    def test_not_even_one_that_could_be_without_the_fence(
        self, state: State, proxy: Proxy
    ) -> None:
        jobs = state.queue("jobs")
        jobs.put("job")
        state.queue("other jobs").shutdown(fence=fence(1))
        sent = len(proxy.commands("EVALSHA"))
        proxy.cut_replies_after(1)
        with pytest.raises(IndeterminateError):
            jobs.shutdown(fence=fence(1))
        assert len(proxy.commands("EVALSHA")) == sent + 1
        assert jobs.is_shutdown

    def test_a_refusal_that_was_lost_changed_nothing(
        self, state: State, proxy: Proxy
    ) -> None:
        hits = state.counter("hits")
        hits.add(1, fence=fence(2))
        proxy.cut_replies_after(1)
        with pytest.raises(IndeterminateError):
            hits.add(1, fence=fence(1))
        with pytest.raises(StaleToken):
            hits.add(1, fence=fence(1))
        assert hits.value == 1
