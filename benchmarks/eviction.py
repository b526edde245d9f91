"""Hit ratio of the eviction policies, beside redis-server's with the same settings.

    python benchmarks/eviction.py [--accesses N] [--keys N] [--json FILE]

A cache in front of something slow: a key that is asked for and not there is set. The keys
follow Zipf's law, as the popularity of pages and products does; both servers get the same
trace, and room for a tenth of the keys. What that takes is measured for each server, since
a key costs them differently. The most that was used, over the limit, is told as well.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
from itertools import accumulate

import hiredis

from sharedstate.testing.servers import BuiltInServer, RedisServer, StoreServer

POLICIES = ("allkeys-lru", "allkeys-lfu", "allkeys-random")
VALUE = b"v" * 100
BATCH = 50
# How often memory is looked at, in batches.
LOOK_EVERY = 40


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--accesses", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--exponent", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", default=".benchmarks/eviction.json")
    options = parser.parse_args()
    trace = zipf_trace(options)
    result: dict[str, dict[str, float]] = {}
    print(f"{'policy':16}{'ours':>8}{'redis':>8}{'ratio':>7}{'ours: memory/limit':>20}")
    for policy in POLICIES:
        ours, fullest = run(BuiltInServer(), policy, trace, options.keys // 10)
        redis, _ = run(RedisServer(), policy, trace, options.keys // 10)
        row = {"ours": ours, "redis": redis, "ratio": ours / redis, "fullest": fullest}
        result[policy] = row
        print(f"{policy:16}{ours:8.4f}{redis:8.4f}{ours / redis:7.3f}{fullest:20.3f}")
    os.makedirs(os.path.dirname(options.json) or ".", exist_ok=True)
    with open(options.json, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=2)
    print(f"saved {options.json}")
    return 0


def zipf_trace(options: argparse.Namespace) -> list[bytes]:
    """Keys, the n-th as likely as one over n; which key is n-th is shuffled."""
    chance = random.Random(options.seed)
    keys = [b"page:%011d" % number for number in range(options.keys)]
    chance.shuffle(keys)
    weights = accumulate(1 / rank**options.exponent for rank in range(1, len(keys) + 1))
    return chance.choices(keys, cum_weights=list(weights), k=options.accesses)


def _pack(command: tuple[bytes, ...]) -> bytes:
    """A command as it is sent. (The stub of hiredis asks for a tuple of one.)"""
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]
    return packed


class Client:
    """A bare connection: pipelines of commands, and their replies."""

    def __init__(self, server: StoreServer) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = hiredis.Reader()

    def ask(self, commands: list[tuple[bytes, ...]]) -> list[object]:
        """Send commands in one go, and read all replies."""
        self._socket.sendall(b"".join(_pack(command) for command in commands))
        replies: list[object] = []
        while len(replies) < len(commands):
            reply = self._reader.gets()
            if reply is False:
                self._reader.feed(self._socket.recv(1 << 16))
                continue
            if isinstance(reply, Exception):
                raise reply
            replies.append(reply)
        return replies

    def used_memory(self) -> int:
        """What the server says that it uses."""
        text = self.ask([(b"INFO", b"memory")])[0]
        assert isinstance(text, bytes)
        for line in text.decode().splitlines():
            name, _, value = line.partition(":")
            if name == "used_memory":
                return int(value)
        raise LookupError("INFO has no used_memory")

    def close(self) -> None:
        self._socket.close()


def run(
    server: StoreServer, policy: str, trace: list[bytes], room: int
) -> tuple[float, float]:
    """The hit ratio of a trace, and the most memory used over the limit."""
    with server:
        client = Client(server)
        client.ask([(b"CONFIG", b"SET", b"maxmemory-policy", policy.encode())])
        limit = memory_of(client, room)
        client.ask(
            [
                (b"FLUSHALL",),
                (b"CONFIG", b"SET", b"maxmemory", b"%d" % limit),
            ]
        )
        hits, fullest = replay(client, trace)
        client.close()
    return hits / len(trace), fullest / limit


def memory_of(client: Client, count: int) -> int:
    """The memory that so many keys take after others have come and gone: tables with
    holes are bigger than fresh ones.
    """
    for start in range(0, 4 * count, BATCH):
        new = range(start, start + BATCH)
        client.ask([(b"SET", b"fill:%011d" % number, VALUE) for number in new])
        if start >= count:
            client.ask([(b"DEL", b"fill:%011d" % (number - count)) for number in new])
    return client.used_memory()


def replay(client: Client, trace: list[bytes]) -> tuple[int, int]:
    """Ask for every key; set those that are not there."""
    hits = fullest = 0
    for number, start in enumerate(range(0, len(trace), BATCH)):
        keys = trace[start : start + BATCH]
        values = client.ask([(b"GET", key) for key in keys])
        missed = {key for key, value in zip(keys, values, strict=True) if value is None}
        hits += sum(value is not None for value in values)
        if missed:
            client.ask([(b"SET", key, VALUE) for key in missed])
        if number % LOOK_EVERY == 0:
            fullest = max(fullest, client.used_memory())
    return hits, fullest


if __name__ == "__main__":
    raise SystemExit(main())
