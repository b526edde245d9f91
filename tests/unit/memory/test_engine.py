"""The engine as a whole: what it costs to load, and what it keeps."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import TYPE_CHECKING

from sharedstate.commands import COMMANDS
from sharedstate_memory.commands import registry
from sharedstate_memory.replies import NULL_ARRAY

if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client

_LOADING = """
import sys
before = set(sys.modules)
from sharedstate_memory.engine import Engine
from random import seed
Engine(clock_ms=lambda: 0, random=None)
heavy = {"typing", "re", "logging", "inspect", "dataclasses", "lupa", "sortedcontainers",
         "decimal", "fractions", "json", "asyncio", "importlib.metadata"}
print(sorted((heavy & set(sys.modules)) - before))
"""


def test_loading_the_engine_loads_nothing_heavy() -> None:
    result = subprocess.run(
        [sys.executable, "-c", _LOADING], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_playing_with_case_fills_no_memory(client: Client) -> None:
    name = "SUNIONSTORE"
    for mask in itertools.islice(itertools.product((0, 1), repeat=len(name)), 2000):
        spelled = "".join(
            char.lower() if is_low else char
            for char, is_low in zip(name, mask, strict=True)
        )
        assert client(f"{spelled} to none") == 0
    # Families that load later bring their usual two spellings all the same.
    usual = 2 * len(COMMANDS)
    assert len(registry.SPELLINGS) <= registry.MAX_SPELLINGS + usual


def test_an_engine_forgets_closed_sessions(engine: Engine, client: Client) -> None:
    client("WATCH k")
    client("MULTI")
    engine.close_session(client.session)
    assert engine.sessions == {}
    assert client.refusal("EXEC") == "ERR the session is closed"


def test_sessions_have_rising_numbers(engine: Engine) -> None:
    first = engine.open_session(lambda reply: None)
    engine.close_session(first)
    assert engine.open_session(lambda reply: None).id > first.id


def test_a_script_session_never_blocks(engine: Engine, client: Client) -> None:
    session = engine.script_session()
    session.db = engine.databases[3]
    assert session.execute([b"BLPOP", b"l", b"0"]) is NULL_ARRAY
    session.execute([b"SET", b"k", b"v"])
    client("SELECT 3")
    assert client("GET k") == b"v"
    assert list(engine.sessions) == [client.session.id]
