"""`sharedstate dump`: what is in a file, key by key."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager

import click

from sharedstate.errors import ConfigError
from sharedstate_memory.glob import compile_glob
from sharedstate_memory.rdb.describe import type_name
from sharedstate_memory.rdb.errors import RdbError
from sharedstate_memory.rdb.walk import Library
from sharedstate_memory.replies import CommandFailure
from sharedstate_server.aof.errors import AofError
from sharedstate_server.tools.contents import describe_damage, open_contents
from sharedstate_server.tools.examining import library_name
from sharedstate_server.tools.json_form import encoder, form_of
from sharedstate_server.tools.places import log_around, named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import IO

    from sharedstate_memory.keyspace import Value
    from sharedstate_memory.rdb.walk import Key
    from sharedstate_server.tools.contents import Contents, Item

WHOLE, DAMAGED = 0, 1

# A listing shows so much of a value.
_SHOWN_BYTES = 40


def dump(
    path: str,
    *,
    json: bool,
    match: str | None = None,
    db: int | None = None,
    output: str | None = None,
) -> int:
    """Write the keys of a file, or of a folder's log, to stdout or to `output`: as JSON,
    or a line for people. Only those that match a glob pattern, or of one database, if
    that is given; functions only if neither is. Returns 1 if the file is damaged: what
    comes before the damage is written. Raises `ConfigError` and `OSError`.
    """
    is_wanted = _filter(match, db)
    if output is not None:
        _refuse_replacing(path, output)
    contents = open_contents(path, tell=_tell)
    line_of = _json_line() if json else _listed_line
    with _writing_to(output) as file:
        return _write(contents, is_wanted, line_of, file)


def _write(
    contents: Contents,
    is_wanted: Callable[[Item], bool],
    line_of: Callable[[Item], str],
    file: IO[bytes],
) -> int:
    try:
        for item in contents.items():
            if is_wanted(item):
                file.write(line_of(item).encode("utf-8"))
    except (RdbError, AofError) as error:
        file.flush()
        told = describe_damage(error, contents.path)
        _tell(f"{told}; what comes before is written")
        return DAMAGED
    file.flush()
    return WHOLE


def _filter(match: str | None, db: int | None) -> Callable[[Item], bool]:
    if match is None and db is None:
        return lambda item: True
    try:
        matches = compile_glob((match or "*").encode("utf-8", "surrogateescape"))
    except CommandFailure as failure:
        raise ConfigError(f"--match: {failure.text.decode()}") from failure

    def is_wanted(item: Item) -> bool:
        if isinstance(item, Library) or (db is not None and item.database != db):
            return False
        return bool(matches(item.name))

    return is_wanted


def _json_line() -> Callable[[Item], str]:
    encode = encoder()
    return lambda item: encode(form_of(item)) + "\n"


# -- for people


def _listed_line(item: Item) -> str:
    """Database, type, size, deadline, key and the beginning of the value, with tabs."""
    if isinstance(item, Library):
        return f"functions\t{library_name(item.code)}\t{len(item.code)} bytes\n"
    value = item.content.value
    cells = (f"db{item.database}", type_name(item), _size(value), _deadline(item))
    return "\t".join((*cells, _shown(item.name), _glimpse(value))) + "\n"


def _size(value: Value) -> str:
    return f"{len(value)} bytes" if isinstance(value, bytes) else f"{len(value)} elements"


def _deadline(key: Key) -> str:
    if key.deadline_ms is None:
        return "stays"
    seconds, ms = divmod(key.deadline_ms, 1000)
    try:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return f"{key.deadline_ms} ms"  # A file may say anything.
    return f"{moment}.{ms:03}Z"


def _glimpse(value: Value) -> str:
    if isinstance(value, bytes):
        return _shown(value)
    if isinstance(value, dict):
        return ", ".join(
            f"{_shown(name)}={_shown(text)}" for name, text in list(value.items())[:3]
        )
    return ", ".join(_shown(element) for element, _ in zip(value, range(3), strict=False))


def _shown(data: bytes) -> str:
    """Bytes on a line: as text where they are text that needs no escapes."""
    cut = data[:_SHOWN_BYTES]
    text = cut.decode("utf-8", "backslashreplace")
    if not text.isprintable():
        text = repr(cut)[2:-1]
    return text + "…" * (len(data) > _SHOWN_BYTES)


# -- where it goes


def _refuse_replacing(path: str, output: str) -> None:
    """See to it that nothing takes the place of what is read, or comes between its files.
    Raises `ConfigError`.
    """
    target, source = os.path.realpath(output), os.path.realpath(path)
    log = None if os.path.isdir(source) else log_around(source)
    if log is not None:
        source = log.path
    if target == source or target.startswith(os.path.join(source, "")):
        raise ConfigError(
            f"-o: {output} is, or lies in, what is to be read ({path}): use another place"
        )


@contextmanager
def _writing_to(path: str | None) -> Iterator[IO[bytes]]:
    """The file to write to: stdout, or one that appears at its path when it is whole. What
    is there and no file, such as a pipe, is written to.
    """
    if path is None:
        yield sys.stdout.buffer
        return
    if os.path.exists(path) and not os.path.isfile(path):
        with named(path), open(path, "wb") as file:
            yield file
        return
    temporary = f"{path}.{os.getpid()}.part"
    with named(path, instead_of=temporary):
        with open(temporary, "xb") as file:
            try:
                yield file
            except BaseException:
                os.unlink(temporary)
                raise
        os.replace(temporary, path)


def _tell(message: str) -> None:
    click.echo(f"sharedstate dump: {message}", err=True)
