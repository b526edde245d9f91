"""redis-py's asyncio client, with either protocol, and with replies as text."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis
import redis.asyncio

from sharedstate.testing.plugin import fresh_namespace
from sharedstate.testing.servers import BuiltInServer

Use = Callable[[Any], Awaitable[None]]

pytestmark = pytest.mark.parametrize("protocol", [2, 3])


@pytest.fixture
def key() -> str:
    """A name that no other test uses."""
    return fresh_namespace()


@pytest.fixture
def run(built_in_server: BuiltInServer, protocol: int) -> Callable[[Use], None]:
    """Runs a function with a client in an event loop of its own."""

    async def connect_and_use(use: Use) -> None:
        async with redis.asyncio.Redis(
            port=built_in_server.port, protocol=protocol, decode_responses=True
        ) as client:
            await use(client)

    return lambda use: asyncio.run(connect_and_use(use))


def test_values_of_each_type_come_back_as_text(
    run: Callable[[Use], None], key: str
) -> None:
    async def use(client: Any) -> None:
        assert await client.set(f"{key}:s", "é", ex=60)
        assert await client.get(f"{key}:s") == "é"
        await client.hset(f"{key}:h", mapping={"a": 1, "b": "x"})
        assert await client.hgetall(f"{key}:h") == {"a": "1", "b": "x"}
        await client.rpush(f"{key}:l", "a", "b")
        assert await client.lrange(f"{key}:l", 0, -1) == ["a", "b"]
        await client.sadd(f"{key}:m", "x")
        assert set(await client.smembers(f"{key}:m")) == {"x"}
        await client.zadd(f"{key}:z", {"a": 1.5, "b": 2})
        pairs = await client.zrange(f"{key}:z", 0, -1, withscores=True)
        assert [tuple(pair) for pair in pairs] == [("a", 1.5), ("b", 2.0)]
        found = [name async for name in client.scan_iter(f"{key}:*")]
        assert sorted(found) == [f"{key}:{kind}" for kind in "hlmsz"]

    run(use)


def test_mistakes_are_raised_as_what_they_are(run: Callable[[Use], None], key: str) -> None:
    async def use(client: Any) -> None:
        await client.set(key, "x")
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            await client.lpush(key, "x")
        with pytest.raises(redis.exceptions.NoScriptError):
            await client.evalsha("0" * 40, 0)

    run(use)


def test_a_pipeline_is_a_transaction(run: Callable[[Use], None], key: str) -> None:
    async def use(client: Any) -> None:
        async with client.pipeline(transaction=True) as pipeline:
            assert await pipeline.set(key, 1).incr(key).get(key).execute() == [True, 2, "2"]
        async with client.pipeline(transaction=False) as pipeline:
            for _ in range(1000):
                pipeline.incr(key)
            assert (await pipeline.execute())[-1] == 1002

    run(use)


def test_a_watched_key_that_changes_ends_the_transaction(
    run: Callable[[Use], None], key: str
) -> None:
    async def use(client: Any) -> None:
        async with client.pipeline() as pipeline:
            await pipeline.watch(key)
            await client.set(key, "theirs")
            pipeline.multi()
            pipeline.set(key, "ours")
            with pytest.raises(redis.WatchError):
                await pipeline.execute()
        assert await client.get(key) == "theirs"

    run(use)


def test_many_wait_at_once_and_each_is_served(run: Callable[[Use], None], key: str) -> None:
    async def use(client: Any) -> None:
        waiters = [asyncio.create_task(client.blpop(key, timeout=20)) for _ in range(50)]
        while (await client.info("clients"))["blocked_clients"] < len(waiters):
            await asyncio.sleep(0.01)
        await client.rpush(key, *range(50))
        served = await asyncio.gather(*waiters)
        assert sorted(int(item) for _, item in served) == list(range(50))

    run(use)


def test_a_wait_can_be_cancelled(run: Callable[[Use], None], key: str) -> None:
    async def use(client: Any) -> None:
        waiter = asyncio.create_task(client.blpop(key, timeout=20))
        while not (await client.info("clients"))["blocked_clients"]:
            await asyncio.sleep(0.01)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        while (await client.info("clients"))["blocked_clients"]:
            await asyncio.sleep(0.01)
        await client.rpush(key, "kept")
        assert await client.lpop(key) == "kept"

    run(use)


def test_messages_come_while_others_are_sent(run: Callable[[Use], None], key: str) -> None:
    async def use(client: Any) -> None:
        async with client.pubsub() as listener:
            await listener.subscribe(key)
            await listener.psubscribe(f"{key}:*")
            for _ in range(2):
                await listener.get_message(timeout=20)
            await asyncio.gather(
                client.publish(key, "one"), client.publish(f"{key}:x", "two")
            )
            heard = [await listener.get_message(timeout=20) for _ in range(2)]
            assert sorted(message["data"] for message in heard) == ["one", "two"]

    run(use)


def test_a_registered_script_runs(run: Callable[[Use], None], key: str) -> None:
    async def use(client: Any) -> None:
        script = client.register_script("return {KEYS[1], ARGV[1], {1, false}}")
        assert await script(keys=[key], args=["x"]) == [key, "x", [1, None]]

    run(use)
