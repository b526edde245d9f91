"""A violation, as a human can read it: what can be explained, and what cannot.

    no order explains the answers of counter 'hits'
    all that was answered before 10.480 ms can be explained, in the end by:
        p2: add(1) -> 4
        p1: add(1) -> 5
    which leaves the state 5. In no order could these come next:
      ! p3: add(1) -> 5
        p1: get() -> 5

    p1: add(1) -> 5     | [=======]                              |
    p3: add(1) -> 5     |     [===============]                ! |
    p1: get() -> 5      |                [==]                    |

One line of the timeline is one operation, from its call to its answer; `>` has none.
Where it says `!`, the history becomes one that no order explains: cut off right before
this answer, it is linearizable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

    from .history import Operation

SHOWN = 12
"""So many of the explained operations are shown, the last ones."""

_LABEL_WIDTH = 44
_BAR_WIDTH = 56
_NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Counterexample:
    """A part of a history that is not linearizable. `str` tells it to a human."""

    target: tuple[str, str]
    """The object: its kind and its name."""
    part: Hashable
    """The part of the object, as the model divides it."""
    history: tuple[Operation, ...]
    """All operations of the part."""
    explained: tuple[Operation, ...]
    """An order of operations that can be explained, among them all that were answered
    before `blocked` was."""
    state: str
    """The state in which that order leaves the object."""
    blocked: Operation
    """The operation with whose answer the history is linearizable no more."""
    unexplained: tuple[Operation, ...]
    """Those that were called before that answer, and are not among the explained."""

    def __str__(self) -> str:
        start = self.history[0].called_at
        where = f"{self.target[0]} {self.target[1]!r}"
        if self.part is not None:
            where += f", part {self.part!r}"
        answered = _in_ms((self.blocked.answered_at or 0) - start)
        lines = [
            f"no order explains the answers of {where}",
            f"all that was answered before {answered} can be explained, in the end by:",
            *(f"    {operation}" for operation in self.explained[-SHOWN:]),
            f"which leaves the state {self.state}. In no order could these come next:",
            *(f"{self._mark(each)}{each}" for each in self.unexplained),
            "",
            *self.timeline(),
        ]
        return "\n".join(lines)

    def timeline(self) -> list[str]:
        """A line for each of the last operations, drawn to scale."""
        shown = [*self.explained[-SHOWN:], *self.unexplained]
        start = min(each.called_at for each in shown)
        end = self.blocked.answered_at or start
        scale = (_BAR_WIDTH - 1) / max(1, end - start)
        lines = []
        for each in sorted(shown, key=lambda operation: operation.called_at):
            left = min(round((each.called_at - start) * scale), _BAR_WIDTH - 1)
            right = _BAR_WIDTH
            if each.answered_at is not None:
                right = min(round((each.answered_at - start) * scale), _BAR_WIDTH)
            bar = "[" + "=" * (right - left - 1)
            bar += "]" if each.answered_at is not None and each.answered_at <= end else ">"
            label = str(each)
            if len(label) > _LABEL_WIDTH:
                label = label[: _LABEL_WIDTH - 1] + "…"
            mark = " !" if each is self.blocked else ""
            lines.append(
                f"{label:{_LABEL_WIDTH}} |{' ' * left}{bar:{_BAR_WIDTH - left}}{mark}"
            )
        return lines

    def _mark(self, operation: Operation) -> str:
        return "  ! " if operation is self.blocked else "    "


def _in_ms(nanoseconds: int) -> str:
    return f"{nanoseconds / _NS_PER_MS:.3f} ms"
