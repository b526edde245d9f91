"""Locks in a storm: never two holders, nothing left behind, and everybody gets a turn.

`STORM_SECONDS` makes each storm longer than the few seconds that the suite has for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

import sharedstate
from sharedstate.testing.background import wait_until
from sharedstate.testing.plugin import fresh_namespace
from sharedstate.testing.proxy import Proxy
from sharedstate.testing.servers import StoreServer
from tests.faults.lock_storm import TTL, Storm, check_log, make_lock

SECONDS = float(os.environ.get("STORM_SECONDS", "2.5"))
KINDS = ("token", "fair", "reentrant", "write", "several")
KEPT = (b":fencing", b":fence")
"""What stays of a lock, and of a structure that was fenced, for ever."""


@pytest.fixture(params=["local", "built_in_server", "redis_server"])
def place(request: pytest.FixtureRequest) -> Iterator[tuple[str, str, Proxy | None]]:
    """The URL for us, the URL for workers, and the proxy in between if there is one."""
    if request.param == "local":
        with sharedstate.connect("local://") as state:
            url = state.backend.settings.url
            yield url, url, None
        return
    server: StoreServer = request.getfixturevalue(request.param)
    with Proxy(("127.0.0.1", server.port)) as proxy:
        yield server.url, f"{server.scheme}://127.0.0.1:{proxy.port}", proxy


@pytest.mark.timeout(60 + 3 * SECONDS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_storm_leaves_one_holder_at_a_time_and_nothing_behind(
    place: tuple[str, str, Proxy | None], kind: str
) -> None:
    ours, theirs, proxy = place
    namespace = fresh_namespace()
    with ExitStack() as stack:
        state = stack.enter_context(sharedstate.connect(ours, namespace=namespace))
        storm = Storm(theirs, namespace, kind, proxy)
        tokens = storm.rage(SECONDS)
        assert len(set(tokens)) == len(tokens)
        assert storm.kills + storm.stops + storm.cuts > 0

        log = state.queue("log")
        entries = [log.get_nowait() for _ in range(log.qsize())]
        check_log([(token, who) for token, who in entries])
        assert len({token for token, _ in entries}) > 20

        lock = make_lock(state, kind)
        assert lock.acquire(timeout=20 * TTL)
        lock.release()
        keys: list[bytes] = []

        def is_clean() -> bool:
            found = state.backend.execute(("KEYS", f"{namespace}:ss:*"))
            keys[:] = [
                key for key in found if not key.endswith(KEPT) and b"log}" not in key
            ]
            return not keys

        wait_until(is_clean)


def test_the_check_rejects_what_two_holders_would_leave() -> None:
    check_log([(1, "a"), (1, "a"), (3, "b")])
    with pytest.raises(AssertionError, match="accepted after"):
        check_log([(1, "a"), (3, "b"), (1, "a")])
    with pytest.raises(AssertionError, match="granted twice"):
        check_log([(1, "a"), (1, "b")])
