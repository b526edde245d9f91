"""The disk's thread: what may take long and must not hold up the loop.

Syncing a file, closing one (which may sync it as well), deleting a big one. One after the
other, in the order in which they were asked for, so that what was written to an earlier
file is on the disk before what was written to a later one.

The thread touches no data of ours. What came of a job is told on the loop, which is woken
for it. The thread is started by the first job, and is a daemon: who ends without `drain`
leaves what was asked for undone.
"""

from __future__ import annotations

import os
from collections import deque

from sharedstate_server.loop import READABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from queue import SimpleQueue
    from threading import Thread
    from typing import TypeAlias

    from sharedstate_server.loop import EventLoop

    Job: TypeAlias = Callable[[], None]
    OnDone: TypeAlias = Callable[[OSError | None], None]

_NAME = "sharedstate-disk"

# As many bytes as are read at once: there are never so many jobs.
_MOST_WAKINGS = 1024


class DiskThread:
    """A thread, once it is needed."""

    def __init__(self, loop: EventLoop) -> None:
        self._loop = loop
        self._queue: SimpleQueue[tuple[Job, OnDone] | None] | None = None
        self._thread: Thread | None = None
        # The thread writes a byte for each job that is done.
        self._pipe = (-1, -1)
        # Appended to by the thread, and emptied by the loop.
        self._finished: deque[tuple[OnDone, OSError | None]] = deque()

    def submit(self, job: Job, on_done: OnDone) -> None:
        """Have something done. `on_done` is called on the loop, with what went wrong."""
        if self._queue is None:
            self._queue = self._start()
        self._queue.put((job, on_done))

    def _start(self) -> SimpleQueue[tuple[Job, OnDone] | None]:
        from queue import SimpleQueue
        from threading import Thread

        self._pipe = os.pipe()
        os.set_blocking(self._pipe[0], False)
        self._loop.watch(self._pipe[0], READABLE, self._on_byte)
        queue: SimpleQueue[tuple[Job, OnDone] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, args=(queue,), name=_NAME, daemon=True)
        self._thread.start()
        return queue

    def _run(self, queue: SimpleQueue[tuple[Job, OnDone] | None]) -> None:
        while (entry := queue.get()) is not None:
            job, on_done = entry
            failure: OSError | None = None
            try:
                job()
            except OSError as error:
                failure = error
            self._finished.append((on_done, failure))
            os.write(self._pipe[1], b"\0")

    def _on_byte(self, mask: int) -> None:
        os.read(self._pipe[0], _MOST_WAKINGS)
        self._tell()

    def _tell(self) -> None:
        while self._finished:
            on_done, failure = self._finished.popleft()
            on_done(failure)

    def drain(self) -> None:
        """Wait until everything is done, tell of it, and end the thread."""
        if self._queue is None or self._thread is None:
            return
        self._queue.put(None)
        self._thread.join()
        self._queue = self._thread = None
        self._loop.forget(self._pipe[0])
        for end in self._pipe:
            os.close(end)
        self._tell()
