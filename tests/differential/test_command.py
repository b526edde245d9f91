"""COMMAND: every command of ours that Redis 7.0 has is told as Redis tells it, field by
field; and so are the keys of a command.

What differs on purpose: Redis's notes on places of keys are left out, and commands that
we do not have are not told of.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from sharedstate.commands import COMMANDS, subcommands
from sharedstate_memory.replies import ErrorReply
from tests.compatibility import MISSING, NEWER
from tests.differential.grammar import commands
from tests.differential.pair import OurEngine, RealRedis, Words, comparable

# One of a command, with its subcommands beside it.
FIELDS = ("name", "arity", "flags", "first", "last", "step", "categories", "tips", "keys")

KEYED = """
EVAL value int key [value]
EVAL_RO value count key key key
EVALSHA value count [key]
FCALL value count [key]
FCALL_RO value count [key]
SORT key
SORT key BY pattern GET pattern LIMIT int int ASC ALPHA STORE key
SORT key STORE key STORE key
SORT key STORE
SORT key flag key STORE key
SORT_RO key GET pattern STORE key
ZUNION count key key
ZINTER count key key WEIGHTS int int
ZDIFF count key WITHSCORES
ZUNIONSTORE key count key key
ZINTERSTORE key count key
ZDIFFSTORE key count key key key
ZINTERCARD count key LIMIT int
SINTERCARD count key key
LMPOP count key key side
ZMPOP count key MIN
BLMPOP int count key side
BZMPOP int count key key MAX
BITOP AND key [key]
BITFIELD key GET value int
BITFIELD key flag value int
BITFIELD key OVERFLOW SAT GET value int GET
SET key value flag
SET key value flag int flag
MSET [key+value]
MGET key [key]
BLPOP key [key] int
BRPOP [key] int
LCS key key LEN
COPY key key
RENAME key key
DEL [key]
OBJECT FREQ key
OBJECT HELP
OBJECT nope key
MEMORY USAGE key
XX key
PING value
SSUBSCRIBE key
SPUBLISH key value
PUBLISH key value
WATCH [key]
CLIENT LIST
SMOVE key key member
LMOVE key key side side
ZRANGESTORE key key int int
SDIFFSTORE key [key]
"""


def _rows(reply: list[Any]) -> dict[str, list[Any]]:
    """What is told of each command and subcommand, by upper-case name."""
    found: dict[str, list[Any]] = {}
    for row in reply:
        found[row[0].decode().upper()] = row
        found.update(_rows(row[9]))
    return found


@pytest.fixture(scope="module")
def expected(real: RealRedis) -> dict[str, list[Any]]:
    """What Redis tells."""
    return _rows(real.ask([(b"COMMAND",)])[0])


@pytest.fixture(scope="module")
def got() -> dict[str, list[Any]]:
    """What we tell."""
    return _rows(OurEngine().ask([(b"COMMAND",)])[0])


def test_every_command_of_redis_is_there_or_known_to_be_missing(
    expected: dict[str, list[Any]], got: dict[str, list[Any]]
) -> None:
    missing = {name for names in MISSING.values() for name in names.split()}
    newer = {name for names in NEWER.values() for name in names.split()}
    assert set(expected) - set(got) == missing
    assert set(got) - set(expected) == newer & set(got)


@pytest.mark.parametrize("name", [*COMMANDS, *subcommands()])
def test_a_command_is_told_as_redis_tells_it(
    expected: dict[str, list[Any]], got: dict[str, list[Any]], name: str
) -> None:
    if name not in expected:
        assert name in " ".join(NEWER.values()).split()
        return
    theirs, ours = expected[name], got[name]
    for at, field in enumerate(FIELDS):
        assert _sorted(field, ours[at]) == _sorted(field, theirs[at]), field
    known = {row[0] for row in theirs[9]}
    assert {row[0] for row in ours[9]} & known == known


def _sorted(field: str, value: Any) -> Any:
    if field in ("flags", "categories", "tips"):
        return sorted(map(str, value))
    if field == "keys":
        return [_without_notes(place) for place in value]
    return value


def _without_notes(place: list[Any]) -> dict[bytes, Any]:
    facts = dict(zip(place[::2], place[1::2], strict=True))
    facts.pop(b"notes", None)
    return facts


def test_documents_tell_the_same_of_groups_and_ages(real: RealRedis) -> None:
    ours = OurEngine()
    names = [name.encode() for name in (*COMMANDS, *subcommands())]
    (theirs,) = real.ask([(b"COMMAND", b"DOCS", *names)])
    (mine,) = ours.ask([(b"COMMAND", b"DOCS", *names)])
    expected, got = _documents(theirs), _documents(mine)
    for name, facts in expected.items():
        for field in (b"since", b"group", b"deprecated_since"):
            assert got[name].get(field) == facts.get(field), (name, field)


def _documents(reply: list[Any]) -> dict[bytes, dict[bytes, Any]]:
    pairs = zip(reply[::2], reply[1::2], strict=True)
    return {name: dict(zip(facts[::2], facts[1::2], strict=True)) for name, facts in pairs}


# Redis reads these where it looks for keys, and refuses them when it is to execute.
_ODD_NUMBERS = frozenset((b"1.5", b" 1", b"+1", b"01", b"-0", b"1 ", b"0x1"))


@settings(settings.get_profile("differential"))
@given(words=commands(KEYED).filter(lambda words: _ODD_NUMBERS.isdisjoint(words)))
def test_keys_are_found_alike(real: RealRedis, words: Words) -> None:
    for name in (b"GETKEYS", b"GETKEYSANDFLAGS"):
        question = (b"COMMAND", name, *words)
        (expected,) = real.ask([question])
        (got,) = OurEngine().ask([question])
        assert comparable(question, got) == comparable(question, expected), words


@pytest.mark.parametrize(
    "line",
    [
        "COMMAND NOPE",
        "COMMAND COUNT x",
        "COMMAND INFO nope",
        "COMMAND INFO get|x",
        "COMMAND LIST x",
        "COMMAND LIST FILTERBY MODULE",
        "COMMAND LIST FILTERBY MODULE x",
        "COMMAND LIST FILTERBY ACLCAT nope",
        "COMMAND LIST FILTERBY ACLCAT @read",
        "COMMAND LIST FILTERBY NOPE x",
        "COMMAND DOCS nope",
        "COMMAND GETKEYS",
        "COMMAND GETKEYS get",
    ],
)
def test_the_same_answers(real: RealRedis, line: str) -> None:
    words = tuple(line.encode().split())
    (expected,) = real.ask([words])
    (got,) = OurEngine().ask([words])
    assert got == expected


def test_the_same_names_pass_a_filter(real: RealRedis) -> None:
    known = {name.lower().encode() for name in (*COMMANDS, *subcommands())}
    newer = {name.lower().encode() for name in " ".join(NEWER.values()).split()}
    for words in (
        (b"COMMAND", b"LIST"),
        (b"COMMAND", b"LIST", b"FILTERBY", b"ACLCAT", b"Hash"),
        (b"command", b"list", b"filterby", b"pattern", b"CLIENT*"),
        (b"COMMAND", b"LIST", b"FILTERBY", b"PATTERN", b"?et[xr]*"),
    ):
        (expected,) = real.ask([words])
        (got,) = OurEngine().ask([words])
        assert not isinstance(got, ErrorReply)
        assert set(got) - newer == set(expected) & known, words
