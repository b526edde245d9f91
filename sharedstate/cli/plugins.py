"""`sharedstate plugins`: what is installed, from where, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sharedstate.cli import exits, output
from sharedstate.cli.store import Choice, pass_choice, store_options

if TYPE_CHECKING:
    from sharedstate.registry import PluginInfo


@click.command()
@store_options
@pass_choice
def plugins(choice: Choice) -> int:
    """List the plugins, what they provide, and their origin.

    A broken plugin is listed with its error, and makes the exit code 1.
    """
    from sharedstate.registry import get_registry

    found = sorted(get_registry().plugins(), key=lambda info: (info.origin, info.name))
    if choice.json:
        output.write_json([_as_data(info) for info in found])
    else:
        headers = ("plugin", "origin", "kind", "name", "summary")
        output.write_rows(headers, [row for info in found for row in _as_rows(info)])
    return exits.FAILED if any(info.error for info in found) else exits.OK


def _as_rows(info: PluginInfo) -> list[tuple[str, ...]]:
    if info.error is not None:
        return [(info.name, info.origin, "broken", "", _tell(info.error))]
    if info.disabled:
        return [(info.name, info.origin, "disabled", "", "")]
    return [
        (info.name, info.origin, kind, record.name, record.summary)
        for kind, record in info.records
    ]


def _as_data(info: PluginInfo) -> dict[str, object]:
    return {
        "plugin": info.name,
        "distribution": info.distribution,
        "version": info.version,
        "disabled": info.disabled,
        "error": None if info.error is None else _tell(info.error),
        "provides": [
            {"kind": kind, "name": record.name, "summary": record.summary}
            for kind, record in info.records
        ],
    }


def _tell(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
