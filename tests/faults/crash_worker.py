"""A worker process of a crash test: takes the steps of its sequence until its store dies.

    python -m tests.faults.crash_worker URL NAME KIND JOURNAL

It reads lines from its standard input: `go N` (take steps from step N on; nothing before
it is to be sent again). It writes lines: `ready`, `going` after the first acknowledgement,
and `stopped REASON` when the store is gone, whereupon it waits for the next `go`. A reply
that is wrong ends it with a traceback.
"""

from __future__ import annotations

import sys

import sharedstate
from sharedstate.errors import BackendError, CommandError
from tests.faults.journal import Journal
from tests.faults.sequences import Model, Performer

BATCH = 16
"""Raw commands that are sent in one round trip."""

# A server says so when it is told to end while it has clients, or starts: nothing happened.
_PASSING = ("LOADING", "BUSY", "MISCONF")


def main(url: str, name: str, kind: str, path: str) -> None:
    """Work until standard input ends."""
    journal = Journal(path)
    with sharedstate.connect(url) as state:
        performer = Performer(state, name)
        model = Model(kind)
        _say("ready")
        for line in sys.stdin:
            start = int(line.split()[1])
            if start < model.steps:
                model = Model(kind)
            model.advance(start)
            _say(f"stopped {_work(model, performer, journal)}")


def _work(model: Model, performer: Performer, journal: Journal) -> str:
    """Take steps until the store is gone. Returns what it was that told so."""
    count = BATCH if model.kind == "commands" else 1
    is_first = True
    while True:
        first = model.steps
        operations = [model.step() for _ in range(count)]
        journal.note_sent(first, model.steps)
        try:
            if count == 1:
                performer.perform(operations[0])
            else:
                performer.perform_batch(operations)
        except BackendError as error:
            return repr(error)
        except CommandError as error:
            if error.code not in _PASSING:
                raise
            return repr(error)
        journal.note_acknowledged(first, model.steps)
        if is_first:
            _say("going")
            is_first = False


def _say(line: str) -> None:
    print(line.replace("\n", " "), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
