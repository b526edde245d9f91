"""KeyWriter: keys go into a store in batches, each of them wholly or not at all.

    small keys      many in a transaction: value and deadline together
    big containers  in portions under another name, and renamed when they are whole

So whoever is interrupted has whole keys and missing ones, and can go on by skipping what
is there. What the transaction of a lost connection has done is not known, and need not be.

Whether a key exists is asked for a batch right before it is written: somebody who makes
it in between is not noticed. Nobody else should write these keys meanwhile.
"""

from __future__ import annotations

from collections import Counter

from sharedstate.errors import CommandError
from sharedstate_memory.rdb.describe import type_name
from sharedstate_server.tools.key_commands import (
    deadline_commands,
    portions,
    size_of,
    temporary_name,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharedstate.backend import Backend, Command
    from sharedstate_memory.rdb.walk import Key

REFUSE, REPLACE, SKIP = "refuse", "replace", "skip"

_SIZES = {"RPUSH": "LLEN", "SADD": "SCARD", "HSET": "HLEN", "ZADD": "ZCARD"}

_BATCH_COMMANDS = 512
_BATCH_BYTES = 512 * 1024


class KeyExistsError(Exception):
    """A key is there that should not be."""

    def __init__(self, database: int, name: bytes) -> None:
        super().__init__(f"{name!r} of database {database}")
        self.database = database
        self.name = name


class KeyWriter:
    """Writes keys into a store. `selects` says that several databases are written to, so
    that each batch says which one it means: a connection may be a new one. In a cluster,
    where transactions stay in one slot, each is that of one key.
    """

    def __init__(
        self, backend: Backend, policy: str, *, selects: bool, is_cluster: bool = False
    ) -> None:
        self.written: Counter[tuple[int, str]] = Counter()
        """How many keys were written, by database and type."""
        self.skipped = 0
        self.expired = 0
        self._backend = backend
        self._policy = policy
        self._selects = selects
        self._is_cluster = is_cluster
        self._database = 0
        self._keys: list[tuple[Key, list[Command]]] = []
        self._commands = 0
        self._bytes = 0

    def add(self, key: Key, database: int) -> None:
        """Write a key into a database of the store, now or with those that come. Raises
        `KeyExistsError`, and what the store says.
        """
        if database != self._database:
            self.flush()
            self._database = database
        pieces = portions(key.name, key.content.value)
        commands = [piece for piece, _ in zip(pieces, range(2), strict=False)]
        if len(commands) > 1:
            self.flush()
            self._write_big(key)
            return
        commands += deadline_commands(key.name, key.deadline_ms, key.content)
        self._keys.append((key, commands))
        self._commands += len(commands)
        self._bytes += sum(map(size_of, commands))
        if self._commands >= _BATCH_COMMANDS or self._bytes >= _BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        keys, self._keys = self._keys, []
        self._commands = self._bytes = 0
        if keys and self._policy != REPLACE:
            names = [key.name for key, _ in keys]
            there = self.existing(names, self._database)
            keys = [pair for pair in keys if pair[0].name not in there]
            self._pass_over(there)
        if keys:
            self._write([self._over(key, commands) for key, commands in keys])
        for key, _ in keys:
            self._note(key)

    def _write(self, keys: list[list[Command]]) -> None:
        """Write keys, each by its commands, and each wholly or not at all."""
        if not self._is_cluster:
            self._transact([command for commands in keys for command in commands])
            return
        alone = [commands[0] for commands in keys if len(commands) == 1]
        if alone:
            self._backend.execute_many(alone)
        for commands in keys:
            if len(commands) > 1:
                self._transact(commands)

    def existing(self, names: Sequence[bytes], database: int) -> set[bytes]:
        """Which keys there are in a database of the store, of these."""
        asked: list[Command] = [("EXISTS", name) for name in names]
        replies = self._backend.execute_many([*self._select(database), *asked])
        return {
            name for name, count in zip(names, replies[-len(names) :], strict=True) if count
        }

    def _select(self, database: int) -> list[Command]:
        return [("SELECT", database)] if self._selects else []

    def _transact(self, commands: Sequence[Command]) -> list[object]:
        return self._backend.transact([*self._select(self._database), *commands]) or []

    def _over(self, key: Key, commands: list[Command]) -> list[Command]:
        """The commands, with one that makes room for a container. SET needs none."""
        if self._policy != REPLACE or isinstance(key.content.value, bytes):
            return commands
        return [("DEL", key.name), *commands]

    def _pass_over(self, there: set[bytes]) -> None:
        """Leave keys out that exist, if that is wanted."""
        if there and self._policy == REFUSE:
            raise KeyExistsError(self._database, min(there))
        self.skipped += len(there)

    def _note(self, key: Key) -> None:
        self.written[self._database, type_name(key)] += 1

    def _write_big(self, key: Key) -> None:
        if self._policy != REPLACE:
            there = self.existing([key.name], self._database)
            if there:
                self._pass_over(there)
                return
        temporary = temporary_name(key.name)
        name = "DEL"
        before: list[Command] = [("DEL", temporary)]
        for command in portions(temporary, key.content.value):
            self._transact([*before, command])
            name, before = str(command[0]), []
        self._check_size(key, (_SIZES[name], temporary))
        self._rename(key, temporary)

    def _check_size(self, key: Key, command: Command) -> None:
        """See to it that a container is whole: a store that evicts may have taken it away
        between two portions.
        """
        value = key.content.value
        (*_, size) = self._transact([command])
        if size != len(value):
            raise CommandError(
                f"ERR the key {key.name!r} got {size} of its {len(value)} elements: does "
                f"the store evict keys, or is there another restore?"
            )

    def _rename(self, key: Key, temporary: bytes) -> None:
        """Give what is whole its name and its deadlines."""
        verb = "RENAME" if self._policy == REPLACE else "RENAMENX"
        timed = list(deadline_commands(temporary, key.deadline_ms, key.content))
        try:
            (*_, reply) = self._transact([*timed, (verb, temporary, key.name)])
        except CommandError as error:
            if timed and "no such key" in str(error):
                self.expired += 1  # By the store's clock, which may be before ours.
                return
            raise
        if reply == 0:
            # Whoever has made the key in the meantime is not written over.
            self._transact([("DEL", temporary)])
            self._pass_over({key.name})
            return
        self._note(key)
