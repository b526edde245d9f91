"""A worker process of a run, which is killed, stopped, and cut off.

    python -m tests.linearizability.worker FILE ARGUMENTS

The arguments are JSON, as `Job` has them. It says `ready`, begins with the first line of
its standard input, and ends with the second. A mistake ends it with a traceback.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Thread


@dataclass(frozen=True)
class Job:
    """What a worker does, and on what."""

    url: str
    namespace: str
    process: str
    seed: int
    kinds: tuple[str, ...]
    timeout: float
    client: str = "Worker"
    """The name of a class in `broken.WORKERS`."""
    clock: str = ""
    """The file of a wall clock that the test moves."""

    def command(self, file: Path) -> list[str]:
        """The words that start its process."""
        words = [sys.executable, "-m", "tests.linearizability.worker", str(file)]
        return [*words, json.dumps(asdict(self))]


def main(file: str, arguments: str) -> None:
    """Work until the time that standard input tells."""
    job = Job(**json.loads(arguments))
    if job.clock:
        from tests.faults.moved_clock import install

        install(job.clock)
    import sharedstate
    from sharedstate.testing.history import Recorder
    from tests.linearizability.broken import WORKERS

    with (
        sharedstate.connect(job.url, namespace=job.namespace, timeout=job.timeout) as state,
        Recorder(Path(file), job.process) as recorder,
    ):
        worker = WORKERS[job.client](state, recorder, job.seed)
        print("ready", flush=True)
        sys.stdin.readline()
        end = Event()
        Thread(target=_wait_for_line, args=(end,), daemon=True).start()
        worker.run(end.is_set, tuple(job.kinds))


def _wait_for_line(end: Event) -> None:
    sys.stdin.readline()
    end.set()


if __name__ == "__main__":
    main(*sys.argv[1:])
