"""`sharedstate restore`: what files hold goes into a store, whichever it is.

    survey   all of the file is read, and the store asked: a damaged file, a key that is
             there already, a database or a command that the store has not stop it here,
             before anything is written
    write    functions, then keys (`key_writer.py`)

A file's key keeps its name, its database and its absolute deadlines. What has expired is
left out. Memory is bounded by the biggest key of a snapshot; a log is loaded whole.
"""

from __future__ import annotations

import time
from collections import Counter

import click

from sharedstate.errors import BackendError, CommandError, ConfigError
from sharedstate_memory.rdb.errors import RdbError
from sharedstate_memory.rdb.walk import Library
from sharedstate_server.aof.errors import AofError
from sharedstate_server.tools.contents import describe_damage, open_contents
from sharedstate_server.tools.databases import Databases
from sharedstate_server.tools.examining import library_name
from sharedstate_server.tools.key_commands import without_expired
from sharedstate_server.tools.key_writer import (
    REFUSE,
    REPLACE,
    KeyExistsError,
    KeyWriter,
)
from sharedstate_server.tools.meter import Meter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sharedstate.backend import Backend
    from sharedstate.config import Settings
    from sharedstate_memory.rdb.walk import Key
    from sharedstate_server.tools.contents import Contents

DONE, REFUSED = 0, 1

_SHOWN_KEYS = 5
_ASKED_AT_ONCE = 512


class RefusedError(Exception):
    """It was not done: nothing was written, or not all. The text says why."""


def restore(
    path: str,
    settings: Settings,
    *,
    db: Sequence[str] = (),
    policy: str = REFUSE,
    functions: bool = True,
    json: bool = False,
) -> int:
    """Write the keys and functions of a file, or of a folder's log, into a store.

    `policy` is for keys that are there already: one stops it before anything is written
    (`REFUSE`), or is replaced (`REPLACE`), or left as it is (`SKIP`). `db` are `FROM` or
    `FROM:TO`: only these databases, into those. Returns 0, or 1 if it was refused, which is
    said on stderr. Raises `ConfigError` for what cannot be, what the store says, and
    `OSError`.
    """
    _refuse_passing(settings)
    contents = open_contents(path, tell=_tell)
    backend = _open(settings)
    try:
        restoring = _Restoring(contents, backend, policy, db, functions=functions)
        restoring.run()
    except RefusedError as error:
        _tell(str(error))
        return REFUSED
    finally:
        backend.close()
    restoring.summarize(json=json)
    return DONE


def _refuse_passing(settings: Settings) -> None:
    address = settings.address
    if address.scheme in ("memory", "local") and not address.path.strip("/"):
        raise ConfigError(
            f"{settings} begins and ends with this command, and what is restored there is "
            "lost: give --url, such as local:///folder, server://host or redis://host"
        )


def _open(settings: Settings) -> Backend:
    from sharedstate.registry import get_registry
    from sharedstate.requirements import check_modules

    record = get_registry().backend(settings.address.scheme)
    check_modules(record)
    return record.create(settings)


def _is_cluster(backend: Backend) -> bool:
    try:
        return b"cluster_enabled:1" in backend.execute(("INFO", "cluster"))
    except CommandError:
        return False  # Not for this user: then it is seen by the first refusal.


class _Restoring:
    """One file on its way into a store."""

    def __init__(
        self,
        contents: Contents,
        backend: Backend,
        policy: str,
        db: Sequence[str],
        *,
        functions: bool,
    ) -> None:
        self._contents = contents
        self._backend = backend
        self._policy = policy
        self._databases = Databases(backend, db)
        self._takes_functions = functions
        self._total = 0
        self._expired = 0
        self._libraries: list[Library] = []
        self._taken: list[str] = []
        self._started = time.monotonic()
        self._functions_written = 0
        self._functions_skipped = 0
        self._writer = KeyWriter(backend, policy, selects=False)

    def run(self) -> None:
        """Survey, then write. Raises `RefusedError`."""
        self._survey()
        self._check_libraries()
        if self._taken:
            raise RefusedError(self._describe_taken())
        self._writer = KeyWriter(
            self._backend,
            self._policy,
            selects=self._databases.selects,
            is_cluster=_is_cluster(self._backend),
        )
        try:
            self._write()
        except KeyExistsError as error:
            raise RefusedError(
                f"{error} has appeared meanwhile: stopped after {self._done()}. {_GO_ON}"
            ) from error
        except (BackendError, CommandError, KeyboardInterrupt):
            _tell(f"stopped after {self._done()}. {_GO_ON}")
            raise

    def _keys(self) -> Iterator[tuple[Key, int]]:
        """The keys that are wanted and have not expired, and where they go."""
        now_ms = time.time_ns() // 1_000_000
        self._expired = 0
        for item in self._contents.items():
            if isinstance(item, Library):
                continue
            database = self._databases.of(item.database)
            if database is None:
                continue
            if without_expired(item.deadline_ms, item.content, now_ms):
                yield item, database
            else:
                self._expired += 1

    # -- the survey

    def _survey(self) -> None:
        asks = self._policy == REFUSE
        waiting: dict[int, list[bytes]] = {}
        try:
            if self._takes_functions:
                self._libraries = list(_libraries(self._contents))
            for key, database in self._keys():
                self._total += 1
                if key.content.field_deadlines:
                    self._require_field_deadlines(key)
                if asks:
                    names = waiting.setdefault(database, [])
                    names.append(key.name)
                    if len(names) >= _ASKED_AT_ONCE:
                        self._ask(database, waiting.pop(database))
        except (RdbError, AofError) as error:
            raise RefusedError(self._describe_damage(error)) from error
        self._databases.require_found()
        for database, names in waiting.items():
            self._ask(database, names)

    def _describe_damage(self, error: RdbError | AofError) -> str:
        path = self._contents.path
        return (
            f"{describe_damage(error, path)}. Nothing was written. "
            f"`sharedstate check {path} --fix` says what can be done, and asks first"
        )

    def _ask(self, database: int, names: list[bytes]) -> None:
        writer = KeyWriter(self._backend, REFUSE, selects=self._databases.selects)
        there = writer.existing(names, database)
        self._taken += [f"{name!r} of database {database}" for name in sorted(there)]

    def _require_field_deadlines(self, key: Key) -> None:
        if self._has_field_deadlines is None:
            reply = self._backend.execute(("COMMAND", "INFO", "HPEXPIREAT"))
            self._has_field_deadlines = bool(reply and reply[0])
        if not self._has_field_deadlines:
            raise RefusedError(
                f"fields of {key.name!r} have deadlines, which the store has not (it has "
                "no HPEXPIREAT: Redis 7.4 brought it). Nothing was written"
            )

    _has_field_deadlines: bool | None = None

    def _describe_taken(self) -> str:
        shown = ", ".join(self._taken[:_SHOWN_KEYS])
        more = len(self._taken) - _SHOWN_KEYS
        return (
            f"the store has {shown}{f' and {more} more' if more > 0 else ''} already: "
            "nothing was written. --replace replaces them, --skip-existing leaves them"
        )

    def _check_libraries(self) -> None:
        """Find out which libraries are there. Raises `RefusedError` for a store that has
        none.
        """
        kept: list[Library] = []
        for library in self._libraries:
            name = library_name(library.code)
            if self._policy == REPLACE or not self._has_library(name):
                kept.append(library)
            elif self._policy == REFUSE:
                self._taken.append(f"the functions {name!r}")
            else:
                self._functions_skipped += 1
        self._libraries = kept

    def _has_library(self, name: str) -> bool:
        try:
            return bool(self._backend.execute(("FUNCTION", "LIST", "LIBRARYNAME", name)))
        except CommandError as error:
            raise RefusedError(
                f"the store cannot take functions ({error}): nothing was written. "
                "--without-functions leaves them out"
            ) from error

    # -- writing

    def _write(self) -> None:
        for library in self._libraries:
            replacing = ("REPLACE",) if self._policy == REPLACE else ()
            self._backend.execute(("FUNCTION", "LOAD", *replacing, library.code))
            self._functions_written += 1
        with Meter("Restoring", self._total) as meter:
            for number, (key, database) in enumerate(self._keys()):
                self._writer.add(key, database)
                meter.show(number)
            self._writer.flush()

    def _done(self) -> str:
        return f"{self._writer.written.total():,} of {self._total:,} keys"

    def summarize(self, *, json: bool) -> None:
        """Tell what was done."""
        writer = self._writer
        seconds = time.monotonic() - self._started
        facts = {
            "keys": writer.written.total(),
            "skipped": writer.skipped,
            "expired": self._expired + writer.expired,
            "functions": self._functions_written,
            "functions_skipped": self._functions_skipped,
            "seconds": round(seconds, 3),
        }
        if json:
            from sharedstate.cli.output import write_json

            write_json({**facts, "written": _by_database(writer.written)})
            return
        click.echo(
            f"restored {self._done()} in {seconds:.1f} s; left out: {facts['skipped']:,} "
            f"that were there, {facts['expired']:,} that have expired; "
            f"functions: {facts['functions']:,}"
        )
        for (database, kind), count in sorted(writer.written.items()):
            click.echo(f"  database {database}: {kind} {count:,}")


_GO_ON = (
    "Every key is there wholly or not at all: the same command with --skip-existing goes "
    "on, and with --replace begins anew"
)


def _libraries(contents: Contents) -> Iterator[Library]:
    """The libraries, which stand in front of all keys."""
    for item in contents.items():
        if not isinstance(item, Library):
            return
        yield item


def _by_database(written: Counter[tuple[int, str]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (database, kind), count in sorted(written.items()):
        found.setdefault(str(database), {})[kind] = count
    return found


def _tell(message: str) -> None:
    click.echo(f"sharedstate restore: {message}", err=True)
