"""The page `docs/compatibility.md`, of which the tables are written from the command table.

    python -m tests.compatibility     writes the tables anew (`make compatibility`)

`tests/test_compatibility.py` fails while they are not what this would write. What stands
outside the two marks is written by hand and is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

from sharedstate.command_facts import group_of, version_of
from sharedstate.commands import COMMANDS, CommandSpec, subcommands
from sharedstate_memory.commands.registry import CONTAINERS
from sharedstate_memory.engine import Engine

PAGE = Path(__file__).parents[1] / "docs" / "compatibility.md"

BEGIN = "<!-- Written by `make compatibility`: everything down to the next mark. -->"
END = "<!-- Written by hand from here on. -->"

TITLES = {
    "generic": "Keys",
    "string": "Strings",
    "bitmap": "Bits",
    "hash": "Hashes",
    "list": "Lists",
    "set": "Sets",
    "sorted-set": "Sorted sets",
    "pubsub": "Channels",
    "transactions": "Transactions",
    "scripting": "Scripts and functions",
    "connection": "Connections",
    "server": "The server",
    "sharedstate": "Of our own",
}

MISSING = {
    "Streams": "XACK XADD XAUTOCLAIM XCLAIM XDEL XGROUP XGROUP|CREATE XGROUP|CREATECONSUMER"
    " XGROUP|DELCONSUMER XGROUP|DESTROY XGROUP|HELP XGROUP|SETID XINFO XINFO|CONSUMERS"
    " XINFO|GROUPS XINFO|HELP XINFO|STREAM XLEN XPENDING XRANGE XREAD XREADGROUP XREVRANGE"
    " XSETID XTRIM",
    "Geo": "GEOADD GEODIST GEOHASH GEOPOS GEORADIUS GEORADIUSBYMEMBER"
    " GEORADIUSBYMEMBER_RO GEORADIUS_RO GEOSEARCH GEOSEARCHSTORE",
    "HyperLogLog": "PFADD PFCOUNT PFDEBUG PFMERGE PFSELFTEST",
    "Serialized values": "MIGRATE RESTORE-ASKING",
    "Replication": "FAILOVER PSYNC REPLCONF REPLICAOF SLAVEOF SYNC",
    "Cluster": "ASKING CLUSTER CLUSTER|ADDSLOTS CLUSTER|ADDSLOTSRANGE CLUSTER|BUMPEPOCH"
    " CLUSTER|COUNT-FAILURE-REPORTS CLUSTER|COUNTKEYSINSLOT CLUSTER|DELSLOTS"
    " CLUSTER|DELSLOTSRANGE CLUSTER|FAILOVER CLUSTER|FLUSHSLOTS CLUSTER|FORGET"
    " CLUSTER|GETKEYSINSLOT CLUSTER|HELP CLUSTER|INFO CLUSTER|KEYSLOT CLUSTER|LINKS"
    " CLUSTER|MEET CLUSTER|MYID CLUSTER|NODES CLUSTER|REPLICAS CLUSTER|REPLICATE"
    " CLUSTER|RESET CLUSTER|SAVECONFIG CLUSTER|SET-CONFIG-EPOCH CLUSTER|SETSLOT"
    " CLUSTER|SHARDS CLUSTER|SLAVES CLUSTER|SLOTS READONLY READWRITE",
    "Modules": "MODULE MODULE|HELP MODULE|LIST MODULE|LOAD MODULE|LOADEX MODULE|UNLOAD",
}
"""What Redis 7.0 has and we have not: answered as unknown."""

NEWER = {
    "7.2": "CLIENT|NO-TOUCH CLIENT|SETINFO",
    "7.4": "HEXPIRE HEXPIREAT HEXPIRETIME HPERSIST HPEXPIRE HPEXPIREAT HPEXPIRETIME HPTTL"
    " HTTL",
    "none": "SESSION SESSION|BIND SESSION|HELP SESSION|IDENTIFY SESSION|LIST"
    " SESSION|UNBIND",
}
"""What we have and Redis 7.0 has not, by the version of Redis that brought it."""


def tables() -> str:
    """The tables: a section for each family, and one for what is missing."""
    summaries = _summaries()
    lines: list[str] = []
    for group, title in TITLES.items():
        lines += [f"### {title}", "", "| command | since | |", "| --- | --- | --- |"]
        for spec in _commands_of(group):
            name, summary = spec.name.replace("|", " "), summaries[spec.name]
            lines.append(f"| `{name}` | {version_of(spec.name)} | {summary} |")
        lines.append("")
    lines += ["## What is not there yet", "", "| | commands |", "| --- | --- |"]
    for title, names in MISSING.items():
        shown = ", ".join(f"`{name.replace('|', ' ')}`" for name in names.split())
        lines.append(f"| {title} | {shown} |")
    return "\n".join(lines)


def _commands_of(group: str) -> Iterator[CommandSpec]:
    """The commands of a family, the subcommands of each after it."""
    for name, spec in COMMANDS.items():
        if group_of(name) != group:
            continue
        if name not in CONTAINERS or name == "COMMAND":
            yield spec
        for part, part_spec in subcommands().items():
            if part.startswith(name + "|"):
                yield part_spec


def _summaries() -> dict[str, str]:
    """What each command does, as COMMAND DOCS tells it."""
    engine = Engine(clock_ms=lambda: 0, random=Random(0))
    session = engine.open_session(lambda reply: None)
    names = [name.encode() for name in (*COMMANDS, *subcommands())]
    reply = session.execute([b"COMMAND", b"DOCS", *names])
    assert isinstance(reply, dict)
    return {
        name.decode().upper(): facts[b"summary"].decode() for name, facts in reply.items()
    }


def page_as_it_should_be() -> str:
    """The page with its tables written anew."""
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin, f"{PAGE} has lost the mark {BEGIN}"
    assert end, f"{PAGE} has lost the mark {END}"
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page_as_it_should_be(), encoding="utf-8")
