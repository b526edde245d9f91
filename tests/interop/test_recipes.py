"""What people write by hand with Redis: limiters, queues, caches, locks, counts of users.

Each recipe runs alike on the built-in server and on redis-server. Where time must pass, the
test asks the server until it has.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from sharedstate.testing.plugin import fresh_namespace
from sharedstate.testing.servers import BuiltInServer, RedisServer, StoreServer

WAIT_SECONDS = 20.0

TOKEN_BUCKET = """
local size, per_second = tonumber(ARGV[1]), tonumber(ARGV[2])
local now = tonumber(ARGV[3])
local state = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(state[1]) or size
local at = tonumber(state[2]) or now
tokens = math.min(size, tokens + (now - at) * per_second)
local allowed = tokens >= 1
if allowed then tokens = tokens - 1 end
redis.call('HSET', KEYS[1], 'tokens', tokens, 'at', now)
redis.call('PEXPIRE', KEYS[1], math.ceil(size / per_second * 1000))
return {allowed and 1 or 0, tostring(tokens)}
"""

RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""

DUE = """
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
if #due > 0 then
    redis.call('ZREM', KEYS[1], unpack(due))
    redis.call('RPUSH', KEYS[2], unpack(due))
end
return due
"""


@pytest.fixture(scope="module", params=[BuiltInServer, RedisServer])
def server(request: pytest.FixtureRequest) -> Iterator[StoreServer]:
    """A server of these tests' own, which tells of keys that expire."""
    if request.param is RedisServer:
        request.getfixturevalue("redis_is_installed")
    with request.param() as server, redis.Redis(port=server.port) as client:
        client.config_set("notify-keyspace-events", "Kx")
        client.config_set("hz", 100)
        yield server


@pytest.fixture(params=[2, 3])
def client(server: StoreServer, request: pytest.FixtureRequest) -> Iterator[Any]:
    with redis.Redis(port=server.port, protocol=request.param, decode_responses=True) as it:
        yield it


@pytest.fixture
def key() -> str:
    """A name that no other test uses."""
    return fresh_namespace()


def wait_until(is_so: Callable[[], object]) -> None:
    """Ask again and again, until it is so."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


def in_threads(work: Callable[[int], object], *, count: int) -> None:
    """Run `work` with each number in a thread of its own, to the end."""
    threads = [threading.Thread(target=work, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_SECONDS)
        assert not thread.is_alive()


class TestLimiters:
    """How often may somebody do this?"""

    def test_a_fixed_window_lets_so_many_in(self, client: Any, key: str) -> None:
        def is_allowed() -> bool:
            count = client.incr(key)
            if count == 1:
                client.expire(key, 60)
            return bool(count <= 3)

        assert [is_allowed() for _ in range(5)] == [True] * 3 + [False] * 2
        assert 0 < client.ttl(key) <= 60

    def test_a_window_ends(self, client: Any, key: str) -> None:
        with client.pipeline() as pipe:
            pipe.incr(key).pexpire(key, 1)
            assert pipe.execute() == [1, True]
        wait_until(lambda: client.get(key) is None)
        assert client.incr(key) == 1

    def test_a_sliding_window_forgets_what_is_old(self, client: Any, key: str) -> None:
        def count_at(now: int) -> int:
            with client.pipeline() as pipe:
                pipe.zremrangebyscore(key, "-inf", f"({now - 10}")
                pipe.zadd(key, {uuid.uuid4().hex: now}).zcard(key).expire(key, 10)
                return int(pipe.execute()[2])

        assert [count_at(now) for now in (100, 101, 105, 111, 130)] == [1, 2, 3, 3, 1]

    def test_a_token_bucket_fills_up_again(self, client: Any, key: str) -> None:
        take = client.register_script(TOKEN_BUCKET)

        def allowed(now: float) -> int:
            return int(take(keys=[key], args=[2, 0.5, now])[0])

        assert [allowed(now) for now in (0, 0, 0, 1, 2, 3)] == [1, 1, 0, 0, 1, 0]
        assert take(keys=[key], args=[2, 0.5, 3.25]) == [0, "0.625"]


class TestQueues:
    """Work for somebody else."""

    def test_a_reliable_queue_loses_nothing(self, client: Any, key: str) -> None:
        client.lpush(f"{key}:todo", "a", "b")
        assert client.brpoplpush(f"{key}:todo", f"{key}:doing", timeout=1) == "a"
        assert client.blmove(f"{key}:todo", f"{key}:doing", 1, "RIGHT", "LEFT") == "b"
        # One is done; the worker dies over the other, which goes back.
        client.lrem(f"{key}:doing", 1, "a")
        assert client.lmove(f"{key}:doing", f"{key}:todo", "RIGHT", "LEFT") == "b"
        assert client.lrange(f"{key}:todo", 0, -1) == ["b"]
        assert not client.exists(f"{key}:doing")

    def test_each_item_goes_to_one_worker(self, client: Any, key: str) -> None:
        taken: list[str] = []

        def worker(number: int) -> None:
            while (item := client.blpop([key], timeout=WAIT_SECONDS)[1]) != "end":
                taken.append(item)

        client.rpush(key, *range(200), *["end"] * 4)
        in_threads(worker, count=4)
        assert sorted(map(int, taken)) == list(range(200))

    def test_the_first_of_a_delayed_queue_is_waited_for(
        self, client: Any, key: str
    ) -> None:
        def put(_: int) -> None:
            client.zadd(key, {"later": 20, "soon": 10})

        thread = threading.Thread(target=put, args=[0])
        thread.start()
        first = client.bzpopmin(key, timeout=WAIT_SECONDS)
        thread.join()
        assert list(first) == [key, "soon", 10.0]
        assert client.bzpopmin([key], timeout=1)[1] == "later"
        assert client.bzpopmin(key, timeout=0.01) is None

    def test_what_is_due_moves_on_and_the_rest_stays(self, client: Any, key: str) -> None:
        move = client.register_script(DUE)
        client.zadd(f"{key}:later", {"c": 30, "a": 10, "b": 20})
        assert move(keys=[f"{key}:later", f"{key}:now"], args=[20, 100]) == ["a", "b"]
        assert client.lrange(f"{key}:now", 0, -1) == ["a", "b"]
        assert client.zrange(f"{key}:later", 0, -1) == ["c"]


class TestCaches:
    """What may be gone, and what must be by then."""

    def test_a_value_is_computed_once_for_its_time(self, client: Any, key: str) -> None:
        computed: list[int] = []

        def cached() -> str:
            value = client.get(key)
            if value is None:
                computed.append(1)
                value = "dear"
                client.set(key, value, ex=60)
            return str(value)

        assert [cached(), cached()] == ["dear", "dear"]
        assert len(computed) == 1

    def test_a_listener_hears_of_keys_that_expired(self, client: Any, key: str) -> None:
        with client.pubsub(ignore_subscribe_messages=True) as channels:
            channels.psubscribe(f"__keyspace@0__:{key}*")
            channels.get_message(timeout=WAIT_SECONDS)
            client.set(f"{key}:session", "x", px=1)
            heard = next(channels.listen())
        assert heard["channel"] == f"__keyspace@0__:{key}:session"
        assert heard["data"] == "expired"

    def test_a_session_slides_while_it_is_used(self, client: Any, key: str) -> None:
        client.hset(key, mapping={"user": "ada", "cart": "3"})
        with client.pipeline() as pipe:
            pipe.hgetall(key).expire(key, 10).expire(key, 1800, gt=True).ttl(key)
            session, *_, seconds = pipe.execute()
        assert session == {"user": "ada", "cart": "3"}
        assert 1790 <= seconds <= 1800

    def test_one_field_of_a_session_expires(
        self, server: StoreServer, client: Any, key: str
    ) -> None:
        if isinstance(server, RedisServer):
            pytest.skip("Redis 7.0 has no deadlines of fields")
        client.hset(key, mapping={"user": "ada", "code": "1234"})
        assert client.hpexpire(key, 1, "code", "none") == [1, -2]
        wait_until(lambda: client.hget(key, "code") is None)
        assert client.hgetall(key) == {"user": "ada"}


class TestLocks:
    """One at a time."""

    def test_only_its_owner_releases_a_lock(self, client: Any, key: str) -> None:
        release = client.register_script(RELEASE)
        assert client.set(key, "mine", nx=True, px=60_000) is True
        assert client.set(key, "other", nx=True, px=60_000) is None
        assert release(keys=[key], args=["other"]) == 0
        assert release(keys=[key], args=["mine"]) == 1
        assert client.set(key, "other", nx=True, px=1) is True
        wait_until(lambda: client.set(key, "next", nx=True, px=60_000))

    def test_the_lock_of_redis_py_excludes(self, client: Any, key: str) -> None:
        def add(number: int) -> None:
            for _ in range(10):
                with client.lock(f"{key}:lock", timeout=WAIT_SECONDS, sleep=0.001):
                    client.set(key, int(client.get(key) or 0) + 1)

        in_threads(add, count=4)
        assert client.get(key) == "40"

    def test_watched_updates_are_tried_again(self, client: Any, key: str) -> None:
        def buy(pipe: Any) -> None:
            left = int(pipe.get(key))
            pipe.multi()
            pipe.set(key, left - 1)

        client.set(key, 100)
        in_threads(lambda _: [client.transaction(buy, key) for _ in range(10)], count=4)
        assert client.get(key) == "60"


class TestCounts:
    """Who was best, and how many came?"""

    def test_a_leaderboard(self, client: Any, key: str) -> None:
        client.zadd(key, {"ada": 30, "bob": 20, "cyd": 25})
        client.zincrby(key, 15, "bob")
        client.zadd(key, {"ada": 10, "cyd": 26}, gt=True)
        best = client.zrange(key, 0, 1, desc=True, withscores=True)
        assert [tuple(pair) for pair in best] == [("bob", 35.0), ("ada", 30.0)]
        assert (client.zrevrank(key, "cyd"), client.zcount(key, 26, "+inf")) == (2, 3)

    def test_users_of_days_are_bits(self, client: Any, key: str) -> None:
        monday, tuesday, both = (f"{key}:{name}" for name in ("mon", "tue", "both"))
        for user in (3, 70, 1000):
            client.setbit(monday, user, 1)
        for user in (3, 1000, 4000):
            client.setbit(tuesday, user, 1)
        client.bitop("AND", both, monday, tuesday)
        assert [client.bitcount(day) for day in (monday, tuesday, both)] == [3, 3, 2]
        assert (client.bitpos(both, 1), client.getbit(both, 70)) == (3, 0)

    def test_tags_are_sets(self, client: Any, key: str) -> None:
        client.sadd(f"{key}:red", "apple", "cherry", "car")
        client.sadd(f"{key}:fruit", "apple", "cherry", "pear")
        assert client.sinter(f"{key}:red", f"{key}:fruit") == {"apple", "cherry"}
        assert client.sintercard(2, [f"{key}:red", f"{key}:fruit"], limit=1) == 1

    def test_scanning_finds_every_key_while_others_come_and_go(
        self, client: Any, key: str
    ) -> None:
        client.mset({f"{key}:stays:{number}": number for number in range(300)})
        found: set[str] = set()
        for number, name in enumerate(client.scan_iter(f"{key}:stays:*", count=10)):
            client.set(f"{key}:comes:{number}", 1)
            client.delete(f"{key}:comes:{number - 1}")
            found.add(name)
        assert len(found) == 300
