"""What counts as reading a key: one that is there is a hit, and any other a miss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client

READS = """
GET {}
MGET {}
STRLEN {}
GETRANGE {} 0 1
GETSET {} v
GETDEL {}
GETEX {}
GETEX {} EX 9
SET {} v GET
GETBIT {} 1
BITCOUNT {}
BITPOS {} 1
BITOP NOT to {}
BITFIELD {} GET u8 0
BITFIELD_RO {} GET u8 0
COPY {} to
EXISTS {}
TOUCH {}
TYPE {}
TTL {}
PTTL {}
EXPIRETIME {}
PEXPIRETIME {}
"""

WRITES = """
SET {} v
SETNX {} v
SET {} v KEEPTTL
APPEND {} v
SETRANGE {} 1 x
INCR {}
SETBIT {} 1 1
BITFIELD {} SET u8 0 1
DEL {}
UNLINK {}
EXPIRE {} 9
PERSIST {}
RENAME {} to
MOVE {} 1
"""


def _counts(engine: Engine) -> tuple[int, int]:
    db = engine.databases[0]
    return db.hits, db.misses


@pytest.mark.parametrize("template", READS.strip().splitlines())
def test_reading_counts(client: Client, engine: Engine, template: str) -> None:
    client("SET there 1")
    client(template.format("there"))
    assert _counts(engine) == (1, 0)
    client(template.format("none"))
    assert _counts(engine) == (1, 1)


@pytest.mark.parametrize("template", WRITES.strip().splitlines())
def test_writing_does_not_count(client: Client, engine: Engine, template: str) -> None:
    client("SET there 1")
    client(template.format("there"))
    client(template.format("none"))
    assert _counts(engine) == (0, 0)


def test_what_is_looked_up_while_sorting_counts(client: Client, engine: Engine) -> None:
    client("RPUSH l 1 2")
    client("SET w_1 5")
    client("SORT l BY w_* GET w_*")
    assert _counts(engine) == (3, 2)


def test_both_strings_of_lcs_count(client: Client, engine: Engine) -> None:
    client("SET there 1")
    client("LCS there none")
    assert _counts(engine) == (1, 1)
