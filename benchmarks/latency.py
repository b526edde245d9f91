"""How long one client waits while others keep the server busy, beside redis-server's.

    python benchmarks/latency.py [--requests N] [--idle N] [--keys N] [--json FILE]

- **mixed**: GETs, one at a time, while another client writes keys that expire soon, deletes
  others and fills containers, at a rate both servers can follow,
- **idle**: GETs while thousands of connections are open and silent,
- **expiring**: PINGs while a million keys (`--keys`) expire in the same second, and how
  long it takes until they are gone from memory.

Percentiles are in microseconds. What counts is the ratio: the machine has its own stalls.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import socket
import time
from multiprocessing.synchronize import Event
from typing import TypeAlias

import hiredis

from sharedstate.testing.servers import BuiltInServer, RedisServer, StoreServer

Row: TypeAlias = dict[str, float]

WRITES_PER_BATCH = 20
BATCHES_PER_SECOND = 500
FILL_BATCH = 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=30_000)
    parser.add_argument("--idle", type=int, default=10_000)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--json", default=".benchmarks/latency.json")
    options = parser.parse_args()
    raise_file_limit(2 * options.idle + 200)
    result: dict[str, dict[str, Row]] = {}
    for name, server in (
        ("sharedstate", BuiltInServer("--max-clients", str(options.idle + 100))),
        ("redis", RedisServer("--maxclients", str(options.idle + 100))),
    ):
        with server:
            result[name] = {
                "mixed": under_load(server, options.requests),
                "idle": beside_idle(server, options.requests, options.idle),
                "expiring": while_expiring(server, options.keys),
            }
    show(result)
    os.makedirs(os.path.dirname(options.json) or ".", exist_ok=True)
    with open(options.json, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=2)
    print(f"saved {options.json}")
    return 0


def raise_file_limit(wanted: int) -> None:
    """Let this process, and the servers it starts, open so many files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


def _pack(command: tuple[bytes, ...]) -> bytes:
    """A command as it is sent. (The stub of hiredis asks for a tuple of one.)"""
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]
    return packed


class Client:
    """A bare connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = hiredis.Reader()

    def ask(self, *commands: tuple[bytes, ...]) -> list[object]:
        """Send commands in one go, and read all replies."""
        self.socket.sendall(b"".join(_pack(each) for each in commands))
        replies: list[object] = []
        while len(replies) < len(commands):
            reply = self._reader.gets()
            if reply is False:
                self._reader.feed(self.socket.recv(1 << 16))
            else:
                replies.append(reply)
        return replies


def measure(client: Client, command: tuple[bytes, ...], requests: int) -> Row:
    """Ask one after the other; the percentiles of how long it took."""
    times = []
    for _ in range(requests):
        started = time.perf_counter()
        client.ask(command)
        times.append((time.perf_counter() - started) * 1e6)
    return percentiles(times)


def percentiles(times: list[float]) -> Row:
    times = sorted(times)
    last = len(times) - 1
    points = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
    return {name: times[int(share * last)] for name, share in points.items()}


def under_load(server: StoreServer, requests: int) -> Row:
    """GETs while somebody else writes."""
    context = multiprocessing.get_context("spawn")
    is_over = context.Event()
    writer = context.Process(target=write_until, args=(server.port, is_over))
    client = Client(server.port)
    client.ask((b"SET", b"page", b"x" * 100))
    writer.start()
    try:
        while client.ask((b"EXISTS", b"busy")) == [0]:
            time.sleep(0.05)
        return measure(client, (b"GET", b"page"), requests)
    finally:
        is_over.set()
        writer.join()


def write_until(port: int, is_over: Event) -> None:
    """Keep the server busy, at a steady rate."""
    client = Client(port)
    number, due = 0, time.perf_counter()
    while not is_over.is_set():
        commands: list[tuple[bytes, ...]] = []
        for _ in range(WRITES_PER_BATCH // 4):
            number += 1
            key = b"%d" % number
            commands += [
                (b"SET", b"s" + key, b"x" * 100, b"PX", b"%d" % (500 + number % 1000)),
                (b"HSET", b"h%d" % (number % 100), key, b"y" * 50),
                (b"LPUSH", b"l%d" % (number % 100), key),
                (b"DEL", b"s%d" % (number - 100), b"h%d" % (number % 977)),
            ]
        client.ask((b"SET", b"busy", b"1"), *commands)
        due += 1 / BATCHES_PER_SECOND
        time.sleep(max(due - time.perf_counter(), 0))


def beside_idle(server: StoreServer, requests: int, count: int) -> Row:
    """GETs while many others are connected and say nothing; the memory each takes."""
    client = Client(server.port)
    client.ask((b"SET", b"page", b"x" * 100))
    before = resident_bytes(server.pid)
    silent = [Client(server.port) for _ in range(count)]
    for each in silent:
        each.ask((b"PING",))
    row = measure(client, (b"GET", b"page"), requests)
    row["bytes each"] = (resident_bytes(server.pid) - before) / count
    for each in silent:
        each.socket.close()
    return row


def resident_bytes(pid: int) -> int:
    """The memory that a process takes."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def while_expiring(server: StoreServer, count: int) -> Row:
    """PINGs while many keys expire at once, until they are gone."""
    client = Client(server.port)
    client.ask((b"FLUSHALL",))
    deadline = int(time.time()) + max(5, count // 50_000)
    for start in range(0, count, FILL_BATCH):
        client.ask(
            *(
                (b"SET", b"e%d" % number, b"x", b"EXAT", b"%d" % deadline)
                for number in range(start, min(start + FILL_BATCH, count))
            )
        )
    while time.time() < deadline:
        time.sleep(0.01)
    started = time.perf_counter()
    times = []
    while True:
        asked = time.perf_counter()
        left = client.ask((b"DBSIZE",))
        times.append((time.perf_counter() - asked) * 1e6)
        if left == [0]:
            return percentiles(times) | {"seconds": time.perf_counter() - started}
        time.sleep(0.0002)


def show(result: dict[str, dict[str, Row]]) -> None:
    """The table, with ratios."""
    for scenario, ours in result["sharedstate"].items():
        redis = result["redis"][scenario]
        print(f"\n{scenario:12}{'ours':>12}{'redis':>12}{'ratio':>8}")
        for name, value in ours.items():
            ratio = value / redis[name] if redis[name] else float("inf")
            print(f"  {name:10}{value:12,.1f}{redis[name]:12,.1f}{ratio:8.2f}")


if __name__ == "__main__":
    raise SystemExit(main())
