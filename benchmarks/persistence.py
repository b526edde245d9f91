"""What it costs to keep data: the built-in server beside redis-server, in one run.

    python benchmarks/persistence.py [--parts load,save,set,latency,memory] [--keys N]
                                     [--rounds N] [--requests N] [--json FILE]

- **load**: seconds from the start of a process until it answers, with a million keys of 16
  bytes and values of 100 in a snapshot (of random text, and of what can be compressed), and
  in a log of commands. Both servers load the same files, which redis-server has written.
- **save**: seconds of SAVE, BGSAVE, and BGREWRITEAOF to a snapshot and to commands.
- **set**: `redis-benchmark` SET, not pipelined, without a log, with `everysec`, `always`.
- **latency**: GETs and SETs, one at a time, while a child saves or rewrites; in
  microseconds.
- **memory**: server and child together while the child saves (the sum of what the system
  calls PSS, at its peak), what the child has for itself alone in the end, and what the
  server took before; in megabytes.

Servers take turns within each round, and medians are told. A ratio is ours over Redis's:
for rates more is better, for all else less.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from kept_files import (
    KINDS,
    VALUE_BYTES,
    Files,
    client_of,
    done_by_child,
    is_busy,
    key,
)

from sharedstate.testing.servers import RedisServer

Rows: TypeAlias = dict[str, dict[str, float]]

SMAPS = "/proc/{}/smaps_rollup"

SNAPSHOT = ("--appendonly", "no")
LOG = ("--appendonly", "yes")
REWRITES = {"BGREWRITEAOF": "yes", "BGREWRITEAOF, commands": "no"}


def main() -> int:
    options = parse_arguments()
    result: dict[str, Rows] = {}
    with tempfile.TemporaryDirectory(prefix="sharedstate-benchmark-") as folder:
        files = Files(Path(folder), options.keys)
        for name in options.parts.split(","):
            result[name] = PARTS[name](files, options)
            show(name, result[name])
    os.makedirs(os.path.dirname(options.json) or ".", exist_ok=True)
    with open(options.json, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=2)
    print(f"saved {options.json}")
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--json", default=".benchmarks/persistence.json")
    return parser.parse_args()


def show(name: str, rows: Rows) -> None:
    """The table of one part."""
    print(f"\n{name:28}{'ratio':>8}{'ours':>12}{'redis':>12}")
    for label, row in rows.items():
        print(f"{label:28}{row['ratio']:8.2f}{row['ours']:12,.2f}{row['redis']:12,.2f}")
    sys.stdout.flush()


def row_of(ours: list[float], theirs: list[float]) -> dict[str, float]:
    """The medians of some rounds, and of their ratios."""
    ratios = [
        own / other if other else 0.0 for own, other in zip(ours, theirs, strict=True)
    ]
    return {
        "ratio": statistics.median(ratios),
        "ours": statistics.median(ours),
        "redis": statistics.median(theirs),
    }


# Loading and saving.


def measure_loading(files: Files, options: argparse.Namespace) -> Rows:
    """Seconds from the start until the first answer."""
    rows: Rows = {}
    for kind, words in (("random", SNAPSHOT), ("padded", SNAPSHOT), ("commands", LOG)):
        times: dict[str, list[float]] = {name: [] for name in KINDS}
        for _ in range(options.rounds):
            for name, make in KINDS.items():
                times[name].append(loading_seconds(make(*words), files, kind, options.keys))
        rows[f"load {kind}"] = row_of(*times.values())
    return rows


def loading_seconds(server: RedisServer, files: Files, kind: str, keys: int) -> float:
    """How long one start takes."""
    files.put(kind, server)
    try:
        began = time.perf_counter()
        server.start()
        seconds = time.perf_counter() - began
        if client_of(server).dbsize() != keys:
            raise AssertionError(f"{server} has not loaded everything")
        return seconds
    finally:
        server.close()


def measure_saving(files: Files, options: argparse.Namespace) -> Rows:
    """Seconds until a file is written."""
    times: dict[str, dict[str, list[float]]] = {}
    for kind in ("random", "padded"):
        servers = started(files, kind)
        for _ in range(options.rounds):
            for name, server in servers.items():
                for what, seconds in saving_seconds(client_of(server)):
                    row = times.setdefault(f"{what}, {kind}", {each: [] for each in KINDS})
                    row[name].append(seconds)
        for server in servers.values():
            server.close()
    return {label: row_of(*row.values()) for label, row in times.items()}


def saving_seconds(client: Any) -> Iterator[tuple[str, float]]:
    """What is written, and how long that takes."""
    yield "SAVE", timed(client.save)
    yield "BGSAVE", timed(lambda: done_by_child(client, "BGSAVE"))
    for what, preamble in REWRITES.items():
        client.config_set("aof-use-rdb-preamble", preamble)
        yield what, timed(lambda: done_by_child(client, "BGREWRITEAOF"))


def timed(action: Callable[[], object]) -> float:
    """How many seconds something takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def started(files: Files, kind: str, *words: str) -> dict[str, RedisServer]:
    """Both servers, with data."""
    servers = {name: make(*SNAPSHOT, *words) for name, make in KINDS.items()}
    for server in servers.values():
        files.put(kind, server)
        server.start()
    return servers


# Rates.


def measure_rates(files: Files, options: argparse.Namespace) -> Rows:
    """Requests a second, of which those with a log are told as shares too."""
    del files
    policies = ("none", "everysec", "always")
    servers = {
        (name, policy): make(*words_for(policy))
        for policy in policies
        for name, make in KINDS.items()
    }
    rates: dict[tuple[str, str], list[float]] = {each: [] for each in servers}
    try:
        for server in servers.values():
            server.start()
        for _ in range(options.rounds):
            for each, server in servers.items():
                rates[each].append(rate(server, options.requests))
    finally:
        for server in servers.values():
            server.close()
    rows = {
        f"SET, {each}": row_of(rates["ours", each], rates["redis", each])
        for each in policies
    }
    for policy in policies[1:]:
        shares = {
            name: [
                logged / plain
                for logged, plain in zip(
                    rates[name, policy], rates[name, "none"], strict=True
                )
            ]
            for name in KINDS
        }
        rows[f"{policy} / none"] = row_of(shares["ours"], shares["redis"])
    return rows


def words_for(policy: str) -> tuple[str, ...]:
    """The words that start a server with a log, or without."""
    return SNAPSHOT if policy == "none" else (*LOG, "--appendfsync", policy)


def rate(server: RedisServer, requests: int) -> float:
    """Requests a second of one run of redis-benchmark."""
    command = ["redis-benchmark", "-p", str(server.port), "-t", "set", "-c", "50"]
    command += ["-d", str(VALUE_BYTES), "-r", "100000", "-n", str(requests), "--csv"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float([*csv.DictReader(done.stdout.splitlines())][-1]["rps"])


# Latency.


def measure_latency(files: Files, options: argparse.Namespace) -> Rows:
    """Percentiles while a child is at work, and with no child."""
    servers = started(files, "random")
    times: dict[str, dict[str, list[float]]] = {}
    for _ in range(options.rounds):
        for name, server in servers.items():
            for what, share, took_us in waits(client_of(server), options.keys):
                row = times.setdefault(f"{what} {share}", {each: [] for each in KINDS})
                row[name].append(took_us)
    for server in servers.values():
        server.close()
    return {label: row_of(*row.values()) for label, row in times.items()}


def waits(client: Any, keys: int) -> Iterator[tuple[str, str, float]]:
    """What a child does, and how long a client waits then, by percentile."""
    for what in (None, "BGSAVE", "BGREWRITEAOF"):
        if what is not None:
            client.execute_command(what)
        taken = sorted(ask_meanwhile(client, keys, until_idle=what is not None))
        for share, point in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
            yield what or "no child", share, taken[int(point * (len(taken) - 1))]


def ask_meanwhile(client: Any, keys: int, *, until_idle: bool) -> Iterator[float]:
    """GETs and SETs in turn, until the child has ended, or for a second."""
    source = random.Random(5)
    value = b"v" * VALUE_BYTES
    end = time.monotonic() + 1.0
    while is_busy(client) if until_idle else time.monotonic() < end:
        for _ in range(50):
            name = key(source.randrange(keys))
            yield 1e6 * timed(lambda name=name: client.get(name))  # type: ignore[misc]
            yield 1e6 * timed(lambda name=name: client.set(name, value))  # type: ignore[misc]


# Memory.


def measure_memory(files: Files, options: argparse.Namespace) -> Rows:
    """Megabytes before a save, at the peak of one, and of the child alone in the end."""
    servers = started(files, "random")
    found: dict[str, dict[str, list[float]]] = {}
    for _ in range(options.rounds):
        for name, server in servers.items():
            for what, megabytes in memory_of_save(server):
                row = found.setdefault(what, {each: [] for each in KINDS})
                row[name].append(megabytes)
    for server in servers.values():
        server.close()
    return {label: row_of(*row.values()) for label, row in found.items()}


def memory_of_save(server: RedisServer) -> Iterator[tuple[str, float]]:
    """What one save takes."""
    client = client_of(server)
    before = memory(server.pid, "Pss")
    client.bgsave()
    peak = alone = 0.0
    while is_busy(client):
        children = children_of(server.pid)
        together = [memory(pid, "Pss") for pid in (server.pid, *children)]
        peak = max(peak, sum(together))
        alone = max([alone, *(memory(pid, "Private_Dirty") for pid in children)])
    yield "before", before
    yield "both at the peak", peak
    yield "child alone", alone
    yield "peak / before", peak / before


def children_of(pid: int) -> list[int]:
    """The children of a process."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(word) for word in text.split()]


def memory(pid: int, field: str) -> float:
    """A field of what the system says of a process's memory, in megabytes; 0 if it has
    ended.
    """
    try:
        text = Path(SMAPS.format(pid)).read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    lines = [line.split() for line in text.splitlines()]
    return sum(int(words[1]) for words in lines if words[0] == f"{field}:") / 1024


PARTS: dict[str, Callable[[Files, argparse.Namespace], Rows]] = {
    "load": measure_loading,
    "save": measure_saving,
    "set": measure_rates,
    "latency": measure_latency,
    "memory": measure_memory,
}


if __name__ == "__main__":
    raise SystemExit(main())
