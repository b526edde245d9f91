"""The proxy holds commands back, as runs on a bad network need it."""

from __future__ import annotations

import pytest

import sharedstate
from sharedstate.errors import IndeterminateError
from sharedstate.testing.background import wait_until
from sharedstate.testing.plugin import fresh_namespace
from sharedstate.testing.proxy import Proxy
from sharedstate.testing.servers import BuiltInServer


def test_a_command_under_way_takes_effect_after_its_client_has_gone(
    built_in_server: BuiltInServer,
) -> None:
    server, namespace = built_in_server, fresh_namespace()
    with (
        Proxy(("127.0.0.1", server.port)) as proxy,
        sharedstate.connect(server.url, namespace=namespace) as near,
        sharedstate.connect(
            f"server://127.0.0.1:{proxy.port}", namespace=namespace, timeout=0.3
        ) as far,
    ):
        far.counter("c").add(1)
        proxy.command_delay_seconds = 1.0
        with pytest.raises(IndeterminateError):
            far.counter("c").add(1)
        assert near.counter("c").value == 1
        wait_until(lambda: near.counter("c").value == 2)


def test_held_back_commands_keep_their_order(built_in_server: BuiltInServer) -> None:
    with Proxy(("127.0.0.1", built_in_server.port)) as proxy:
        url = f"server://127.0.0.1:{proxy.port}"
        with sharedstate.connect(url, namespace=fresh_namespace()) as far:
            queue = far.queue("q")
            proxy.command_delay_seconds = 0.05
            far.backend.execute_many([("RPUSH", "order", n) for n in range(5)])
            proxy.command_delay_seconds = 0.0
            assert queue.empty()
            assert far.backend.execute(("LRANGE", "order", 0, -1)) == [
                b"0", b"1", b"2", b"3", b"4"
            ]  # fmt: skip
            far.backend.execute(("DEL", "order"))
