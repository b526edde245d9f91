"""Garbage: cycles are looked for among what is new, not in all of the data.

Python looks for cycles of objects that nobody refers to any more, in the young ones often
and in all of them now and then. With half a million lists or sets as values, a look at all
takes a tenth of a second, in which nobody is served. But data has no cycles: it is freed
when it is removed. So a look that took longer than `LONG_SECONDS` is the last one at what
is there: that is frozen, and later looks are at what came since.

What was frozen and is garbage in a cycle later is never found. So nothing that comes and
goes may leave a cycle behind: a connection that is closed does not, and a test holds it to
that. What remains is a runtime of scripts that were flushed.
"""

from __future__ import annotations

import gc
from time import perf_counter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LONG_SECONDS = 0.005

# The generation of those that have survived: a look at it is one at everything.
_OLDEST = 2


def keep_looks_short() -> None:
    """Freeze what is there, and what makes a look long. For a process that is a server and
    nothing else, once it is set up.
    """
    gc.freeze()
    gc.callbacks.append(_Looks())


class _Looks:
    """Told of every look for garbage, before it and after it."""

    __slots__ = ("_began",)

    def __init__(self) -> None:
        self._began = 0.0

    def __call__(self, phase: str, facts: dict[str, Any]) -> None:
        if facts["generation"] < _OLDEST:
            return
        if phase == "start":
            self._began = perf_counter()
        elif perf_counter() - self._began > LONG_SECONDS:
            gc.freeze()


def freeze_if_short() -> None:
    """Let later looks pass over all that is there, if looks are kept short here: before a
    fork, because a look writes to what it looks at, and so makes the child's memory ours.
    """
    if any(isinstance(callback, _Looks) for callback in gc.callbacks):
        gc.freeze()


def pause_looks() -> None:
    """Look for no garbage while data is loaded, which makes none, until `resume_looks`."""
    gc.disable()


def resume_looks() -> None:
    """Look for garbage again, not in what was loaded if looks are kept short here."""
    freeze_if_short()
    gc.enable()
