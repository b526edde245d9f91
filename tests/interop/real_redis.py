"""A real redis-server whose files are read and written, and what is in it.

Made to keep its values in any form, by its thresholds: `ENCODINGS` has the settings.
"""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, Any

from sharedstate.testing.servers import RedisServer
from sharedstate_memory.digest import digest_of_value
from sharedstate_memory.sorted_set import SortedSet
from tests.differential.pair import RealRedis

if TYPE_CHECKING:
    from sharedstate_memory.keyspace import Value

_PACKED = {
    "list-max-listpack-size": "128",
    "hash-max-listpack-entries": "512",
    "hash-max-listpack-value": "5000",
    "set-max-intset-entries": "512",
    "zset-max-listpack-entries": "512",
    "zset-max-listpack-value": "5000",
}

ENCODINGS: dict[str, dict[str, str]] = {
    "packed": _PACKED,
    "packed, not compressed": _PACKED | {"rdbcompression": "no"},
    "plain": dict.fromkeys(_PACKED, "0") | {"list-max-listpack-size": "1"},
    "lists in many pieces": _PACKED | {"list-max-listpack-size": "-1"},
    "lists compressed in memory": _PACKED
    | {"list-max-listpack-size": "3", "list-compress-depth": "1"},
}
"""Settings by what they make of the values, all that are not named being as ever."""

_USUAL = {
    "list-max-listpack-size": "-2",
    "list-compress-depth": "0",
    "hash-max-listpack-entries": "128",
    "hash-max-listpack-value": "64",
    "set-max-intset-entries": "512",
    "zset-max-listpack-entries": "128",
    "zset-max-listpack-value": "64",
    "rdbcompression": "yes",
}


class FileServer:
    """A redis-server, and one connection to it. `path` is its file."""

    def __init__(self) -> None:
        self.server = RedisServer("--enable-debug-command", "yes")
        self.server.start()
        self.path = os.path.join(self.server.folder, "dump.rdb")
        self.connection = RealRedis(self.server.unix_path)

    def close(self) -> None:
        self.connection.close()
        self.server.close()

    def __call__(self, *words: bytes | str | int) -> Any:
        """The reply to a command."""
        packed = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        return self.connection.ask([tuple(packed)])[0]

    def empty(self, encoding: str = "packed") -> None:
        """Remove everything, and keep new values in these forms."""
        self("FLUSHALL")
        self("FUNCTION", "FLUSH")
        for name, value in (_USUAL | ENCODINGS[encoding]).items():
            assert self("CONFIG", "SET", name, value) == b"OK"

    def save(self) -> bytes:
        """The file that the server writes."""
        assert self("SAVE") == b"OK"
        with open(self.path, "rb") as file:
            return file.read()

    def load(self, data: bytes) -> Any:
        """Let the server have what is in a file, and nothing else. Returns its reply."""
        with open(self.path, "wb") as file:
            file.write(data)
        return self("DEBUG", "RELOAD", "NOSAVE")

    def digest(self) -> bytes:
        """The server's own digest of everything in it."""
        return bytes(self("DEBUG", "DIGEST"))

    def digest_of(self, key: bytes) -> str:
        """Our digest of a key, as the server tells its content."""
        deadline_ms = self("PEXPIRETIME", key)
        return digest_of_value(self._read(key), None if deadline_ms < 0 else deadline_ms)

    def _read(self, key: bytes) -> Value:
        kind = bytes(self("TYPE", key))
        if kind == b"string":
            text: bytes = self("GET", key)
            return text
        if kind == b"list":
            return deque(self("LRANGE", key, 0, -1))
        if kind == b"set":
            return set(self("SMEMBERS", key))
        if kind == b"hash":
            flat = self("HGETALL", key)
            return dict(zip(flat[::2], flat[1::2], strict=True))
        assert kind == b"zset", kind
        flat = self("ZRANGE", key, 0, -1, "WITHSCORES")
        return SortedSet(dict(zip(flat[::2], map(float, flat[1::2]), strict=True)))
