"""The servers of `persistence.py`, and the files that they load."""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from sharedstate.testing.servers import RedisServer

FILL_BATCH = 1000
VALUE_BYTES = 100
# Between two looks whether a child has ended.
PAUSE_S = 0.01


class Ours(RedisServer):
    """The built-in server, started with redis-server's words."""

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "sharedstate_server.program", *super()._command()[1:]]


KINDS: dict[str, type[RedisServer]] = {"ours": Ours, "redis": RedisServer}


class Files:
    """The files that servers load: written once, by redis-server, when first asked for."""

    def __init__(self, folder: Path, keys: int) -> None:
        self._folder = folder
        self._keys = keys

    def made(self, kind: str) -> Path:
        """A folder with a snapshot ("random", "padded"), or a log ("commands")."""
        folder = self._folder / kind
        if not folder.exists():
            folder.mkdir()
            with RedisServer("--dir", str(folder)) as server:
                fill(client_of(server), self._keys, is_random=kind != "padded")
                self._write(client_of(server), kind)
        return folder

    def _write(self, client: Any, kind: str) -> None:
        if kind == "commands":
            client.config_set("aof-use-rdb-preamble", "no")
            done_by_child(client, "BGREWRITEAOF")
        else:
            client.save()

    def put(self, kind: str, server: RedisServer) -> None:
        """Let a server that is not started yet find them."""
        server.folder = tempfile.mkdtemp(prefix="sharedstate-test-")
        shutil.copytree(self.made(kind), server.folder, dirs_exist_ok=True)


def key(number: int) -> bytes:
    """A key of 16 bytes."""
    return b"key:%012d" % number


def values(is_random: bool) -> Iterator[bytes]:
    """Values of 100 bytes, of random text, or of a number and what can be compressed."""
    source = random.Random(4)
    number = 0
    while True:
        number += 1
        yield (
            source.randbytes(VALUE_BYTES // 2).hex().encode()
            if is_random
            else (b"%d:" % number).ljust(VALUE_BYTES, b"v")
        )


def fill(client: Any, count: int, *, is_random: bool) -> None:
    """Write so many keys."""
    found = values(is_random)
    for first in range(0, count, FILL_BATCH):
        numbers = range(first, min(first + FILL_BATCH, count))
        client.mset({key(number): next(found) for number in numbers})


def client_of(server: RedisServer) -> Any:
    """A client of a server. Redis-py's own types leave open whether it is awaited."""
    return redis.Redis(port=server.port)


def is_busy(client: Any) -> bool:
    """Whether a child runs, or is to run."""
    facts = client.info("persistence")
    names = ("rdb_bgsave_in_progress", "aof_rewrite_in_progress", "aof_rewrite_scheduled")
    return any(facts[name] for name in names)


def done_by_child(client: Any, command: str) -> None:
    """Have something done by a child, and wait until it is."""
    client.execute_command(command)
    while is_busy(client):
        time.sleep(PAUSE_S)
