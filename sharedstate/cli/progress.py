"""A progress bar while a pool works: how much, how fast, how long still."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress, Task
    from rich.text import Text

    from sharedstate.pool import WorkerPool

# How often the bar is drawn. The end of the pool is noticed at once, whatever this is.
_REDRAW = 0.2


def watch(pool: WorkerPool, count_done: Callable[[], int], total: int) -> None:
    """Wait until a pool has ended; if stderr is a terminal, with a bar on it.

    `count_done` says how much of `total` is done, and may ask the store.
    """
    if not sys.stderr.isatty():
        pool.wait()
        return
    with _make_bar() as bar:
        task = bar.add_task("Indexing", total=total)
        while not pool.wait(_REDRAW):
            bar.update(task, completed=count_done())
        bar.update(task, completed=count_done())


def _make_bar() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class RateColumn(ProgressColumn):
        """Files a second, over the last half minute."""

        def render(self, task: Task) -> Text:
            return Text(f"{task.speed or 0:,.0f} files/s", style="progress.data.speed")

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
