"""The engine as a whole: what it costs to load, and what it keeps."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

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
Engine(clock_ms=lambda: 0)
heavy = {"typing", "re", "logging", "inspect", "dataclasses", "lupa", "sortedcontainers",
         "decimal", "fractions", "json", "asyncio", "importlib.metadata", "random"}
print(sorted((heavy & set(sys.modules)) - before))
"""


def test_loading_the_engine_loads_nothing_heavy() -> None:
    result = subprocess.run(
        [sys.executable, "-c", _LOADING], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


_FIRST_COMMANDS = """
import sys
from sharedstate_memory.engine import Engine
session = Engine(clock_ms=lambda: 0).open_session(print)
for command in (b"HSET key field 1", b"PING", b"CLIENT GETREDIR"):
    print(session.execute(command.split()))
    print(*sorted(
        name.rpartition(".")[2] for name in sys.modules
        if name.startswith("sharedstate_memory.commands.")
    ))
"""


def test_a_command_loads_its_own_family() -> None:
    result = subprocess.run(
        [sys.executable, "-c", _FIRST_COMMANDS], capture_output=True, text=True, check=True
    )
    first, hashes, _pong, _connection, redirection, clients = result.stdout.splitlines()
    assert first == "1"
    assert hashes == "arguments hashes picking registry"
    # PING's module imports one of CLIENT's, and the others are found all the same.
    assert redirection == "-1"
    assert "client_tracking" in clients.split()


@pytest.mark.parametrize("table", [registry._COMMON_FAMILIES, registry._RARE_FAMILIES])
def test_families_are_listed_with_the_commands_they_bind(
    table: dict[tuple[str, ...], str],
) -> None:
    for families, names in table.items():
        for name in names.split():
            bound = registry.lookup(name.encode())
            assert bound is not None
            home = bound[0].__module__.rpartition(".")[2]
            assert home in families or (home == "registry" and name in registry.CONTAINERS)


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
