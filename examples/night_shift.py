"""A night shift: workers that share a lock, permits and a rate, and survive each other.

    python examples/night_shift.py [URL]

The price list is loaded once, by whoever comes first. Workers book orders, two at a time
and no faster than the shop's interface allows; each order moves stock and money together,
or not at all. One of them is killed with a permit in its hand and the lock held: both pass
on, within milliseconds on `local://`, and a new worker takes its place.
"""

from __future__ import annotations

import os
import signal
import sys

import sharedstate

WORKERS = 4
ORDERS = 60
PRICES = {"bolt": 2, "nut": 1, "gear": 9}


def load_prices() -> dict[str, int]:
    """What takes long, and is done once for all workers."""
    print("the prices are loaded", flush=True)
    return dict(PRICES)


def work(state: sharedstate.State) -> None:
    """One worker's night: take an order, book it, until there are none."""
    prices = state.once("prices").run(load_prices)
    orders, deaths = state.queue("orders"), state.counter("deaths")
    permits, till = state.semaphore("shop", 2, ttl=5), state.lock("till", ttl=5)
    calls = state.rate_limiter("calls", limit=500, period=1)
    move = state.transaction(state.map("stock"), state.counter("money"))

    @move
    def book(
        stock: sharedstate.Map[str, int], money: sharedstate.Counter, order: str
    ) -> None:
        stock[order] -= 1
        money.add(prices[order])

    while orders.qsize():
        with permits, till:
            if deaths.add(1, maximum=1) == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                order = orders.get_nowait()
            except sharedstate.QueueEmpty:
                return
            calls.acquire()
            book(order)


def main(url: str | None = None) -> int:
    """Let the workers work; print what is left. Returns 1 if the books do not agree."""
    wanted = [list(PRICES)[number % len(PRICES)] for number in range(ORDERS)]
    with sharedstate.connect(url, namespace=f"night-{os.getpid()}") as state:
        state.map("stock").update(dict.fromkeys(PRICES, ORDERS))
        state.queue("orders").put_many(wanted)
        sharedstate.WorkerPool(state, work, WORKERS, restarts=1).run()
        left, money = state.map("stock").copy(), state.counter("money").value
        for kind, name in list(state.names()):
            state.delete(kind, name)
    sold = {name: ORDERS - count for name, count in left.items()}
    print(f"sold {sold} for {money}")
    expected = sum(PRICES[name] for name in wanted)
    return 0 if money == expected and sum(sold.values()) == ORDERS else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
