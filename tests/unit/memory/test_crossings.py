"""Everything at once: several clients, and whatever can get into each other's way.

Expiry of keys and fields, eviction, transactions, scripts, blocking, pauses, users,
caching and monitors meet in random order. After each step, what an engine keeps beside
its data must agree with the data, and who has followed its effects must have the same.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sharedstate_memory.access_clocks import ClockedKeyspace
from sharedstate_memory.engine import Engine
from sharedstate_memory.replies import BLOCKED
from sharedstate_memory.sizes import size_of_entry
from tests.unit.memory.conftest import Clock
from tests.unit.memory.recount import dispose, recount
from tests.unit.memory.tables import check_tables
from tests.unit.memory.wires import WiredClient

if TYPE_CHECKING:
    from sharedstate_memory.keyspace import Keyspace

_PARTS = {
    "key": ["a", "b", "c", "d"],
    "field": ["f", "g", "h"],
    "value": ["x", "1", "a-longer-value"],
    "n": ["-1", "0", "1", "2"],
    "ms": ["1", "10", "300", "1000"],
    "db": ["0", "1"],
    "client": ["1", "2", "3", "4", "5"],
    "user": ["default", "limited"],
    "switch": ["ON", "OFF"],
}

_DATA = """
SET key value
SET key value PX ms
SET key value KEEPTTL
GET key
GETEX key PX ms
APPEND key value
INCR key
MSET key value key value
DEL key key
PEXPIRE key ms
PERSIST key
RENAME key key
COPY key key REPLACE
COPY key key DB db
MOVE key db
SORT key BY nosort GET key STORE key
HSET key field value
HSET key field value field value
HDEL key field
HINCRBY key field n
HPEXPIRE key ms FIELDS 1 field
HPEXPIRE key ms FIELDS 2 field field
HPERSIST key FIELDS 1 field
HGETALL key
RPUSH key value value
LPOP key
LTRIM key n n
LMOVE key key LEFT RIGHT
SADD key field value
SPOP key
SPOP key n
SRANDMEMBER key
SMOVE key key field
SUNIONSTORE key key key
ZADD key 1 field 2 value
ZREMRANGEBYRANK key n n
ZPOPMIN key
ZUNIONSTORE key 2 key key
RANDOMKEY
SCAN 0
OBJECT FREQ key
OBJECT IDLETIME key
TOUCH key
SELECT db
SWAPDB 0 1
FLUSHDB
FLUSHALL
PUBLISH channel value
"""

_SESSIONS = """
MULTI
EXEC
EXEC
DISCARD
WATCH key key
UNWATCH
BLPOP key key 1
BLMOVE key key LEFT RIGHT 0
BZPOPMIN key 1
SUBSCRIBE channel
PSUBSCRIBE __key*
UNSUBSCRIBE
PUNSUBSCRIBE
HELLO 2
HELLO 3
RESET
QUIT
MONITOR
AUTH user word
AUTH limited wrong
ACL SETUSER limited -@write
ACL SETUSER limited +@all ~*
ACL SETUSER limited resetkeys ~a
ACL DELUSER limited
CLIENT KILL ID client
CLIENT KILL ID client SKIPME NO
CLIENT UNBLOCK client
CLIENT PAUSE ms
CLIENT PAUSE ms WRITE
CLIENT UNPAUSE
CLIENT REPLY ON
CLIENT REPLY OFF
CLIENT REPLY SKIP
CLIENT NO-TOUCH switch
CLIENT TRACKING ON
CLIENT TRACKING ON NOLOOP
CLIENT TRACKING ON BCAST PREFIX a
CLIENT TRACKING ON OPTIN
CLIENT TRACKING ON REDIRECT client
CLIENT TRACKING OFF
CLIENT CACHING YES
CONFIG SET maxmemory 0
CONFIG SET maxmemory 1
CONFIG SET maxmemory 1500
CONFIG SET maxmemory 3000
CONFIG SET maxmemory-policy noeviction
CONFIG SET maxmemory-policy allkeys-lru
CONFIG SET maxmemory-policy allkeys-lfu
CONFIG SET maxmemory-policy volatile-lru
CONFIG SET maxmemory-policy volatile-random
CONFIG SET maxmemory-policy volatile-ttl
CONFIG SET notify-keyspace-events KEA
CONFIG SET notify-keyspace-events EnmxK
CONFIG SET notify-keyspace-events \x00
CONFIG SET tracking-table-max-keys 1
"""

_SCRIPTS = [
    b"return redis.call('SET', KEYS[1], ARGV[1])",
    b"redis.call('SELECT', '1') return redis.call('INCR', KEYS[1])",
    b"redis.call('PEXPIRE', KEYS[1], 10) return redis.call('GET', KEYS[1])",
    b"#!lua flags=no-writes\nreturn redis.call('EXISTS', KEYS[1])",
    b"return redis.call('SPOP', KEYS[1])",
]


def _lines(templates: str) -> st.SearchStrategy[list[str]]:
    parts = [
        st.tuples(*(st.sampled_from(_PARTS.get(word, [word])) for word in line.split(" ")))
        for line in templates.strip("\n").split("\n")
    ]
    return st.one_of(parts).map(list)


_data, _sessions = _lines(_DATA), _lines(_SESSIONS)
_clients = st.integers(0, 3)


class Follower:
    """Another engine, which is told the effects of the first, and nothing else."""

    def __init__(self, clock: Clock) -> None:
        self.engine = Engine(clock_ms=clock, random=Random(2))
        self._session = self.engine.open_session(lambda reply: None)

    def __call__(self, database: int, argv: list[bytes]) -> None:
        # Queued with the others in a transaction.
        self._session.execute([b"SELECT", b"%d" % database])
        self._session.execute(list(argv))


class Crossings(RuleBasedStateMachine):
    """Four clients of one engine."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.engine = Engine(clock_ms=self.clock, random=Random(1))
        self.follower: Follower | None = None
        self.clients = [WiredClient(self.engine) for _ in range(4)]

    @initialize(is_followed=st.booleans())
    def begin(self, is_followed: bool) -> None:
        if is_followed:
            self.follower = Follower(self.clock)
            self.engine.on_effect = self.follower
        self.clients[0]("ACL SETUSER limited on nopass ~a ~b &* +@all")

    @rule(client=_clients, words=_data)
    def change_data(self, client: int, words: list[str]) -> None:
        self._execute(client, [word.encode() for word in words])

    @rule(client=_clients, batch=st.lists(_data, min_size=1, max_size=4))
    def run_transaction(self, client: int, batch: list[list[str]]) -> None:
        for words in [["MULTI"], *batch, ["EXEC"]]:
            self._execute(client, [word.encode() for word in words])

    @rule(client=_clients, words=_sessions)
    def change_sessions(self, client: int, words: list[str]) -> None:
        self._execute(client, [word.encode().replace(b"\0", b"") for word in words])

    @rule(
        client=_clients,
        script=st.sampled_from(_SCRIPTS),
        key=st.sampled_from(_PARTS["key"]),
    )
    def run_script(self, client: int, script: bytes, key: str) -> None:
        self._execute(client, [b"EVAL", script, b"1", key.encode(), b"value"])

    @rule(milliseconds=st.sampled_from([1, 9, 300, 2000]))
    def wait(self, milliseconds: int) -> None:
        self.clock.advance(milliseconds)
        self.engine.expire_waits()

    @rule()
    def run_cron(self) -> None:
        self.engine.cron()

    def _execute(self, client: int, argv: list[bytes]) -> None:
        session = self.clients[client].session
        if session.wait is None:
            reply = session.execute(argv)
            assert (reply is BLOCKED) == (session.wait is not None)
        for at, other in enumerate(self.clients):
            if other.session.closing:
                self.engine.close_session(other.session)
                self.clients[at] = WiredClient(self.engine)

    # -- what always holds

    @invariant()
    def is_between_units(self) -> None:
        assert not self.engine.pending
        assert self.engine._now_ms is None
        assert not self.engine.waits.ready

    @invariant()
    def bytes_are_counted(self) -> None:
        dispose(self.engine)
        pause = self.engine.pause
        hidden = [] if pause is None else pause._hidden
        unseen = sum(size_of_entry(key, value) for _, key, value in hidden)
        assert self.engine.used_bytes == recount(self.engine) + unseen

    @invariant()
    def tables_agree(self) -> None:
        for db in self.engine.databases:
            check_tables(db, self._hidden_keys(db))

    def _hidden_keys(self, db: Keyspace) -> set[bytes]:
        pause = self.engine.pause
        return set() if pause is None else {k for d, k, _ in pause._hidden if d is db}

    @invariant()
    def clocks_are_those_of_the_policy(self) -> None:
        clock = self.engine.eviction.clock
        for db in self.engine.databases:
            assert db.clock is clock
            assert (type(db) is ClockedKeyspace) == (clock is not None)
            assert clock is not None or not db.clocks

    @invariant()
    def sessions_agree_with_who_watches_and_waits(self) -> None:
        sessions = self.engine.sessions.values()
        watches = [(db, key, s) for s in sessions for db, key in s.watched]
        waits = {s.wait for s in sessions if s.wait is not None}
        assert len(self.engine.waits) == len(waits)
        for db in self.engine.databases:
            for key, watchers in db.watchers.items():
                assert watchers
                assert all((db, key, session) in watches for session in watchers)
            for key, line in db.waiters.items():
                assert line
                assert all(wait in waits and key in wait.keys for wait in line)
        assert len(watches) == sum(
            len(line) for db in self.engine.databases for line in db.watchers.values()
        )
        for wait in waits:
            assert not wait.is_over
            assert all(wait in wait.db.waiters[key] for key in wait.keys)

    @invariant()
    def attention_is_paid_as_needed(self) -> None:
        for db in self.engine.databases:
            before = db.attentive
            db.review_attention()
            assert db.attentive == before

    @invariant()
    def the_follower_has_the_same(self) -> None:
        if self.follower is None:
            return
        for ours, theirs in zip(
            self.engine.databases, self.follower.engine.databases, strict=True
        ):
            assert _content(ours, self.clock.now_ms) == _content(theirs, self.clock.now_ms)


def _content(db: Keyspace, now_ms: int) -> dict[bytes, Any]:
    """What is not over: values, deadlines, and the deadlines of fields."""
    content: dict[bytes, Any] = {}
    for key, value in db.data.items():
        own_ms = db.deadline_of(key)
        if own_ms is not None and own_ms <= now_ms:
            continue
        timed = db.field_deadlines.get(key)
        deadlines = {} if timed is None else timed.scores()
        shown: Any = value
        if type(value) is dict:
            shown = {
                f: v for f, v in value.items() if deadlines.get(f, now_ms + 1) > now_ms
            }
        elif hasattr(value, "scores"):
            shown = value.scores()
        if shown or type(shown) is bytes:
            live = {field: at_ms for field, at_ms in deadlines.items() if at_ms > now_ms}
            content[key] = (shown, own_ms, live)
    return content


TestCrossings = Crossings.TestCase
TestCrossings.settings = settings(max_examples=150, stateful_step_count=40)
