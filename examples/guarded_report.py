"""One file, many writers: a lock guards what the store itself does not hold.

    python examples/guarded_report.py [FILE] [URL]

Each worker reads a JSON file, adds to it, and writes it again. Without the lock, what
one wrote between another's reading and writing would be lost. The lock's token rises
with every grant: it goes into the file, so that a holder that was stopped for so long
that its lease ended sees that a later one was there, and keeps its hands off.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import sharedstate

WORKERS = 4
ROUNDS = 25


def write_lines(state: sharedstate.State, file: str) -> None:
    """One worker: add a line to the report, again and again."""
    path, lock = Path(file), state.lock("report")
    for number in range(ROUNDS):
        with lock:
            report = json.loads(path.read_text())
            if report["token"] > (lock.token or 0):
                raise RuntimeError("a later holder was here: the lease has ended")
            report["token"] = lock.token
            report["lines"].append(f"pid {os.getpid()}, line {number}")
            path.write_text(json.dumps(report))


def main(file: str | None = None, url: str | None = None) -> int:
    """Let the workers write; print how many lines there are. Returns 1 if one is lost."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(file or f"{folder}/report.json")
        path.write_text(json.dumps({"token": 0, "lines": []}))
        with sharedstate.connect(url, namespace=f"report-{os.getpid()}") as state:
            sharedstate.WorkerPool(state, write_lines, WORKERS, args=(str(path),)).run()
            for kind, name in list(state.names()):
                state.delete(kind, name)
        lines = json.loads(path.read_text())["lines"]
    print(f"{len(lines)} lines by {WORKERS} workers, {WORKERS * ROUNDS} expected")
    return 0 if len(lines) == WORKERS * ROUNDS else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
