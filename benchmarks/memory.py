"""What data takes in memory: the built-in server beside redis-server.

    python benchmarks/memory.py [--scale 1.0] [--cases strings,hashes] [--json FILE]

Each case fills a fresh server of each kind over one connection, and tells by how much
its resident size grew, what it counts itself (`used_memory`), and how far that is off.
Redis rounds nothing up that has to be freed later; we do, so that the ratio of the
processes' whole sizes is told as well.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from sharedstate.testing.servers import BuiltInServer, RedisServer, StoreServer

COMMANDS_PER_WRITE = 500
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

Fill = Callable[[int], Iterator[tuple[bytes, ...]]]


class Size(NamedTuple):
    """What a server takes, in bytes: as the system says, and as it says itself."""

    resident: int
    counted: int


class Growth(NamedTuple):
    """By how much a server grew, and how big it was then."""

    resident: int
    counted: int
    total: int


def key(number: int) -> bytes:
    """A key of 16 bytes."""
    return b"key:%012d" % number


def value(number: int, length: int = 100) -> bytes:
    """A value of its own, of so many bytes."""
    return (b"%d:" % number).ljust(length, b"v")


# Cases: what is sent for a size, which is a number of keys or of elements.


def strings(size: int) -> Iterator[tuple[bytes, ...]]:
    """Strings of 100 bytes."""
    for number in range(size):
        yield b"SET", key(number), value(number)


def short_strings(size: int) -> Iterator[tuple[bytes, ...]]:
    """Strings of 16 bytes."""
    for number in range(size):
        yield b"SET", key(number), value(number, 16)


def expiring(size: int) -> Iterator[tuple[bytes, ...]]:
    """Strings of 100 bytes with deadlines spread over an hour."""
    for number in range(size):
        expires_ms = b"%d" % (3_600_000 + number * 7919 % 3_600_000)
        yield b"SET", key(number), value(number), b"PX", expires_ms


def hashes(size: int) -> Iterator[tuple[bytes, ...]]:
    """Hashes of ten fields of 8 and 32 bytes."""
    for number in range(size // 10):
        pairs = (
            part
            for field in range(10)
            for part in (b"field%03d" % field, value(number + field, 32))
        )
        yield b"HSET", key(number), *pairs


def big_hash(size: int) -> Iterator[tuple[bytes, ...]]:
    """One hash with fields of 16 and 32 bytes."""
    for number in range(size):
        yield b"HSET", b"hash", key(number), value(number, 32)


def sets(size: int) -> Iterator[tuple[bytes, ...]]:
    """Sets of ten members of 16 bytes."""
    for number in range(size // 10):
        yield b"SADD", key(number), *(key(number * 10 + member) for member in range(10))


def big_set(size: int) -> Iterator[tuple[bytes, ...]]:
    """One set with members of 16 bytes."""
    for number in range(size):
        yield b"SADD", b"set", key(number)


def lists(size: int) -> Iterator[tuple[bytes, ...]]:
    """Lists of ten items of 32 bytes."""
    for number in range(size // 10):
        yield b"RPUSH", key(number), *(value(number + item, 32) for item in range(10))


def big_list(size: int) -> Iterator[tuple[bytes, ...]]:
    """One list with items of 100 bytes."""
    for number in range(size):
        yield b"RPUSH", b"list", value(number)


def sorted_sets(size: int) -> Iterator[tuple[bytes, ...]]:
    """Sorted sets of ten members of 16 bytes."""
    for number in range(size // 10):
        pairs = (
            part
            for member in range(10)
            for part in (b"%d" % (member * 31 % 10), key(number * 10 + member))
        )
        yield b"ZADD", key(number), *pairs


def big_sorted_set(size: int) -> Iterator[tuple[bytes, ...]]:
    """One sorted set with members of 16 bytes, which come in no order."""
    for number in range(size):
        yield b"ZADD", b"zset", b"%d" % (number * 7919 % size), key(number)


CASES: dict[str, tuple[Fill, int]] = {
    "strings": (strings, 1_000_000),
    "short_strings": (short_strings, 500_000),
    "expiring": (expiring, 500_000),
    "hashes": (hashes, 500_000),
    "big_hash": (big_hash, 500_000),
    "sets": (sets, 500_000),
    "big_set": (big_set, 500_000),
    "lists": (lists, 500_000),
    "big_list": (big_list, 500_000),
    "sorted_sets": (sorted_sets, 300_000),
    "big_sorted_set": (big_sorted_set, 300_000),
}


def main() -> int:
    options = parse_arguments()
    result: dict[str, dict[str, float]] = {}
    print(
        f"{'':16}{'elements':>9}{'ours MB':>9}{'redis MB':>9}{'growth':>8}{'whole':>7}"
        f"{'B each':>8}{'counted':>9}{'redis own':>10}"
    )
    for name in options.cases.split(","):
        fill, size = CASES[name]
        size = int(size * options.scale)
        ours = measure(BuiltInServer, fill, size)
        redis = measure(lambda: RedisServer("--save", ""), fill, size)
        row = result[name] = summarise(ours, redis, size)
        print(
            f"{name:16}{size:9,}{ours.resident / 1e6:9.1f}{redis.resident / 1e6:9.1f}"
            f"{row['growth']:8.2f}{row['whole']:7.2f}{row['bytes_each']:8.1f}"
            f"{row['counted']:9.3f}{row['redis_counted']:10.3f}",
            flush=True,
        )
    os.makedirs(os.path.dirname(options.json) or ".", exist_ok=True)
    with open(options.json, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=2)
    print(f"saved {options.json}")
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--json", default=".benchmarks/memory.json")
    return parser.parse_args()


def summarise(ours: Growth, redis: Growth, size: int) -> dict[str, float]:
    """What is saved of a case: ratios, and bytes for each element."""
    return {
        "size": size,
        "ours_bytes": ours.resident,
        "redis_bytes": redis.resident,
        "growth": ours.resident / redis.resident,
        "whole": ours.total / redis.total,
        "bytes_each": ours.resident / size,
        "counted": ours.counted / ours.resident,
        "redis_counted": redis.counted / redis.resident,
    }


def measure(start: Callable[[], StoreServer], fill: Fill, size: int) -> Growth:
    """By how much a fresh server grows when it is filled."""
    with start() as server, socket.create_connection(("127.0.0.1", server.port)) as sock:
        # What the first commands bring along, whatever they are, is not data.
        for _ in range(3):
            send(sock, fill(1000))
        send(sock, iter([(b"FLUSHALL",)]))
        before = look(server, sock)
        send(sock, fill(size))
        time.sleep(0.3)  # The cron frees what the filling left behind.
        after = look(server, sock)
    return Growth(
        after.resident - before.resident, after.counted - before.counted, after.resident
    )


def send(sock: socket.socket, commands: Iterator[tuple[bytes, ...]]) -> None:
    """Send commands in pipelines, and read their replies: a line each."""
    waiting: list[bytes] = []
    for words in commands:
        waiting.append(encode(words))
        if len(waiting) == COMMANDS_PER_WRITE:
            exchange(sock, waiting)
    exchange(sock, waiting)


def encode(words: tuple[bytes, ...]) -> bytes:
    """A command as RESP has it."""
    parts = (b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
    return b"*%d\r\n%b" % (len(words), b"".join(parts))


def exchange(sock: socket.socket, commands: list[bytes]) -> None:
    """Send a pipeline, and read as many lines. Raises what the server refuses."""
    sock.sendall(b"".join(commands))
    lines = 0
    while lines < len(commands):
        data = sock.recv(65536)
        if not data or b"-" in data:
            raise RuntimeError(f"the server said {data[:100]!r}")
        lines += data.count(b"\n")
    commands.clear()


def look(server: StoreServer, sock: socket.socket) -> Size:
    """What a server takes now."""
    sock.sendall(encode((b"INFO", b"memory")))
    text = b""
    while not text.endswith(b"\r\n\r\n"):
        text += sock.recv(65536)
    counted = int(text.partition(b"used_memory:")[2].partition(b"\r\n")[0])
    with open(f"/proc/{server.pid}/statm", encoding="ascii") as file:
        resident = int(file.read().split()[1]) * PAGE_BYTES
    return Size(resident, counted)


if __name__ == "__main__":
    raise SystemExit(main())
