"""`sharedstate check`, `dump` and `restore`: the files of persistence.

The framework imports no backend: the tools are asked for by name when they are wanted, and
their modules know what is in the files.
"""

from __future__ import annotations

import importlib
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from sharedstate.cli import exits
from sharedstate.cli.store import Choice, pass_choice, store_options
from sharedstate.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOOLS = "sharedstate_server.tools"

_path_argument = click.argument("path", type=click.Path(exists=True))
_json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON.")


@click.command()
@_path_argument
@click.option("--fix", is_flag=True, help="Repair, after a look at what that drops.")
@click.option("--yes", is_flag=True, help="Do not ask before repairing.")
@_json_option
@pass_choice
def check(choice: Choice, path: str, fix: bool, yes: bool, as_json: bool) -> int:
    """Tell what a snapshot, a log, or a folder of data holds, and whether it is sound.

    Exit codes: 0 if all is sound, or has become so by --fix; 1 if something is damaged;
    2 if there is nothing to look at, or a server uses it.
    """
    with _files_in_trouble():
        code: int = _tool("check")(path, fix=fix, yes=yes, json=as_json or choice.json)
    return code


@click.command()
@_path_argument
@click.option("--match", metavar="GLOB", help="Only keys that match.")
@click.option("--db", type=click.IntRange(min=0), help="Only keys of this database.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write to a file.")
@_json_option
@pass_choice
def dump(
    choice: Choice,
    path: str,
    match: str | None,
    db: int | None,
    output: str | None,
    as_json: bool,
) -> int:
    """Write the keys of a snapshot, or of a log, one on a line."""
    as_json = as_json or choice.json
    with _files_in_trouble():
        code: int = _tool("dump")(path, json=as_json, match=match, db=db, output=output)
    return code


@click.command()
@_path_argument
@click.option("--db", multiple=True, metavar="N|FROM:TO", help="Only this database.")
@click.option("--replace", is_flag=True, help="Replace keys that are there already.")
@click.option("--skip-existing", is_flag=True, help="Leave keys that are there already.")
@click.option("--without-functions", is_flag=True, help="Leave functions out.")
@store_options
@pass_choice
def restore(
    choice: Choice,
    path: str,
    db: tuple[str, ...],
    replace: bool,
    skip_existing: bool,
    without_functions: bool,
) -> int:
    """Write the keys and functions of a snapshot, or of a log, into the store of --url.

    Keys keep their names, whatever --namespace says. A key that is there already stops
    it before anything is written, unless an option says what becomes of it.
    """
    if replace and skip_existing:
        raise click.UsageError("--replace and --skip-existing exclude each other")
    with _files_in_trouble():
        code: int = _tool("restore")(
            path,
            choice.settings(),
            db=db,
            policy="replace" if replace else "skip" if skip_existing else "refuse",
            functions=not without_functions,
            json=choice.json,
        )
    return code


def _tool(name: str) -> Any:
    """The function that does a command's work: it has the name of its module."""
    return getattr(importlib.import_module(f"{_TOOLS}.{name}"), name)


@contextmanager
def _files_in_trouble() -> Iterator[None]:
    """What the system says of files becomes a message. Connections tell it themselves."""
    try:
        yield
    except ConnectionError:
        raise
    except PermissionError as error:
        raise ConfigError(_told(error)) from error
    except OSError as error:
        raise exits.Failed(_told(error)) from error


def _told(error: OSError) -> str:
    """The file, and what is the matter with it."""
    if error.filename is None or error.strerror is None:
        return str(error)
    return f"{os.fsdecode(error.filename)}: {error.strerror}"
