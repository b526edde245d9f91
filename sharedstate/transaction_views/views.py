"""Views: handles of the same classes, for the length of one attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, cast

from sharedstate.structures.base import Structure, StructureContext
from sharedstate.structures.counter import SharedNumber
from sharedstate.structures.map import Map
from sharedstate.transaction_views.backend import Image, ViewBackend
from sharedstate.transaction_views.fences import FencedWrites
from sharedstate.transaction_views.map_image import MapImage
from sharedstate.transaction_views.number_image import NumberImage
from sharedstate.transaction_views.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharedstate.backend import Backend, Command
    from sharedstate.state import State


class _Place:
    """Stands where a handle has its state: a view is of no use anywhere else."""

    def __init__(self, state: State) -> None:
        self._state = state

    def describe(self) -> str:
        return f"{self._state.describe()}, in a transaction"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a view of a transaction cannot travel to another process: send the "
            "structure's own handle"
        )


def image_class(structure: object) -> type[MapImage | NumberImage] | None:
    """What a structure is seen through in a transaction; None if it cannot be."""
    if isinstance(structure, Map):
        return MapImage
    return NumberImage if isinstance(structure, SharedNumber) else None


class Views:
    """The views of one attempt, with all that they have read and changed."""

    def __init__(self, backend: Backend, structures: Sequence[Structure]) -> None:
        self._structures = structures
        self._images: dict[str, Image] = {}
        self._fences: list[tuple[Image, FencedWrites]] = []
        self._keys: list[str] = []
        self.watched = Watched(backend, self._keys)
        self._backend = ViewBackend(backend, self.watched)
        for structure in structures:
            self._add(structure)

    def make(self) -> tuple[Structure, ...]:
        """A view of each structure, in their order. Handles of one name share what they
        have read and changed."""
        return tuple(map(self._make_one, self._structures))

    def commit(self) -> bool:
        """Make the store as it is seen here, in one step, if what was read still holds;
        whether it does."""
        commands: list[Command] = []
        for image in self._images.values():
            commands += image.changes()
        for image, fences in self._fences:
            if image.is_changed:
                commands += fences.changes(self.watched)
        return self.watched.commit(commands)

    def _add(self, structure: Structure) -> None:
        context = structure._context
        image = self._images.get(context.prefix)
        if image is None:
            make = image_class(structure)
            assert make is not None, "the transaction has checked it"
            image = self._images[context.prefix] = make(self.watched, context)
            self._keys += image.keys
            self._backend.add(image)
        fences = FencedWrites(structure)
        if fences:
            self._keys.append(fences.key)
            self._fences.append((image, fences))

    def _make_one(self, structure: Structure) -> Structure:
        context = structure._context
        place: Any = _Place(context.state)
        inside = StructureContext(
            state=cast("State", place),
            backend=self._backend,
            kind=context.kind,
            name=context.name,
            prefix=context.prefix,
            serializer=context.serializer,
        )
        return type(structure)(inside, structure._options)
