"""What this distribution provides. Imported by the first `connect` of every program that
has it installed, and so quick: what is heavy is imported when somebody asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharedstate.config import OptionSpec
from sharedstate.hookspecs import LockRecord, SerializerRecord, hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharedstate.config import Settings
    from sharedstate.locking import LockStrategy, LockTarget
    from sharedstate.serializers import Serializer

_LEVEL = OptionSpec("int", 6, "How hard zjson compresses, from 1 to 9.", minimum=1)


@hookimpl
def sharedstate_serializers() -> list[SerializerRecord]:
    """The serializer `zjson`."""
    return [
        SerializerRecord(
            name="zjson",
            summary="JSON, compressed where that makes it smaller.",
            create=_open_zjson,
            options={"zjson_level": _LEVEL},
        )
    ]


@hookimpl
def sharedstate_lock_strategies() -> list[LockRecord]:
    """The lock strategy `paced`."""
    return [
        LockRecord(
            name="paced",
            summary="One holder at a time, and a pause after each.",
            create=_open_paced,
        )
    ]


def _open_zjson(settings: Settings) -> Serializer:
    from .zjson import ZJsonSerializer

    return ZJsonSerializer(level=int(str(settings.option("zjson_level"))))


def _open_paced(target: LockTarget, options: Mapping[str, object]) -> LockStrategy:
    from .paced import PacedStrategy

    return PacedStrategy(target, options)
