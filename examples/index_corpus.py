"""Count the identifiers in a folder of text with several processes.

    python examples/index_corpus.py [FOLDER] [URL]

Without a folder, the source of Python's standard library is indexed; without a URL, the
store is `local://`, for which there is nothing to start. `sharedstate demo` is the same
program with a progress bar and an account of what every worker did.

A queue hands the files to the workers, a map collects the counts, counters watch, and a
lock guards the one report, to which every worker adds a line.
"""

from __future__ import annotations

import keyword
import os
import re
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import sharedstate

IDENTIFIER = re.compile(r"\b[^\W\d]\w+")


def work(state: sharedstate.State) -> None:
    """One worker: take files until there are none, and add what is in them."""
    counts = state.map("counts")
    done = 0
    for path in iter_jobs(state.queue("jobs")):
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            state.counter("errors").add(1)
            continue
        # One atomic step for the whole file: a worker that is killed has added all of
        # a file's counts, or none of them.
        counts.increment_many(count_identifiers(text))
        state.counter("files").add(1)
        state.counter("characters").add(len(text))
        done += 1
    with state.lock("report"):
        report = state.map("report")
        report["lines"] = [*report.get("lines", []), f"pid {os.getpid()}: {done} files"]


def count_identifiers(text: str) -> Counter[str]:
    """How often each word is in a text, but for Python's keywords."""
    words = Counter(IDENTIFIER.findall(text))
    for word in keyword.kwlist:
        del words[word]
    return words


def iter_jobs(jobs: sharedstate.Queue[str]) -> Iterator[str]:
    """What is in a queue, until it is shut down and empty."""
    try:
        while True:
            yield jobs.get()
    except sharedstate.QueueShutDown:
        return


def main(folder: str = sysconfig.get_path("stdlib"), url: str | None = None) -> int:
    """Index a folder; print the result. Returns 1 if a worker died on the way."""
    paths = [str(path) for path in Path(folder).rglob("*") if is_text(path)]
    if not paths:
        sys.exit(f"usage: index_corpus.py [FOLDER [URL]]; nothing to index in {folder!r}")
    with sharedstate.connect(url, namespace=f"index-{os.getpid()}") as state:
        state.queue("jobs").put_many(paths)
        state.queue("jobs").shutdown()
        exits = sharedstate.WorkerPool(state, work).run()

        found, counts = state.counter("files").value, state.map("counts").copy()
        print(f"{found} of {len(paths)} files, {state.counter('errors').value} unreadable")
        for word, count in Counter(counts).most_common(10):
            print(f"{count:>9,}  {word}")
        for line in (
            *state.map("report")["lines"],
            *(each for each in exits if each.failed),
        ):
            print(line)
        for kind, name in list(state.names()):
            state.delete(kind, name)
    return 1 if any(each.failed for each in exits) else 0


def is_text(path: Path) -> bool:
    """Whether a path is a file to index: Python's source, or any other text."""
    return (
        path.suffix in (".py", ".txt", ".md", ".rst") and "site-packages" not in path.parts
    )


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
