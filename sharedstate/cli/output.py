"""What commands write: JSON for programs, tables for people, lines for a pipe."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def write_json(data: object) -> None:
    """One JSON document on one line."""
    click.echo(to_json(data))


def write_rows(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on a terminal; elsewhere one line a row, its cells separated by tabs.

    A row is cut at no width then, and a program can take it apart.
    """
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*headers, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        # Text, for values are not ours: their brackets are no markup.
        table.add_row(*map(Text, row))
    Console().print(table)


def to_json(data: object) -> str:
    """JSON of any value. What JSON has no form for is told as text."""
    return json.dumps(_with_text_keys(data), ensure_ascii=False, default=_to_plain)


def to_text(value: object) -> str:
    """A value on a line: a text as it is, everything else as JSON."""
    return value if isinstance(value, str) else to_json(value)


def parse_value(text: str) -> Any:
    """The value of a command line's argument: what it is as JSON, or else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _with_text_keys(data: object) -> object:
    """JSON's keys are texts; those of a shared map may be numbers, bytes or tuples."""
    if isinstance(data, dict):
        pairs: Mapping[object, object] = data
        return {
            to_text(_to_plain(key)): _with_text_keys(value) for key, value in pairs.items()
        }
    if isinstance(data, list | tuple):
        return [_with_text_keys(item) for item in data]
    return data


def _to_plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    if value is None or isinstance(value, str | int | float):
        return value
    # Dates, decimals and UUIDs read well as text; of others their type should show.
    known = type(value).__module__ in ("datetime", "decimal", "uuid")
    return str(value) if known else repr(value)
