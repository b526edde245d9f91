"""INFO: facts about the engine and its server, by sections, as Redis 7.0 names them.

Each section is a function that gathers its facts when they are asked for. What only the
owner of the engine knows (sockets, files, the process) takes the place of the engine's
own fact of the same name. It comes from `Engine.info`, which stays as it was filled, and
by sections from `Engine.owner_facts`, which is called, and may add facts.

Source: https://redis.io/docs/latest/commands/info/
"""

from __future__ import annotations

from sharedstate_memory import information_memory as memory
from sharedstate_memory import information_server as server
from sharedstate_memory import information_statistics as statistics

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from sharedstate_memory.engine import Engine

    Fact: TypeAlias = int | str
    Facts: TypeAlias = dict[str, Fact]

_SECTIONS: dict[str, Callable[[Engine], Facts]] = {
    "Server": server.describe_server,
    "Clients": server.describe_clients,
    "Memory": memory.describe_memory,
    "Persistence": server.describe_persistence,
    "Stats": statistics.describe_totals,
    "Replication": server.describe_replication,
    "CPU": server.describe_cpu,
    "Modules": server.describe_modules,
    "Commandstats": statistics.describe_commands,
    "Errorstats": statistics.describe_errors,
    "Latencystats": statistics.describe_latencies,
    "Cluster": server.describe_cluster,
    "Keyspace": server.describe_keyspace,
}

# Shown when they are asked for, by name or with all others.
_DETAILED = frozenset(("Commandstats", "Latencystats"))


def describe(engine: Engine, wanted: set[str]) -> str:
    """The sections that are wanted, by lower-case names; the usual ones if none is."""
    facts = gather(engine, _choose(wanted))
    return "\r\n".join(_write(name, facts[name]) for name in facts)


def gather(engine: Engine, names: list[str]) -> dict[str, Facts]:
    """The facts of sections, by the sections' names as they are written."""
    owners = engine.owner_facts() if names and engine.owner_facts is not None else {}
    found: dict[str, Facts] = {}
    for name in names:
        facts = found[name] = _SECTIONS[name](engine)
        facts.update((fact, engine.info[fact]) for fact in facts.keys() & engine.info)
        facts.update(owners.get(name, {}))
    return found


def _choose(wanted: set[str]) -> list[str]:
    if wanted & {"all", "everything"}:
        return list(_SECTIONS)
    shows_usual = not wanted or "default" in wanted
    return [
        name
        for name in _SECTIONS
        if name.lower() in wanted or (shows_usual and name not in _DETAILED)
    ]


def _write(title: str, facts: Facts) -> str:
    lines = [f"{name}:{fact}\r\n" for name, fact in facts.items()]
    return f"# {title}\r\n" + "".join(lines)
