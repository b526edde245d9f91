"""Histories: what processes asked of shared structures, what was answered, and when.

    recorder = Recorder(folder / "worker1.history", "worker1")
    recorder.call(("counter", "hits"), "add", (1,), lambda: hits.add(1))
    …
    history = read_histories(folder.glob("*.history"))

Each process (or thread) writes a file of its own, a line of JSON for each event:

    ["call", 7, 81236518325, ["counter", "hits"], "add", [1]]
    ["answer", 7, 81236623411, 12]
    ["refused", 7]

Times are nanoseconds of CLOCK_MONOTONIC, which all processes of a machine share and no
jump of the wall clock moves. The time of a call is taken before anything is sent, that of
an answer after it was received: the effect lies between the two. A call is in the file
before it is sent, so that whatever a killed process may have done is known.

SIGKILL may come in the middle of a line: each is written by one system call, and a last
line without its end is not there. A call without an answer is *pending*, for ever: its
process was killed, or its answer was lost, and it may have happened at any time after the
call, or never. A call that was refused surely did not happen, and is left out.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from sharedstate.errors import BackendError, IndeterminateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import Self


class HistoryError(ValueError):
    """A file is no history: a line is broken that is not the last, or has no call."""


class _Nothing:
    """A word of its own, where None is an answer."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


UNKNOWN: Any = _Nothing("?")
"""The result of an operation that was not answered."""

NOT_DONE: Any = _Nothing("not done")
"""What `Recorder.call` returns for one that surely did not happen."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A call of a process on an object, and its answer. Times are nanoseconds."""

    process: str
    target: tuple[str, str]
    """The object: its kind and its name."""
    name: str
    arguments: tuple[Any, ...]
    result: Any
    called_at: int
    answered_at: int | None = None
    """None while it is pending; the result is `UNKNOWN` then."""

    @property
    def is_pending(self) -> bool:
        """Whether it may have happened, and at any time since."""
        return self.answered_at is None

    def __str__(self) -> str:
        words = ", ".join(map(repr, self.arguments))
        return f"{self.process}: {self.name}({words}) -> {self.result!r}"


class Recorder:
    """Writes the history of one process, or of one thread. A context manager."""

    def __init__(self, path: Path, process: str) -> None:
        """Begin the file of a process. A process that was restarted is another one."""
        self.process = process
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._fd = os.open(path, flags, 0o600)
        self._number = 0
        self._write("process", process)

    def call(
        self,
        target: tuple[str, str],
        name: str,
        arguments: tuple[Any, ...],
        function: Callable[[], Any],
        *,
        in_doubt: tuple[type[Exception], ...] = (IndeterminateError,),
    ) -> Any:
        """Note a call, call the function, note the answer; the function's result.

        That must be what JSON knows, or a tuple of it. An exception of `in_doubt` leaves
        the operation pending, and the result is `UNKNOWN`. Another `BackendError` says
        that nothing happened: the result is `NOT_DONE`. Any other exception is a
        mistake, and raised.
        """
        self._number = number = self._number + 1
        self._write("call", number, monotonic_ns(), target, name, arguments)
        try:
            result = function()
        except in_doubt:
            return UNKNOWN
        except BackendError:
            self._write("refused", number)
            return NOT_DONE
        self._write("answer", number, monotonic_ns(), result)
        return result

    def close(self) -> None:
        """Close the file. What is pending stays so."""
        os.close(self._fd)

    def _write(self, *event: object) -> None:
        line = json.dumps(event, separators=(",", ":")).encode() + b"\n"
        if os.write(self._fd, line) != len(line):
            raise OSError(f"the history of {self.process} was cut off: is the disk full?")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_histories(paths: Iterable[Path]) -> list[Operation]:
    """Merge the files of all processes: their operations, in the order of their calls.

    May be called while they are written. Raises `HistoryError` for what is no history.
    """
    merged = [operation for path in paths for operation in read_history(path)]
    return sorted(merged, key=lambda operation: operation.called_at)


def read_history(path: Path) -> list[Operation]:
    """The operations of one process, without those that were refused."""
    process = path.stem
    found: dict[int, Operation] = {}
    for number, event in _events(path):
        try:
            match event:
                case ["process", str(name)]:
                    process = name
                case ["call", int(key), int(time), [str(kind), str(name)], verb, words]:
                    called = (process, (kind, name), verb, _frozen(words), UNKNOWN, time)
                    found[key] = Operation(*called)
                case ["answer", int(key), int(time), result]:
                    found[key] = _answered(found[key], _frozen(result), time)
                case ["refused", int(key)]:
                    del found[key]
                case _:
                    raise HistoryError(f"{path}:{number}: {event!r} is no event")
        except KeyError:
            raise HistoryError(f"{path}:{number}: {event!r} has no call") from None
    return list(found.values())


def _events(path: Path) -> Iterator[tuple[int, Any]]:
    *lines, cut_off = path.read_bytes().split(b"\n")
    del cut_off  # Empty, or a line whose process died while it wrote.
    for number, line in enumerate(lines, start=1):
        try:
            yield number, json.loads(line)
        except ValueError as error:
            raise HistoryError(f"{path}:{number} is no JSON: {line!r:.200}") from error


def _answered(called: Operation, result: object, time: int) -> Operation:
    return Operation(
        called.process,
        called.target,
        called.name,
        called.arguments,
        result,
        called.called_at,
        time,
    )


def _frozen(value: Any) -> Any:
    """JSON's lists as tuples, which can be compared with what was written, and hashed."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
