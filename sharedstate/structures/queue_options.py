"""What a queue is made with, and the time-outs of its calls, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharedstate.errors import ConfigError
from sharedstate.waiting import FOREVER, Deadline, to_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from sharedstate.structures.base import StructureContext


def deadline_of(block: bool, timeout: float | timedelta | None) -> Deadline:
    """How long to wait, with the checks of `queue.Queue`."""
    if not block:
        return Deadline(0.0)
    if timeout is None:
        return FOREVER
    seconds = to_seconds(timeout)
    if not seconds >= 0:
        raise ValueError(f"'timeout' must be a non-negative number, got {timeout!r}")
    return Deadline(seconds)


def check_options(context: StructureContext, options: Mapping[str, object]) -> int:
    """The bound that the options give, as a number that is not negative."""
    unknown = set(options) - {"maxsize", "serializer"}
    if unknown:
        raise ConfigError(
            f"a queue has the options maxsize and serializer, got {', '.join(unknown)}"
        )
    maxsize = options.get("maxsize", 0)
    if type(maxsize) is not int:
        raise ConfigError(
            f"expected an int as maxsize of the queue {context.name!r}, got {maxsize!r}"
        )
    return max(0, maxsize)
