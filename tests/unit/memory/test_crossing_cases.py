"""Cases in which two features met, and one of them lost."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import TYPE_CHECKING

import pytest

from sharedstate_memory.replies import BLOCKED, QUEUED
from sharedstate_memory.sampling import sample
from sharedstate_memory.sorted_set import SortedSet
from tests.unit.memory.conftest import Client
from tests.unit.memory.recount import assert_counted
from tests.unit.memory.wires import WiredClient

if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Clock

Wired = Callable[[], WiredClient]


@pytest.fixture
def wired(engine: Engine) -> Wired:
    """Opens clients that have connections."""
    return lambda: WiredClient(engine)


def test_a_subcommand_is_found_however_many_spellings_there_were(client: Client) -> None:
    for bits in product((str.upper, str.lower), repeat=11):
        name = "".join(map(lambda change, letter: change(letter), bits, "zrangebylex"))
        client(f"{name} k - +")
    assert client("cOnFiG GET maxmemory") == {b"maxmemory": b"0"}


class TestPausesBegunInTransactions:
    """A pause begins when the unit is over that asked for it."""

    def test_what_is_written_over_an_expired_key_stays(
        self, engine: Engine, clock: Clock, wired: Wired
    ) -> None:
        client = wired()
        client("SET k 5 PX 10")
        clock.advance(20)
        client("MULTI")
        client("CLIENT PAUSE 100 WRITE")
        client("GET k")
        client("SET k 7")
        client("INCR k")
        assert client("EXEC") == [b"OK", None, b"OK", 8]
        clock.advance(200)
        engine.expire_waits()
        assert client("GET k") == b"8"
        assert_counted(engine)


class TestClientsThatAreKilled:
    """Whoever is killed waits for nothing more."""

    def test_what_they_waited_for_stays(self, wired: Wired) -> None:
        client, victim = wired(), wired()
        assert victim("BLPOP l 0") is BLOCKED
        client("MULTI")
        client(f"CLIENT KILL ID {victim.session.id}")
        client("RPUSH l item")
        assert client("EXEC") == [1, 1]
        assert (victim.delivered, client("LLEN l")) == ([], 1)

    def test_what_was_held_back_is_not_executed(
        self, engine: Engine, clock: Clock, wired: Wired
    ) -> None:
        client, victim = wired(), wired()
        client("CLIENT PAUSE 100 WRITE")
        assert victim("SET k v") is BLOCKED
        client(f"CLIENT KILL ID {victim.session.id}")
        clock.advance(200)
        engine.expire_waits()
        assert client("GET k") is None


def test_those_held_back_who_have_gone_are_forgotten(engine: Engine, wired: Wired) -> None:
    wired()("CLIENT PAUSE 1000")
    for _ in range(500):
        victim = wired()
        victim("SET k v")
        engine.close_session(victim.session)
    assert engine.pause is not None
    assert len(engine.pause._postponed) < 100


class TestClientsThatDoNotTouch:
    """CLIENT NO-TOUCH ON."""

    def test_they_may_change_the_policy(self, engine: Engine, client: Client) -> None:
        client("CLIENT NO-TOUCH ON")
        client("CONFIG SET maxmemory-policy allkeys-lru")
        client("CONFIG SET maxmemory-policy allkeys-lfu")
        assert {db.clock for db in engine.databases} == {engine.eviction.clock}

    def test_transactions_touch_no_other_database_either(
        self, engine: Engine, client: Client
    ) -> None:
        client("CONFIG SET maxmemory-policy allkeys-lfu")
        client("CLIENT NO-TOUCH ON")
        client("MULTI")
        client("SELECT 1")
        client("SET k v")
        client("EXEC")
        assert not engine.databases[1].clocks

    def test_touch_touches(self, engine: Engine, client: Client) -> None:
        client("SET k v")
        client("CONFIG SET maxmemory-policy allkeys-lfu")
        client("CLIENT NO-TOUCH ON")
        client("GET k")
        assert not client.session.db.clocks
        client("TOUCH k")
        assert client.session.db.clocks


def test_a_command_that_is_queued_tells_of_the_keys_evicted_for_it(
    engine: Engine, client: Client, connect: Callable[[], Client]
) -> None:
    listener = connect()
    client("CONFIG SET maxmemory-policy allkeys-random notify-keyspace-events Ee")
    listener("PSUBSCRIBE *")
    client("SET big " + "x" * 1000)
    client("MULTI")
    engine.settings.change([("maxmemory", "500")])
    assert client("SET k v") is QUEUED
    assert len(listener.delivered) == 1
    assert not engine.pending


def test_nobody_is_evicted_in_the_middle_of_a_transaction(
    engine: Engine, client: Client
) -> None:
    effects: list[bytes] = []
    for number in range(50):
        client(f"SET k{number} " + "x" * 100)
    engine.on_effect = lambda _, argv: effects.append(argv[0].upper())
    client("MULTI")
    client("SET a 1")
    client("CONFIG SET maxmemory 4000 maxmemory-policy allkeys-random")
    client("EVAL", "return redis.call('SET', 'b', '1')", 0)
    client("EXEC")
    assert effects == [b"MULTI", b"SET", b"SET", b"EXEC"]


def test_to_set_an_expired_key_counts_as_its_expiry(
    engine: Engine, clock: Clock, client: Client, connect: Callable[[], Client]
) -> None:
    listener = connect()
    client("CONFIG SET notify-keyspace-events Ex")
    listener("PSUBSCRIBE *")
    client("SET k v PX 10")
    clock.advance(20)
    client("SET k v")
    assert engine.expired_keys == 1
    assert [message[2:] for message in listener.delivered] == [
        [b"__keyevent@0__:expired", b"k"]
    ]


def test_keys_that_got_their_deadlines_lately_are_sampled_as_well(client: Client) -> None:
    db = client.session.db
    for number in range(500):
        client(f"SET old{number} v PX 1000")
    sample(db, 5, volatile=True)
    for number in range(500):
        client(f"DEL old{number}")
        client(f"SET new{number} v PX 1000")
    assert len({*sample(db, 100, volatile=True)}) > 50


def test_a_list_of_volatile_keys_that_nobody_samples_does_not_grow(client: Client) -> None:
    client("SET stays v PX 1000")
    sample(client.session.db, 5, volatile=True)
    for number in range(1000):
        client(f"SET k{number} v PX 1000")
        client(f"DEL k{number}")
    assert len(client.session.db.volatile_order) < 100


def test_a_key_whose_fields_alone_expire_is_not_volatile(
    engine: Engine, client: Client
) -> None:
    client("CONFIG SET maxmemory-policy volatile-lru")
    client("HSET h f v")
    client("EXPIRE h 100")
    assert engine.eviction._choose() is not None
    client("HEXPIRE h 10 FIELDS 1 f")
    engine.eviction._fill_pool(engine.eviction.clock)  # type: ignore[arg-type]
    client("PERSIST h")
    assert engine.eviction._choose() is None


def test_much_of_a_sorted_set_is_removed_as_little_is(client: Client) -> None:
    scores = {b"m%d" % number: float(number % 50) for number in range(2000)}
    client("ZADD z", *(word for m, score in scores.items() for word in (int(score), m)))
    assert client("ZREMRANGEBYSCORE z 10 (45") == 1400
    assert client("ZREMRANGEBYRANK z 0 1") == 2
    assert client("ZREMRANGEBYSCORE z 48 49") == 80
    members = client.session.db.data[b"z"]
    assert isinstance(members, SortedSet)
    left = {m for m, score in scores.items() if score < 10 or 45 <= score < 48}
    assert {*members} == left - {b"m0", b"m50"} or len({*members} ^ left) == 2
    assert client("ZRANGE z 0 -1") == members.members(0, len(members))
    assert_counted(client.engine)


def test_a_big_value_that_is_moved_is_counted_once(engine: Engine, client: Client) -> None:
    client("HSET h", *(word for n in range(5000) for word in (f"f{n}", n)))
    client("HEXPIRE h 100 FIELDS 2 f1 f2")
    before = engine.used_bytes
    client("RENAME h j")
    client("MOVE j 1")
    assert engine.used_bytes == before
    assert_counted(engine)


def test_members_that_took_the_place_of_others_are_drawn_soon(client: Client) -> None:
    client("SADD s", *(f"old{n}" for n in range(20_000)))
    client("SRANDMEMBER s")
    client("SREM s", *(f"old{n}" for n in range(10_000)))
    client("SADD s", *(f"new{n}" for n in range(10_000)))
    drawn = [client("SRANDMEMBER s") for _ in range(200)]
    assert any(member.startswith(b"new") for member in drawn)


def test_an_interrupt_in_a_transaction_lets_the_session_wait_again(
    client: Client,
) -> None:
    def interrupt(database: int, argv: list[bytes]) -> None:
        raise KeyboardInterrupt

    client("CONFIG SET notify-keyspace-events KEA")
    client("SUBSCRIBE __keyspace@0__:k")
    client.session.deliver = lambda message: interrupt(0, [])
    writer = Client(client.engine)
    writer("MULTI")
    writer("SET k v")
    with pytest.raises(KeyboardInterrupt):
        writer("EXEC")
    assert writer.session.may_block


def test_readers_that_have_gone_are_not_remembered_for_ever(
    engine: Engine, connect: Callable[[], Client]
) -> None:
    stays = connect()
    stays("HELLO 3")
    stays("CLIENT TRACKING ON")
    stays("GET k")
    for _ in range(500):
        reader = connect()
        reader("HELLO 3")
        reader("CLIENT TRACKING ON")
        reader("GET k")
        engine.close_session(reader.session)
    assert engine.tracking is not None
    assert engine.tracking.item_count < 100
    connect()("SET k v")
    assert stays.delivered == [[b"invalidate", [b"k"]]]
