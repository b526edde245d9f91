"""A bar on the terminal while something takes long; nothing where there is none."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID


# So often the bar moves, however often it is told: to move it takes longer than a key.
_STEPS = 500


class Meter:
    """How much of a total is done. A context manager."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._step = max(total // _STEPS, 1)
        self._next = 0

    def __enter__(self) -> Meter:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self._what, total=self._total or None)
        return self

    def show(self, done: int) -> None:
        """So much is done."""
        if self._bar is not None and self._task is not None and done >= self._next:
            self._next = done + self._step
            self._bar.update(self._task, completed=done)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
