"""Databases: which of a file's go into which of a store's.

--db 3        only database 3, into 3
--db 3:0      only database 3, into 0
(nothing)     each into that of its own number; if the URL names another database than
              0, that takes the file's only one
"""

from __future__ import annotations

from sharedstate.errors import CommandError, ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharedstate.backend import Backend


class Databases:
    """Where keys go. Raises `ConfigError` for words that say nothing."""

    def __init__(self, backend: Backend, words: Sequence[str]) -> None:
        self._backend = backend
        self._chosen = _chosen(words)
        self._home = _home_of(backend)
        self._found: dict[int, int] = {}

    @property
    def selects(self) -> bool:
        """Whether other databases are written to than the connection's own."""
        return any(to != self._home for to in self._found.values())

    def of(self, database: int) -> int | None:
        """Where the keys of a file's database go; None for nowhere. Raises `ConfigError`
        if the store has no such database.
        """
        if database in self._found:
            return self._found[database]
        if self._chosen and database not in self._chosen:
            return None
        to = self._target(database)
        if to != self._home:
            self._require(to)
        self._found[database] = to
        return to

    def require_found(self) -> None:
        """All of a file was seen: see that it had what was chosen. Raises `ConfigError`."""
        for database in self._chosen.keys() - self._found.keys():
            raise ConfigError(
                f"the file has no keys in database {database}: nothing was written"
            )

    def _target(self, database: int) -> int:
        if self._chosen:
            return self._chosen[database]
        if not self._home:
            return database
        if self._found:
            raise ConfigError(
                f"the file has keys in several databases, and the URL names one "
                f"({self._home}): say by --db FROM:TO what goes where"
            )
        return self._home

    def _require(self, database: int) -> None:
        try:
            self._backend.transact([("SELECT", database), ("SELECT", self._home)])
        except CommandError as error:
            raise ConfigError(
                f"the store has no database {database} ({error}): nothing was written; "
                f"--db FROM:TO takes one database of the file, into one of the store"
            ) from error


def _chosen(words: Sequence[str]) -> dict[int, int]:
    chosen: dict[int, int] = {}
    for begin, end in map(_pair, words):
        if begin in chosen:
            raise ConfigError(f"--db: database {begin} is named twice: restore it twice")
        chosen[begin] = end
    return chosen


def _pair(words: str) -> tuple[int, int]:
    begin, colon, end = words.partition(":")
    if not (begin.isdecimal() and (end.isdecimal() if colon else True)):
        raise ConfigError(f"--db: expected N or FROM:TO, got {words!r}")
    return int(begin), int(end if colon else begin)


def _home_of(backend: Backend) -> int:
    """The database that the connections of a backend use."""
    try:
        line: bytes = backend.execute(("CLIENT", "INFO"))
    except CommandError:
        return 0  # Redis before 6.2, or not for this user.
    fields = dict(word.partition("=")[::2] for word in line.decode("latin-1").split())
    number = fields.get("db", "0")
    return int(number) if number.isdecimal() else 0
