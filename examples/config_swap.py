"""Change settings while workers use them, and never show half a change.

    python examples/config_swap.py [URL]

The settings are one value under one key, so that a reader gets all of the old ones or
all of the new. `update_with` changes them by a function that is tried again when
somebody came between: two editors at once lose nothing. A counter tells the workers
when the editors are done.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import sharedstate

EDITORS = 2
READERS = 2
CHANGES = 50


def edit(settings: sharedstate.Map[str, Any]) -> None:
    """Raise both limits together, many times."""

    def raise_limits(old: dict[str, int]) -> dict[str, int]:
        return {**old, "soft": old["soft"] + 1, "hard": old["hard"] + 1}

    for _ in range(CHANGES):
        settings.update_with("limits", raise_limits)


def watch(state: sharedstate.State) -> None:
    """Read until the editors are done; count what does not fit together."""
    settings, running = state.map("settings"), state.counter("editors")
    while running.value > 0:
        limits = settings["limits"]
        if limits["hard"] - limits["soft"] != 10:
            state.counter("torn").add(1)


def take_part(state: sharedstate.State) -> None:
    """One process: an editor for the first who come, then a reader."""
    place = state.counter("places").add(1)
    if place > EDITORS:
        watch(state)
        return
    try:
        edit(state.map("settings"))
    finally:
        state.counter("editors").subtract(1)


def main(url: str | None = None) -> int:
    """Run editors and readers; print the settings. Returns 1 if a change was lost."""
    with sharedstate.connect(url, namespace=f"settings-{os.getpid()}") as state:
        state.map("settings")["limits"] = {"soft": 0, "hard": 10}
        state.counter("editors").set(EDITORS)
        sharedstate.WorkerPool(state, take_part, EDITORS + READERS, restarts=0).run()
        limits, torn = state.map("settings")["limits"], state.counter("torn").value
        for kind, name in list(state.names()):
            state.delete(kind, name)
    print(f"limits are {limits}, torn reads: {torn}")
    return 0 if limits["soft"] == EDITORS * CHANGES and torn == 0 else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
