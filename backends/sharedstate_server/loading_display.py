"""How far the loading is, for whoever looks: a bar on a console, lines in a log.

A console is what the log goes to when that is a terminal. The bar is drawn by rich if it
is installed, else with plain characters. What is loaded in less than a moment shows
nothing: most are, and to import rich takes longer.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol, TextIO

    from sharedstate_server.server_log import ServerLog

    class Display(Protocol):
        """Where progress is shown."""

        def show(self, loaded_bytes: int, seconds: float) -> None:
            """Show how far it is, after so many seconds. Cheap: called often."""

        def close(self) -> None:
            """It is over."""


FIRST_SECONDS = 0.5
_BAR_SECONDS = 0.1
_LINE_SECONDS = 5.0

_WIDTH = 30
_MEGABYTE = 1024 * 1024


def display_for(log: ServerLog, total_bytes: int) -> Display:
    """The display for where the log goes."""
    stream = log.stream
    if stream is not None and stream.isatty():
        return _Bar(stream, total_bytes)
    return _Lines(log, total_bytes)


class _Paced:
    """What shows something now and then, and nothing in the first moment."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._next = time.monotonic() + max(FIRST_SECONDS, interval_s / 2)

    def is_due(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._interval_s
        return True


class _Lines(_Paced):
    """Lines in the log, every few seconds."""

    def __init__(self, log: ServerLog, total_bytes: int) -> None:
        super().__init__(_LINE_SECONDS)
        self._log = log
        self._total_bytes = total_bytes

    def show(self, loaded_bytes: int, seconds: float) -> None:
        if self.is_due():
            self._log(f"Loading: {_describe(loaded_bytes, self._total_bytes, seconds)}")

    def close(self) -> None:
        """Nothing is open."""


class _Bar(_Paced):
    """A line of a terminal that is drawn again and again."""

    def __init__(self, stream: TextIO, total_bytes: int) -> None:
        super().__init__(_BAR_SECONDS)
        self._stream = stream
        self._total_bytes = total_bytes
        self._drawing: _Rich | _Plain | None = None

    def show(self, loaded_bytes: int, seconds: float) -> None:
        if not self.is_due():
            return
        if self._drawing is None:
            self._drawing = _drawing_on(self._stream, self._total_bytes)
        text = _describe(loaded_bytes, self._total_bytes, seconds)
        try:
            self._drawing.draw(loaded_bytes, text)
        except (OSError, ValueError):
            # The terminal has gone; the server does not need it.
            self._drawing = None
            self._next = float("inf")

    def close(self) -> None:
        if self._drawing is None:
            return
        try:
            self._drawing.close()
        except (OSError, ValueError):
            # As above.
            self._drawing = None


def _drawing_on(stream: TextIO, total_bytes: int) -> _Rich | _Plain:
    try:
        return _Rich(stream, total_bytes)
    except ImportError:
        return _Plain(stream, total_bytes)


class _Rich:
    """A bar that rich draws. Raises ImportError where there is no rich."""

    def __init__(self, stream: TextIO, total_bytes: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        # No thread: it is drawn when there is something new.
        self._progress = Progress(
            TextColumn("Loading"),
            BarColumn(),
            TextColumn("{task.fields[told]}"),
            console=Console(file=stream),
            auto_refresh=False,
            transient=True,
        )
        self._task = self._progress.add_task("", total=total_bytes, told="")
        self._progress.start()

    def draw(self, loaded_bytes: int, text: str) -> None:
        self._progress.update(self._task, completed=loaded_bytes, told=text, refresh=True)

    def close(self) -> None:
        self._progress.stop()


class _Plain:
    """A bar of plain characters."""

    def __init__(self, stream: TextIO, total_bytes: int) -> None:
        self._stream = stream
        self._total_bytes = total_bytes
        self._drawn = 0

    def draw(self, loaded_bytes: int, text: str) -> None:
        done = min(_WIDTH, _WIDTH * loaded_bytes // max(self._total_bytes, 1))
        line = f"Loading [{'#' * done}{'.' * (_WIDTH - done)}] {text}"
        self._write(f"\r{line:<{self._drawn}}")
        self._drawn = len(line)

    def close(self) -> None:
        self._write("\r" + " " * self._drawn + "\r")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _describe(loaded_bytes: int, total_bytes: int, seconds: float) -> str:
    share = min(loaded_bytes / total_bytes, 1.0) if total_bytes else 1.0
    text = f"{100 * share:.0f} % of {total_bytes / _MEGABYTE:.1f} MB"
    if share:
        text += f", {seconds / share - seconds:.0f} s left"
    return text
