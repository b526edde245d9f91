"""`sharedstate get`, `set`, `delete` and `list`: structures from the command line.

Each kind has a reader, and those that have a value that can be set have a writer; the
tables `_READERS` and `_WRITERS` are what the commands know.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from sharedstate.cli import exits, output
from sharedstate.cli.store import Choice, pass_choice, store_options
from sharedstate.errors import QueueEmpty, SharedStateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sharedstate.locking import Holder, LockInfo
    from sharedstate.state import State


def _parse_any_key(text: str) -> object:
    """A key as JSON, where a list stands for a tuple: no list can be a key."""
    key = output.parse_value(text)
    return tuple(key) if isinstance(key, list) else key


_KEYS: dict[str, tuple[type, Callable[[str], object]]] = {
    "str": (str, str),
    "int": (int, int),
    "bytes": (bytes, str.encode),
    "any": (object, _parse_any_key),
}
"""For each type of keys: what `State.map` is told, and how a key is read from text."""

_key_option = click.option(
    "--key-type",
    type=click.Choice(list(_KEYS)),
    default="str",
    show_default=True,
    help="The type of a map's keys.",
)


@click.command()
@click.argument(
    "kind",
    type=click.Choice(["map", "counter", "float_counter", "queue", "lock", "rwlock"]),
)
@click.argument("name")
@click.argument("key", required=False)
@_key_option
@store_options
@pass_choice
def get(choice: Choice, kind: str, name: str, key: str | None, key_type: str) -> None:
    """Read a structure, or the entry of a map at KEY.

    A counter that nobody has set is 0. Of a queue, the next item is shown and not
    taken. Of a lock, who holds it. What is not there makes the exit code 4.
    """
    _check_key(kind, key)
    with _open_store(choice) as state:
        if kind == "map":
            _read_map(choice, state, name, key=key, key_type=key_type)
        else:
            _READERS[kind](choice, state, name)


@click.command(name="set")
@click.argument("kind", type=click.Choice(["map", "counter", "float_counter"]))
@click.argument("name")
@click.argument("words", nargs=-1, required=True, metavar="[KEY] VALUE")
@click.option("--text", is_flag=True, help="Take VALUE as text, even if it is JSON.")
@click.option(
    "--ttl",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="How long a map's entry lives.",
)
@_key_option
@store_options
@pass_choice
def set_value(  # noqa: PLR0913 (one parameter for each option of the command line)
    choice: Choice,
    kind: str,
    name: str,
    words: tuple[str, ...],
    *,
    text: bool,
    ttl: float | None,
    key_type: str,
) -> None:
    """Set the entry of a map at KEY, or the value of a counter.

    VALUE is what it is as JSON (3, true, {"a": [1]}), and text if it is no JSON. An
    argument that begins with a dash comes after `--`.
    """
    wanted = 2 if kind == "map" else 1
    if len(words) != wanted:
        raise click.UsageError(f"a {kind} takes {'KEY VALUE' if wanted == 2 else 'VALUE'}")
    if kind != "map" and ttl is not None:
        raise click.UsageError(f"--ttl is for entries of a map, not for a {kind}")
    value = words[-1] if text else output.parse_value(words[-1])
    with _open_store(choice) as state:
        if kind == "map":
            shared, read_key = _open_map(state, name, key_type)
            shared.set(read_key(words[0]), value, ttl=ttl)
        else:
            _set_counter(state, kind, name, value)


@click.command()
@click.argument("kind")
@click.argument("name")
@click.argument("key", required=False)
@_key_option
@store_options
@pass_choice
def delete(choice: Choice, kind: str, name: str, key: str | None, key_type: str) -> None:
    """Delete a structure, or the entry of a map at KEY."""
    _check_key(kind, key)
    with _open_store(choice) as state:
        if key is None:
            if not state.delete(kind, name):
                raise exits.NotFound(f"there is no {kind} {name!r} in {state.describe()}")
            return
        shared, read_key = _open_map(state, name, key_type)
        if not shared.delete_many([read_key(key)]):
            raise _no_key(name, key)


@click.command(name="list")
@click.argument("kind", required=False)
@store_options
@pass_choice
def list_names(choice: Choice, kind: str | None) -> None:
    """List what is stored: the kind and the name of each structure.

    What is empty is not stored, and not listed.
    """
    with _open_store(choice) as state:
        found = sorted(state.names(kind))
    if choice.json:
        output.write_json([{"kind": kind, "name": name} for kind, name in found])
    else:
        output.write_rows(("kind", "name"), found)


@contextmanager
def _open_store(choice: Choice) -> Iterator[State]:
    """The chosen store, and a clear word when an argument is nothing that it can hold."""
    with choice.connect_lasting() as state:
        try:
            yield state
        except SharedStateError:
            raise
        except (TypeError, ValueError, OverflowError) as error:
            raise click.UsageError(str(error)) from error


def _check_key(kind: str, key: str | None) -> None:
    if key is not None and kind != "map":
        raise click.UsageError(f"only a map has keys, not a {kind}")


def _open_map(
    state: State, name: str, key_type: str
) -> tuple[Any, Callable[[str], object]]:
    """The map, and what reads its keys from the command line."""
    kind, parse = _KEYS[key_type]

    def read_key(text: str) -> object:
        try:
            return parse(text)
        except ValueError as error:
            raise click.UsageError(
                f"KEY is not of --key-type {key_type}: {error}"
            ) from None

    return state.map(name, key=kind), read_key


def _no_key(name: str, key: str) -> exits.NotFound:
    return exits.NotFound(f"there is no key {key!r} in the map {name!r}")


def _read_map(
    choice: Choice, state: State, name: str, *, key: str | None, key_type: str
) -> None:
    shared, read_key = _open_map(state, name, key_type)
    if key is None:
        _write_map(choice, name, shared.copy())
        return
    try:
        value = shared[read_key(key)]
    except KeyError:
        raise _no_key(name, key) from None
    _write_value(choice, value)


def _write_map(choice: Choice, name: str, entries: dict[object, object]) -> None:
    if not entries:
        raise exits.NotFound(f"there is no map {name!r}, or it is empty")
    if choice.json:
        output.write_json(entries)
        return
    rows = [(output.to_text(key), output.to_text(value)) for key, value in entries.items()]
    output.write_rows(("key", "value"), sorted(rows))


def _read_counter(choice: Choice, state: State, name: str) -> None:
    _write_value(choice, state.counter(name).value)


def _read_float_counter(choice: Choice, state: State, name: str) -> None:
    _write_value(choice, state.float_counter(name).value)


def _read_queue(choice: Choice, state: State, name: str) -> None:
    try:
        _write_value(choice, state.queue(name).peek())
    except QueueEmpty:
        raise exits.NotFound(f"there is no queue {name!r}, or it is empty") from None


def _read_lock(choice: Choice, state: State, name: str) -> None:
    _write_info(choice, state.lock(name).info())


def _read_rwlock(choice: Choice, state: State, name: str) -> None:
    _write_info(choice, state.rwlock(name).info())


def _write_info(choice: Choice, info: LockInfo) -> None:
    if choice.json:
        output.write_json(_lock_data(info))
        return
    click.echo(f"{'held' if info.holders else 'free'}, {info.waiters} waiting")
    for holder in info.holders:
        lease = f"the lease ends in {info.remaining or 0:.1f} s"
        click.echo(f"holder: {_place_of(holder)}; {lease}")
    for waiter in info.line:
        click.echo(f"waiter: {_place_of(waiter)}")


def _place_of(party: Holder) -> str:
    mode = f", to {party.mode}" if party.mode else ""
    return f"host {party.host}, pid {party.pid}, thread {party.thread}{mode}"


def _lock_data(info: LockInfo) -> dict[str, object]:
    return {
        "name": info.name,
        "holders": [asdict(holder) for holder in info.holders],
        "remaining": info.remaining,
        "waiters": info.waiters,
        "line": [asdict(waiter) for waiter in info.line],
        "fencing": info.fencing,
    }


_READERS: dict[str, Callable[[Choice, State, str], None]] = {
    "counter": _read_counter,
    "float_counter": _read_float_counter,
    "queue": _read_queue,
    "lock": _read_lock,
    "rwlock": _read_rwlock,
}


def _write_value(choice: Choice, value: object) -> None:
    click.echo(output.to_json(value) if choice.json else output.to_text(value))


def _set_counter(state: State, kind: str, name: str, value: object) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or (kind == "counter" and not isinstance(value, int)):
        wanted = "a whole number" if kind == "counter" else "a number"
        raise click.UsageError(f"a {kind} takes {wanted}, not {output.to_text(value)!r}")
    counter: Any = state.counter(name) if kind == "counter" else state.float_counter(name)
    counter.set(value)
