"""The built-in server beside redis-server, with the same redis-benchmark.

    python benchmarks/server.py [--rounds N] [--tests get,set] [--json FILE]

Both servers run at once, and take turns within each round. The rate of a round depends
on what the machine does besides, so the median of the rounds' ratios is told; and the
processor time a server takes for a request, which depends on it less.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
from typing import TypeAlias

from sharedstate.testing.servers import BuiltInServer, RedisServer, StoreServer

# What redis-benchmark has no test for is given as a command.
TESTS: dict[str, tuple[str, ...]] = {
    "GET": ("-t", "get"),
    "SET": ("-t", "set"),
    "INCR": ("-t", "incr"),
    "LPUSH": ("-t", "lpush"),
    "RPOP": ("-t", "lpush,rpop"),
    "SADD": ("-t", "sadd"),
    "HSET": ("-t", "hset"),
    "ZADD": ("-t", "zadd"),
    "MSET": ("-t", "mset"),
}
CLIENTS = 50
VALUE_BYTES = 100
KEYS = 100_000
PIPELINE = 16

_TICKS = os.sysconf("SC_CLK_TCK")

Measure: TypeAlias = tuple[float, float]
"""Requests a second, and microseconds of the server's processor time for each."""


def main() -> int:
    options = parse_arguments()
    result: dict[str, dict[str, dict[str, float]]] = {}
    redis = RedisServer("--save", "", "--appendonly", "no")
    with redis, BuiltInServer() as ours:
        for server in (ours, redis):
            fill(server)
        for depth in (1, PIPELINE):
            print(f"\npipeline of {depth}: sharedstate / redis-server, {CLIENTS} clients")
            result[str(depth)] = compare((ours, redis), depth, options)
    os.makedirs(os.path.dirname(options.json) or ".", exist_ok=True)
    with open(options.json, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=2)
    print(f"saved {options.json}")
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--tests", default=",".join(TESTS))
    parser.add_argument("--json", default=".benchmarks/server.json")
    return parser.parse_args()


def compare(
    servers: tuple[StoreServer, StoreServer], depth: int, options: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """The ratios of all tests at one depth of pipeline, printed and returned."""
    print(f"{'':8}{'ratio':>7}{'ours/s':>10}{'redis/s':>10}{'µs ours':>9}{'µs redis':>9}")
    table = {}
    for name in options.tests.upper().split(","):
        rounds: list[tuple[Measure, Measure]] = []
        for _ in range(options.rounds):
            ours, redis = (measure(server, name, depth, options) for server in servers)
            rounds.append((ours, redis))
        row = summarise(rounds)
        table[name] = row
        print(
            f"{name:8}{row['ratio']:7.2f}{row['ours']:10,.0f}{row['redis']:10,.0f}"
            f"{row['ours_cpu_us']:9.2f}{row['redis_cpu_us']:9.2f}",
            flush=True,
        )
    return table


def summarise(rounds: list[tuple[Measure, Measure]]) -> dict[str, float]:
    """The medians over the rounds."""
    median = statistics.median
    return {
        "ratio": median(ours[0] / redis[0] for ours, redis in rounds),
        "ours": median(ours[0] for ours, _ in rounds),
        "redis": median(redis[0] for _, redis in rounds),
        "ours_cpu_us": median(ours[1] for ours, _ in rounds),
        "redis_cpu_us": median(redis[1] for _, redis in rounds),
    }


def fill(server: StoreServer) -> None:
    """Set nearly all keys that the tests draw from, so that GET finds what it asks."""
    command = ["redis-benchmark", "-p", str(server.port), "-P", "64", "-q", "-t", "set"]
    command += ["-d", str(VALUE_BYTES), "-r", str(KEYS), "-n", str(5 * KEYS)]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def measure(
    server: StoreServer, name: str, depth: int, options: argparse.Namespace
) -> Measure:
    """One run of redis-benchmark against one server."""
    requests = options.requests * (1 if depth == 1 else 8) // (10 if name == "MSET" else 1)
    command = ["redis-benchmark", "-p", str(server.port), "-c", str(CLIENTS)]
    command += ["-d", str(VALUE_BYTES), "-r", str(KEYS), "-n", str(requests)]
    command += ["-P", str(depth), "--csv", *TESTS[name]]
    before = cpu_seconds(server.pid)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    spent = cpu_seconds(server.pid) - before
    # What RPOP takes must be pushed before, which is a row of its own.
    rows = list(csv.DictReader(done.stdout.splitlines()))
    return float(rows[-1]["rps"]), spent / requests / len(rows) * 1e6


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


if __name__ == "__main__":
    raise SystemExit(main())
