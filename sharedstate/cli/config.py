"""`sharedstate config show`: every option, its value, and who set it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sharedstate.cli import output
from sharedstate.cli.store import Choice, pass_choice, store_options
from sharedstate.config import COMMON_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharedstate.config import OptionSpec, Settings

_HIDDEN = "***"

# Read into `password`, whose origin then names the file.
_CONSUMED = "password_file"


@click.group()
def config() -> None:
    """Where the settings come from."""


@config.command()
@store_options
@pass_choice
def show(choice: Choice) -> None:
    """Show every option that counts here, with its value and its origin.

    Nothing is connected to. Secrets are shown as ***.
    """
    settings = choice.settings()
    origins = dict(settings.origins)
    rows = [
        (name, value, origins.get(name, "default")) for name, value in _values(settings)
    ]
    if choice.json:
        data = {name: {"value": value, "origin": origin} for name, value, origin in rows}
        output.write_json(data)
        return
    lines = [(name, _as_text(value), origin) for name, value, origin in rows]
    output.write_rows(("option", "value", "origin"), lines)


def _values(settings: Settings) -> Iterator[tuple[str, object]]:
    yield "url", str(settings)
    for name, spec in COMMON_OPTIONS.items():
        if name != _CONSUMED:
            yield name, _redact(spec, getattr(settings, name))
    for name, spec in _own_options(settings).items():
        yield name, _redact(spec, settings.option(name, spec.default))


def _own_options(settings: Settings) -> dict[str, OptionSpec]:
    """The options of the backend, the level and the serializers, by name."""
    from sharedstate.registry import get_registry

    registry = get_registry()
    specs: dict[str, OptionSpec] = {}
    for record in registry.records("serializer"):
        specs.update(record.options)
    specs.update(registry.consistency(settings.consistency).options)
    specs.update(registry.backend(settings.address.scheme).options)
    return dict(sorted(specs.items()))


def _redact(spec: OptionSpec, value: object) -> object:
    if spec.kind == "secret" and value is not None:
        return _HIDDEN
    return sorted(value) if isinstance(value, frozenset) else value


def _as_text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return "" if value is None else output.to_text(value)
