"""The backend of a transaction's views: it executes on images, and not on the store.

A structure is written as commands for a backend, whatever that is. So the views of a
transaction are the same classes as the handles, with the same methods, messages and types,
over this backend. A command that it does not know is refused, and never executed past the
transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from sharedstate.backend import Backend
from sharedstate.errors import NotSupported
from sharedstate.transaction_views.map_image import MapImage
from sharedstate.transaction_views.number_image import NumberImage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharedstate.backend import (
        Argument,
        Capability,
        Command,
        Key,
        Reply,
        Script,
        Subscription,
        Watch,
    )
    from sharedstate.config import Settings
    from sharedstate.transaction_views.watched import Watched

Image: TypeAlias = MapImage | NumberImage


class ViewBackend(Backend):
    """Executes the commands of some structures on their images. For one attempt."""

    def __init__(self, backend: Backend, watched: Watched) -> None:
        self._backend = backend
        self._watched = watched
        self._images: dict[Key, Image] = {}

    def add(self, image: Image) -> None:
        """Execute commands on the first of the image's keys on the image."""
        self._images[image.keys[0]] = image

    @property
    def settings(self) -> Settings:
        """The settings of the store."""
        return self._backend.settings

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the store can do."""
        return self._backend.capabilities

    def execute(self, command: Command) -> Reply:
        """Execute a command on an image. It reads from the store what it depends on."""
        name, key, *arguments = command
        image = self._image(key, name)
        reply = image.commands.get(str(name))
        if reply is None:
            _refuse(name)
        return reply(image, *map(_to_bytes, arguments))

    def execute_many(self, commands: Sequence[Command]) -> list[Reply]:
        """Execute commands, one after the other."""
        return [self.execute(command) for command in commands]

    def transact(
        self, commands: Sequence[Command], *, watching: Watch | None = None
    ) -> list[Reply] | None:
        """Execute commands, one after the other: all of it is one transaction anyway."""
        return self.execute_many(commands)

    def run_script(
        self, script: Script, keys: Sequence[Key], arguments: Sequence[Argument] = ()
    ) -> Reply:
        """Do on an image what a script does."""
        image = self._image(keys[0], script.name)
        reply = image.scripts.get(script.name)
        if reply is None:
            _refuse(script.name)
        result = reply(image, *map(_to_bytes, arguments))
        # A map's scripts tell its layout too; here it is always that of native commands.
        return [0, result] if isinstance(image, MapImage) else result

    def watch(self, keys: Sequence[Key]) -> Watch:
        """Not here."""
        _refuse("WATCH")

    def wait_for(self, command: Command, timeout: float) -> Reply:
        """Not here."""
        _refuse(command[0])

    def subscribe(self, channels: Sequence[Key]) -> Subscription:
        """Not here."""
        _refuse("SUBSCRIBE")

    def close(self) -> None:
        """Nothing: the attempt ends by itself."""

    def _image(self, key: Any, what: object) -> Image:
        self._watched.check()
        image = self._images.get(key)
        if image is None:
            _refuse(what)
        return image


def _refuse(what: object) -> NoReturn:
    raise NotSupported(
        f"{what} is not part of transactions: use the structure's own handle, outside of "
        f"the transaction"
    )


def _to_bytes(argument: Argument) -> bytes:
    """An argument as it would travel."""
    if isinstance(argument, bytes):
        return argument
    return argument.encode() if isinstance(argument, str) else repr(argument).encode()
