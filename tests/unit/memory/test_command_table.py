"""COMMAND: the table, told; and the keys among the words of a command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sharedstate.command_facts import group_of, version_of
from sharedstate.commands import COMMANDS, subcommands
from sharedstate.key_specs import key_specs
from sharedstate_memory.commands.registry import CONTAINERS
from sharedstate_memory.key_positions import key_uses, keys_of
from sharedstate_memory.replies import Members, Status

if TYPE_CHECKING:
    from tests.unit.memory.conftest import Client

EVERY = {**COMMANDS, **subcommands()}


def test_every_line_of_the_table_has_an_origin() -> None:
    assert {name for name in EVERY if group_of(name) and version_of(name)} == set(EVERY)


def test_the_keys_of_the_table_and_of_the_key_specs_are_the_same() -> None:
    assert set(key_specs()) <= set(EVERY)
    for name, spec in EVERY.items():
        if "movablekeys" in spec.flags:
            assert name in key_specs()
            continue
        argv = [b"%d" % at for at in range(max(abs(spec.arity), 9))]
        uses = key_uses(spec, argv)
        assert uses is not None
        plain = range(
            spec.first_key,
            spec.last_key + 1 if spec.last_key >= 0 else len(argv) + spec.last_key + 1,
            spec.key_step or 1,
        )
        expected = [*plain] if spec.first_key and "pubsub" not in spec.flags else []
        assert [at for at, _ in uses] == expected, name
        assert keys_of(spec, argv) == [argv[at] for at in expected], name


def test_words_that_are_missing_are_no_mistake_here() -> None:
    for spec in EVERY.values():
        for length in range(1, 8):
            argv = [b"1"] * length
            uses = key_uses(spec, argv) or []
            assert [at for at, _ in uses if at >= length] == []


@pytest.mark.parametrize("name", EVERY)
def test_every_command_has_a_summary(client: Client, name: str) -> None:
    ((told, facts),) = client(f"COMMAND DOCS {name}").items()
    assert told == name.lower().encode()
    assert facts[b"summary"].endswith((b".", b".)", b"?")) or b":" in facts[b"summary"]


def test_commands_are_told_as_a_whole(client: Client) -> None:
    (ttl,) = client("COMMAND INFO ttl")
    assert ttl[:6] == [b"ttl", 2, [b"fast", b"readonly"], 1, 1, 1]
    assert ttl[6:8] == [[b"@fast", b"@keyspace", b"@read"], [b"nondeterministic_output"]]
    assert ttl[8:] == [
        [
            {
                b"flags": [b"RO", b"access"],
                b"begin_search": {b"type": b"index", b"spec": {b"index": 1}},
                b"find_keys": {
                    b"type": b"range",
                    b"spec": {b"lastkey": 0, b"keystep": 1, b"limit": 0},
                },
            }
        ],
        [],
    ]
    assert {type(ttl[at]) for at in (2, 6, 7, 8, 9)} == {Members}
    assert type(ttl[2][0]) is Status


def test_subcommands_are_told_with_their_container_and_alone(client: Client) -> None:
    (container,) = client("COMMAND INFO client")
    (alone, unknown) = client("COMMAND INFO CLIENT|ID CLIENT|NOPE")
    assert alone in container[9]
    assert unknown is None


def test_names_are_listed_and_filtered(client: Client) -> None:
    every = client("COMMAND LIST")
    assert len(every) == len(EVERY)
    assert client("COMMAND COUNT") == len(COMMANDS)
    assert set(client("COMMAND LIST FILTERBY PATTERN GET*")) == {
        b"get",
        b"getbit",
        b"getdel",
        b"getex",
        b"getrange",
        b"getset",
    }
    assert b"client|id" in client("COMMAND LIST FILTERBY PATTERN *|id")
    assert client("COMMAND LIST FILTERBY ACLCAT bitmap") == client("ACL CAT bitmap")
    assert client("COMMAND LIST FILTERBY MODULE x") == []
    assert client.refusal("COMMAND LIST FILTERBY COLOUR x") == "ERR syntax error"
    assert client.refusal("COMMAND LIST GET*") == "ERR syntax error"


def test_documents_tell_origin_and_successor(client: Client) -> None:
    facts = client("COMMAND DOCS getset nope")
    assert [*facts] == [b"getset"]
    assert facts[b"getset"][b"since"] == b"1.0.0"
    assert facts[b"getset"][b"replaced_by"] == b"SET with GET"
    assert facts[b"getset"][b"doc_flags"] == [b"deprecated"]
    parts = client("COMMAND DOCS object")[b"object"][b"subcommands"]
    assert {b"object|freq", b"object|help"} <= set(parts)
    assert len(client("COMMAND DOCS")) == len(COMMANDS)


@pytest.mark.parametrize(
    ("line", "keys"),
    [
        ("GET a", "a"),
        ("MSET a 1 b 2", "a b"),
        ("BLPOP a b 0", "a b"),
        ("OBJECT FREQ a", "a"),
        ("MEMORY USAGE a", "a"),
        ("BITOP AND d a b", "d a b"),
        ("EVAL x 2 a b c", "a b"),
        ("EVAL x 0 c", ""),
        ("EVAL x 9 c", ""),
        ("FCALL_RO f 1 a", "a"),
        ("LMPOP 2 a b LEFT", "a b"),
        ("BZMPOP 0 1 a MIN", "a"),
        ("ZUNIONSTORE d 2 a b WEIGHTS 1 2", "d a b"),
        ("SINTERCARD 2 a b LIMIT 5", "a b"),
        ("SORT a BY w_* GET x_* STORE d", "a d"),
        ("SORT a STORE d STORE e", "a e"),
        ("SORT a GET STORE LIMIT 0 STORE", "a"),
        ("SORT_RO a BY w_*", "a"),
    ],
)
def test_keys_are_found_wherever_they_are(client: Client, line: str, keys: str) -> None:
    assert client(f"COMMAND GETKEYS {line}") == keys.encode().split()


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("nope a", "ERR Invalid command specified"),
        ("CLIENT NOPE", "ERR Invalid command specified"),
        ("GET a b", "ERR Invalid number of arguments specified for command"),
        ("PING x", "ERR The command has no key arguments"),
        ("SSUBSCRIBE x", "ERR The command has no key arguments"),
        ("LMPOP 9 a LEFT", "ERR Invalid arguments specified for command"),
        ("LMPOP x a LEFT", "ERR Invalid arguments specified for command"),
        ("ZUNIONSTORE d 0 a", "ERR Invalid arguments specified for command"),
    ],
)
def test_words_that_hold_no_keys_are_refused(client: Client, line: str, text: str) -> None:
    assert client.refusal(f"COMMAND GETKEYS {line}") == text


@pytest.mark.parametrize(
    ("line", "flags"),
    [
        ("SET a 1", [["OW", "update"]]),
        ("SET a 1 GET", [["RW", "access", "update"]]),
        ("SET a GET", [["OW", "update"]]),
        ("BITFIELD a GET u8 0", [["RO", "access"]]),
        ("BITFIELD a OVERFLOW SAT GET u8 0", [["RO", "access"]]),
        ("BITFIELD a GET u8 0 SET u8 0 1", [["RW", "access", "update"]]),
        ("COPY a b", [["RO", "access"], ["OW", "update"]]),
        ("SORT a STORE b", [["RO", "access"], ["OW", "update"]]),
        ("DEL a", [["RM", "delete"]]),
    ],
)
def test_what_becomes_of_keys_is_told(
    client: Client, line: str, flags: list[list[str]]
) -> None:
    told: list[Any] = client(f"COMMAND GETKEYSANDFLAGS {line}")
    assert [[word.decode() for word in use[1]] for use in told] == flags


def test_containers_are_those_with_subcommands() -> None:
    assert {name.partition("|")[0] for name in subcommands()} == CONTAINERS
