"""Unmodified Redis clients listen: to channels, to changes of keys, to all commands."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import redis.asyncio

from sharedstate.testing.plugin import fresh_namespace
from sharedstate.testing.servers import BuiltInServer

# Nobody waits for so long; a message that does not come is a failure.
SECONDS = 20


@pytest.fixture
def key() -> str:
    """A name that no other test uses."""
    return fresh_namespace()


@pytest.fixture(params=[2, 3])
def client(built_in_server: BuiltInServer, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A client of redis-py, with either protocol."""
    with redis.Redis(port=built_in_server.port, protocol=request.param) as client:
        yield client


def received(pubsub: Any, count: int) -> list[tuple[Any, ...]]:
    """The next messages: kind, pattern, channel and content."""
    messages = [pubsub.get_message(timeout=SECONDS) for _ in range(count)]
    return [
        (each["type"], each["pattern"], each["channel"], each["data"]) for each in messages
    ]


def test_channels_and_patterns(client: Any, key: str) -> None:
    name = key.encode()
    with client.pubsub() as pubsub:
        pubsub.subscribe(key, f"{key}:other")
        pubsub.psubscribe(f"{key}*")
        assert [kind for kind, *_ in received(pubsub, 3)] == [
            "subscribe",
            "subscribe",
            "psubscribe",
        ]
        assert client.publish(key, "hello") == 2
        assert client.publish(f"{key}:third", "hello") == 1
        assert received(pubsub, 3) == [
            ("message", None, name, b"hello"),
            ("pmessage", name + b"*", name, b"hello"),
            ("pmessage", name + b"*", name + b":third", b"hello"),
        ]
        assert client.pubsub_numsub(key) == [(name, 1)]
        pubsub.unsubscribe()
        pubsub.punsubscribe()
        assert [kind for kind, *_ in received(pubsub, 3)] == [
            "unsubscribe",
            "unsubscribe",
            "punsubscribe",
        ]
    assert client.publish(key, "nobody") == 0


def test_sharded_channels(client: Any, key: str) -> None:
    with client.pubsub() as pubsub:
        pubsub.ssubscribe(key)
        assert received(pubsub, 1)[0][0] == "ssubscribe"
        assert client.execute_command("SPUBLISH", key, "hello") == 1
        assert received(pubsub, 1) == [("smessage", None, key.encode(), b"hello")]


def test_a_listener_in_a_thread(client: Any, key: str) -> None:
    heard: list[bytes] = []
    with client.pubsub() as pubsub:
        pubsub.subscribe(**{key: lambda message: heard.append(message["data"])})
        thread = pubsub.run_in_thread(sleep_time=SECONDS)
        try:
            while client.publish(key, "hello") == 0:
                pass
        finally:
            thread.stop()
            # Wakes it, so that it sees that it is to end.
            client.publish(key, "end")
            thread.join(SECONDS)
    assert heard[0] == b"hello"


@pytest.mark.parametrize("protocol", [2, 3])
def test_asyncio(built_in_server: BuiltInServer, key: str, protocol: int) -> None:
    async def listen_and_publish() -> list[tuple[str, bytes]]:
        async with (
            redis.asyncio.Redis(port=built_in_server.port, protocol=protocol) as client,
            client.pubsub() as pubsub,
        ):
            await pubsub.subscribe(key)
            await pubsub.psubscribe(f"{key}*")
            heard: list[tuple[str, bytes]] = []
            async for message in pubsub.listen():
                heard.append((message["type"], message["data"]))
                if len(heard) == 2:
                    await client.publish(key, "hello")
                if len(heard) == 4:
                    return heard
        return []

    kinds = asyncio.run(asyncio.wait_for(listen_and_publish(), SECONDS))
    assert kinds == [
        ("subscribe", 1),
        ("psubscribe", 2),
        ("message", b"hello"),
        ("pmessage", b"hello"),
    ]


def test_changes_of_keys(client: Any, key: str) -> None:
    client.config_set("notify-keyspace-events", "KEA")
    try:
        with client.pubsub() as pubsub:
            pubsub.psubscribe(f"__keyspace@0__:{key}")
            received(pubsub, 1)
            client.set(key, "value", px=1)
            client.config_get("port")
            events = [event for *_, event in received(pubsub, 3)]
        assert events == [b"set", b"expire", b"expired"]
    finally:
        client.config_set("notify-keyspace-events", "")


def test_redis_py_monitors(client: Any, key: str) -> None:
    with client.monitor() as monitor:
        client.set(key, 'a "quoted" value')
        for told in monitor.listen():
            if key in told["command"]:
                break
    assert told["command"] == f'SET {key} a "quoted" value'
    assert told["client_type"] == "tcp"
    assert told["db"] == 0


def test_redis_cli_monitors(
    built_in_server: BuiltInServer, redis_is_installed: None, key: str
) -> None:
    program = shutil.which("redis-cli") or "valkey-cli"
    command = [program, "-p", str(built_in_server.port), "MONITOR"]
    with (
        redis.Redis(port=built_in_server.port) as client,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as monitoring,
    ):
        assert monitoring.stdout is not None
        assert monitoring.stdout.readline() == "OK\n"
        client.eval("return redis.call('set', KEYS[1], 1)", 1, key)
        lines = [monitoring.stdout.readline() for _ in range(2)]
        while f'[0 lua] "set" "{key}" "1"\n' not in lines[-1]:
            lines.append(monitoring.stdout.readline())
        monitoring.terminate()
    assert f'"EVAL" "return redis.call(\'set\', KEYS[1], 1)" "1" "{key}"' in lines[-2]


def test_redis_cli_subscribes(
    built_in_server: BuiltInServer, redis_is_installed: None, key: str
) -> None:
    program = shutil.which("redis-cli") or "valkey-cli"
    command = [program, "-p", str(built_in_server.port), "SUBSCRIBE", key]
    with (
        redis.Redis(port=built_in_server.port) as client,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listening,
    ):
        assert listening.stdout is not None
        read = listening.stdout.readline
        assert [read() for _ in range(3)] == ["subscribe\n", f"{key}\n", "1\n"]
        assert client.publish(key, "hello") == 1
        assert [read() for _ in range(3)] == ["message\n", f"{key}\n", "hello\n"]
        listening.terminate()


def test_clients_are_listed_killed_and_paused(client: Any, key: str) -> None:
    port = client.get_connection_kwargs()["port"]
    with redis.Redis(port=port) as other:
        other.client_setname(key)
        (listed,) = [each for each in client.client_list() if each["name"] == key]
        assert listed["id"] == str(other.client_id())
        assert listed["lib-name"].startswith("redis-py")
        assert client.client_kill_filter(_id=listed["id"]) == 1
        assert client.client_pause(20, all=False)
        assert client.set(key, "after the pause")
        assert client.get(key) == b"after the pause"
