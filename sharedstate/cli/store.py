"""Which store a command works on: the options that all commands share.

They may stand before the command or after it; what stands later counts. What is not
given is looked for where `sharedstate.connect` looks: environment, file, default.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sharedstate.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate.config import Settings
    from sharedstate.state import State

_Function = TypeVar("_Function", bound="Callable[..., object]")


@dataclass(slots=True)
class Choice:
    """What the shared options said."""

    url: str | None = None
    profile: str | None = None
    namespace: str | None = None
    json: bool = False

    def settings(self) -> Settings:
        """The settings that result from the options, the environment and the file."""
        from sharedstate.resolve import gather

        options: dict[str, object] = {}
        if self.namespace is not None:
            options["namespace"] = self.namespace
        return gather(self.url, options, profile=self.profile)

    def connect(self) -> State:
        """Open the store. Raises as `sharedstate.connect` does."""
        from sharedstate.state import State

        return State.open(self.settings())

    def connect_lasting(self) -> State:
        """Open a store that was there before this command and will be there after it.

        Raises `ConfigError` for one that lives in, or with, this process: whatever is
        read there is empty, and whatever is written is lost.
        """
        from sharedstate.state import State

        settings = self.settings()
        address = settings.address
        if address.scheme in ("local", "memory") and not address.path.strip("/"):
            raise ConfigError(
                f"{settings} begins and ends with this command; give --url (or set "
                "SHAREDSTATE_URL) to name a store that lasts, such as local:///folder "
                "or redis://host:6379"
            )
        return State.open(settings)


pass_choice = click.make_pass_decorator(Choice, ensure=True)
"""Hands the `Choice` to a command as its first argument."""


def store_options(function: _Function) -> _Function:
    """Give a command the shared options. Their values go to its `Choice`."""
    for decorate in (
        _option("--json", is_flag=True, help="Write JSON, for programs."),
        _option("--namespace", metavar="NAME", help="What stands in front of every key."),
        _option("--profile", metavar="NAME", help="A profile of the settings file."),
        _option("--url", metavar="URL", help="The store: local:///folder, redis://host, …"),
    ):
        function = decorate(function)
    return function


def _option(name: str, **attributes: Any) -> Callable[[_Function], _Function]:
    return click.option(name, expose_value=False, callback=_remember, **attributes)


def _remember(context: click.Context, parameter: click.Parameter, value: object) -> None:
    choice = context.ensure_object(Choice)
    if value and parameter.name:
        setattr(choice, parameter.name, value)
