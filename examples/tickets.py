"""Sell what there is, and not one more: a counter with a bound.

    python examples/tickets.py [URL]

Eight sellers want 1,000 tickets each, and there are 1,000 in all. `add(-1, minimum=0)`
takes one in a single atomic step, or says that there is none; no lock is needed, and
none is held by a seller that dies.
"""

from __future__ import annotations

import os
import sys

import sharedstate

TICKETS = 1_000
SELLERS = 8


def sell(state: sharedstate.State) -> None:
    """One seller: sell until the tickets are gone."""
    left, sold = state.counter("tickets"), 0
    while left.add(-1, minimum=0) is not None:
        sold += 1
    state.map("sold").increment(f"pid {os.getpid()}", sold)


def main(url: str | None = None) -> int:
    """Run the sale; print who sold how many. Returns 1 if the sum is not right."""
    with sharedstate.connect(url, namespace=f"tickets-{os.getpid()}") as state:
        state.counter("tickets").set(TICKETS)
        sharedstate.WorkerPool(state, sell, SELLERS).run()
        sold = state.map("sold").copy()
        for kind, name in list(state.names()):
            state.delete(kind, name)
    for seller, count in sorted(sold.items()):
        print(f"{seller} sold {count}")
    print(f"{sum(sold.values())} of {TICKETS} tickets sold")
    return 0 if sum(sold.values()) == TICKETS else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
