"""Users and what they may do: as on Redis.

The commands of a user are told differently (Redis 7.0 works them out anew from what is
permitted, we tell the rules that were given), and so are left out; what they permit is
compared, command by command.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharedstate.commands import COMMANDS, subcommands
from sharedstate.testing.servers import RedisServer
from tests.differential.grammar import commands
from tests.differential.pair import OurEngine, Pair, RealRedis, Words, comparable

RULES = """
on off nopass resetpass >pw <pw >other <other sanitize-payload skip-sanitize-payload
allkeys resetkeys ~* ~a ~b* ~[cd] %R~a %W~b %RW~c %R~* %W~d %X~a %R ~
allchannels resetchannels &* &ch &other* & clearselectors reset ON Reset +GET
+@all -@all allcommands nocommands +@read -@read +@write -@write +@string -@string
+@dangerous -@dangerous +@fast +@connection -@connection +@scripting +@nope -@nope
+get -get +set -set +mget +mset +del +rename +copy +incr +strlen +exists +sort +sort_ro
+zunionstore +lmpop +bitfield +select|0 -select +select +client +client|id -client|list
+client|nope -client|nope +get|x -get|x +client|id|x +object|freq +ping +multi +exec
-exec +echo +publish +psubscribe +eval +getex +command|info +nosuch +get| nope (
(+get) (~a) (+@all) (~*) (%R~b) (&ch) (-@all) (+set (+@write ~c*) () (nope) x) )
"""

# What a user tries. Its keys are those of the tests.
TRIED = """
GET key
SET key value
SET key value GET
GETEX key
MGET key key
MSET key value key value
DEL key [key]
INCR key
STRLEN key
EXISTS key key
RENAME key key
COPY key key
SORT key
SORT key BY pattern
SORT key GET #
SORT key STORE key
SORT_RO key BY nosort
ZUNIONSTORE key 1 key
ZUNIONSTORE key int key
LMPOP 1 key LEFT
BITFIELD key GET u8 0
BITFIELD key SET u8 0 int
OBJECT FREQ key
OBJECT NOPE key
SELECT 0
SELECT 1
CLIENT GETNAME
CLIENT NOPE
PUBLISH ch value
PUBLISH zz value
SPUBLISH other1 value
ECHO value
EVAL return(redis.call('get','a')) 0
EVAL return(redis.call('set','b','1')) 1 key
EVAL return(redis.pcall('publish','ch','m')) 0
EVAL return(redis.pcall('client','id')) 0
EVAL return(redis.acl_check_cmd('set','c','1')) 0
EVAL return(redis.acl_check_cmd('select','0')) 0
EVAL return(redis.acl_check_cmd('client','list')) 0
EVAL return(redis.acl_check_cmd('publish','zz','m')) 0
PING
MULTI
MULTI
EXEC
EXEC
DISCARD
WATCH key
nosuch key
AUTH u pw
AUTH u other
AUTH v pw
AUTH nobody pw
HELLO 2 AUTH v other
HELLO 2 AUTH u pw SETNAME x
HELLO 2 SETNAME
ACL WHOAMI
RESET
"""

rules = st.sampled_from([rule.encode() for rule in RULES.split()])
changes = st.tuples(
    st.sampled_from((b"u", b"v")), st.lists(rules, min_size=1, max_size=6)
).map(lambda change: (b"ACL", b"SETUSER", change[0], *change[1]))

# Each step: whether the administrator says it, and what.
steps = st.one_of(
    changes.map(lambda words: (True, words)),
    commands(TRIED).map(lambda words: (False, words)),
    commands(TRIED).map(lambda words: (False, words)),
    commands(TRIED).map(lambda words: (False, words)),
)

_OPEN = (b"ACL", b"SETUSER", b"u", b"on", b"nopass", b"+@all", b"allkeys", b"allchannels")


@pytest.fixture(scope="module")
def client(emptied_redis: RedisServer) -> Iterator[RealRedis]:
    """A second connection to the real Redis: the one that users log in on."""
    connection = RealRedis(emptied_redis.unix_path)
    yield connection
    connection.close()


class TwoClients:
    """An administrator and a user's client, on both stores."""

    def __init__(self, real: RealRedis, client: RealRedis) -> None:
        client.ask([(b"RESET",)])
        real.ask(
            [(b"RESET",), (b"ACL", b"DELUSER", b"u", b"v"), (b"ACL", b"LOG", b"RESET")]
        )
        self.pair = Pair(real)
        self._real = (client, real)
        self._ours = (OurEngine(self.pair.ours.engine), self.pair.ours)

    def check(self, words: Words, *, by_admin: bool) -> Any:
        (expected,) = self._real[by_admin].ask([words])
        (got,) = self._ours[by_admin].ask([words])
        assert _comparable(words, got) == _comparable(words, expected), (
            f"{'admin' if by_admin else 'user'}, {words!r}: "
            f"Redis says {expected!r}, the engine {got!r}"
        )
        return got

    def check_all(self) -> None:
        """Compare users and the log of refusals."""
        for words in ((b"ACL", b"USERS"), (b"ACL", b"LOG", b"100")):
            self.check(words, by_admin=True)
        for name in (b"u", b"v"):
            self.check((b"ACL", b"GETUSER", name), by_admin=True)


def _comparable(words: Words, reply: Any) -> Any:
    """A reply without what differs on purpose."""
    name = words[0].upper()
    if isinstance(reply, list) and name == b"EXEC":
        return [_comparable((b"HELLO",), part) for part in reply]
    if isinstance(reply, list) and name == b"HELLO" and reply[:1] == [b"server"]:
        return [f for f in _pairs(reply).items() if f[0] not in (b"id", b"version")]
    if not isinstance(reply, list) or name != b"ACL":
        return comparable(words, reply)
    if words[1] == b"LOG":
        return [[*_pairs(entry).items()][:5] for entry in reply]
    return _without_commands(reply) if words[1] == b"GETUSER" else reply


def _without_commands(reply: list[Any]) -> dict[bytes, Any]:
    facts = _pairs(reply)
    del facts[b"commands"]
    if b"selectors" in facts:
        facts[b"selectors"] = [_without_commands(each) for each in facts[b"selectors"]]
    return facts


def _pairs(flat: list[Any]) -> dict[bytes, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


@settings(settings.get_profile("differential"))
@given(program=st.lists(steps, max_size=40))
def test_a_user_may_do_the_same(
    real: RealRedis, client: RealRedis, program: list[tuple[bool, Words]]
) -> None:
    both = TwoClients(real, client)
    both.check(_OPEN, by_admin=True)
    both.check((b"AUTH", b"u", b"pw"), by_admin=False)
    for by_admin, words in program:
        both.check(words, by_admin=by_admin)
    both.check_all()
    client.ask([(b"RESET",)])


@settings(settings.get_profile("differential"))
@given(given_rules=st.lists(rules, max_size=12))
def test_rules_permit_the_same_commands(
    real: RealRedis, client: RealRedis, given_rules: list[bytes]
) -> None:
    both = TwoClients(real, client)
    for rule in given_rules:
        both.check((b"ACL", b"SETUSER", b"u", rule), by_admin=True)
    for name in _NAMES_IN_7_0:
        both.check((b"ACL", b"DRYRUN", b"u", *name), by_admin=True)
    both.check_all()


def _call(name: str, arity: int) -> Words:
    words = tuple(word.encode() for word in name.split("|"))
    return (*words, *[b"a"] * (abs(arity) - len(words)))


_NAMES_IN_7_0 = [
    _call(spec.name, spec.arity)
    for spec in (*COMMANDS.values(), *subcommands().values())
    if not spec.name.startswith(("HEXP", "HPE", "HPT", "HTTL", "SESSION"))
    and spec.name not in ("CLIENT|SETINFO", "CLIENT|NO-TOUCH")
    and not any(name.startswith(spec.name + "|") for name in subcommands())
]


@pytest.mark.parametrize(
    "line",
    [
        "ACL CAT nope",
        "ACL CAT a b",
        "ACL GETUSER nobody",
        "ACL GETUSER",
        "ACL SETUSER",
        "ACL DELUSER default",
        "ACL DELUSER nobody default",
        "ACL DELUSER nobody",
        "ACL GENPASS x",
        "ACL GENPASS 0",
        "ACL GENPASS 4097",
        "ACL GENPASS 1 2",
        "ACL LOG x",
        "ACL LOG 1 2",
        "ACL LOG -1",
        "ACL LOAD",
        "ACL SAVE",
        "ACL WHOAMI x",
        "ACL NOPE",
        "ACL",
        "ACL DRYRUN nobody get a",
        "ACL DRYRUN default nosuch",
        "ACL DRYRUN default client nope",
        "ACL DRYRUN default get",
        "ACL CAT",
        "AUTH a b c",
        "AUTH x",
        "AUTH default x",
        "HELLO x",
        "HELLO 5",
        "HELLO 2 nope",
        "HELLO 2 AUTH a",
        "HELLO 2 SETNAME a\tb",
    ],
)
def test_the_same_answers(real: RealRedis, client: RealRedis, line: str) -> None:
    both = TwoClients(real, client)
    both.check(tuple(line.encode().split(b" ")), by_admin=True)


@pytest.mark.parametrize("name", ["a b", "a\0b", "a\tb", "ü"])
def test_the_same_names_of_users(real: RealRedis, client: RealRedis, name: str) -> None:
    both = TwoClients(real, client)
    both.check((b"ACL", b"SETUSER", name.encode(), b"on"), by_admin=True)
    both.check((b"ACL", b"USERS"), by_admin=True)
    both.check((b"ACL", b"DELUSER", name.encode()), by_admin=True)


def test_categories_hold_the_same_commands(real: RealRedis) -> None:
    ours = OurEngine()
    known = {name.lower().encode() for name in (*COMMANDS, *subcommands())}
    (names,) = real.ask([(b"ACL", b"CAT")])
    for name in names:
        (expected,) = real.ask([(b"ACL", b"CAT", name)])
        (got,) = ours.ask([(b"ACL", b"CAT", name)])
        assert set(got) - _NEWER == set(expected) & known, name


_NEWER = {
    spec.name.lower().encode()
    for spec in (*COMMANDS.values(), *subcommands().values())
    if spec.name.startswith(("HEXP", "HPE", "HPT", "HTTL", "SESSION"))
    or spec.name in ("CLIENT|SETINFO", "CLIENT|NO-TOUCH")
}
