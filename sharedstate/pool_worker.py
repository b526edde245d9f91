"""The worker's side of a pool: what runs in the new process, around the user's function.

A worker must end in every case that its pool can think of, and say why:

    its function returns            exit code 0
    its function raises             exit code 1, the traceback goes to the pool
    SIGTERM                         `Terminated` is raised in its main thread, so that
                                    `with` and `finally` do their work; exit code 143
    Ctrl-C                          nothing: the terminal sends it to the whole group,
                                    and the pool decides what follows
    the pool's process dies         as SIGTERM, and SIGKILL if that does not help in time

The last one is watched by a thread. `PR_SET_PDEATHSIG` would do it without one, but is
tied to the *thread* that started the worker, and does not exist outside Linux.
"""

from __future__ import annotations

import importlib
import os
import signal
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from types import FrameType

HELD_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM})
"""Blocked while a worker starts, until it can answer them. See `run`."""

TERMINATED = 128 + signal.SIGTERM
"""The exit code of a worker that cleaned up after a SIGTERM, as shells write it."""

# What a traceback may need of the outcome pipe. A pipe holds 64 KiB: a worker must be
# able to write its last words and go, whether or not anybody reads them.
_MAX_OUTCOME_BYTES = 16 * 1024


class Terminated(SystemExit):
    """SIGTERM came. A `SystemExit`, so that no `except Exception` holds it up."""

    def __init__(self) -> None:
        super().__init__(TERMINATED)


class Parcel:
    """A worker's function, state and arguments, unpacked by the worker itself.

    `multiprocess` unpickles what a process is made of before any of our code runs, and
    what fails there (the store cannot be reached, a module is missing) ends as a
    traceback on stderr. Here the pickle is within the pickle, and `run` opens it.
    """

    def __init__(self, *contents: Any) -> None:
        self.contents = contents

    def open(self) -> tuple[Any, ...]:
        """The function, the state and the arguments."""
        return self.contents

    def __reduce__(self) -> tuple[Any, ...]:
        # While a process is spawned, so that queues and locks of `multiprocess` travel.
        return SealedParcel, (bytes(_pickler().dumps(self.contents)),)


class SealedParcel(Parcel):
    """A parcel on its way, still pickled."""

    def open(self) -> tuple[Any, ...]:
        """Unpickle it. Raises whatever that raises."""
        contents: tuple[Any, ...] = _pickler().loads(*self.contents)
        return contents


def _pickler() -> Any:
    return importlib.import_module("multiprocess.reduction").ForkingPickler


def run(parcel: Parcel, outcome: Connection, grace: float) -> None:
    """Do what the parcel says; write what it raised to `outcome`, and exit.

    The pool starts a worker with SIGINT and SIGTERM blocked. They are let through here,
    once they are handled, so that a signal in the middle of the start is not a
    traceback from the depths of an import, and is not lost either.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _terminate)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_SIGNALS)
    _end_with_parent(grace)
    try:
        _work(parcel)
    except SystemExit:
        raise
    except BaseException as error:
        outcome.send_bytes(_last_words(error))
        raise SystemExit(1) from None


def _work(parcel: Parcel) -> None:
    function, state, arguments = parcel.open()
    with state:
        function(state, *arguments)


def _terminate(signum: int, frame: FrameType | None) -> None:
    """Raise `Terminated`, once: another SIGTERM must not disturb the cleaning up."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Terminated


def _last_words(error: BaseException) -> bytes:
    """The traceback, without our own two frames; of a long one, its end."""
    trace = error.__traceback__
    for _ in range(2):
        trace = trace.tb_next if trace and trace.tb_next else trace
    lines = traceback.format_exception(error.with_traceback(trace))
    return "".join(lines).encode(errors="replace")[-_MAX_OUTCOME_BYTES:]


def _end_with_parent(grace: float) -> None:
    """End this process soon after the one that started it has ended, however it did."""
    handles = _signs_of_death()
    watch = threading.Thread(
        target=_outlive_nobody, args=(handles, grace), name="parent-watch", daemon=True
    )
    watch.start()


def _signs_of_death() -> list[int]:
    """File descriptors of which one becomes readable when the parent has died.

    The pipe that `multiprocess` keeps for this is copied into workers that are forked
    later, and into what a worker forks itself, and so may stay open for too long; where
    the system has descriptors for processes, one of these makes sure.
    """
    parent: Any = importlib.import_module("multiprocess").parent_process()
    handles: list[int] = [parent.sentinel]
    if hasattr(os, "pidfd_open"):
        try:
            handles.append(os.pidfd_open(parent.pid))
        except ProcessLookupError:
            os.kill(os.getpid(), signal.SIGTERM)  # It is dead already.
        except OSError:
            pass  # An old kernel or a sandbox: the pipe has to do.
    return handles


def _outlive_nobody(handles: list[int], grace: float) -> None:
    connection: Any = importlib.import_module("multiprocess.connection")
    connection.wait(handles)
    # Aimed at the main thread, so that what it is blocked in is interrupted.
    main_thread = threading.main_thread().ident
    if main_thread is not None:
        signal.pthread_kill(main_thread, signal.SIGTERM)
    time.sleep(grace)
    os.kill(os.getpid(), signal.SIGKILL)
