"""The long crash test: `make soak`, or `python -m tests.faults.soak [KILLS] [SEED]`.

Kills a server so many times for each durability, at all moments in turn, by SIGKILL and
then by cuts of its power, and prints what it has cost. `SOAK_KILLS` is the number (100);
`SOAK_SERVER=redis` tries a redis-server.
"""

from __future__ import annotations

import os
import random
import sys
import time

from tests.faults.crash_harness import (
    MOMENTS,
    POLICIES,
    CrashRun,
    KeepingRedis,
    KeepingServer,
    PowerlessServer,
)

KILLS = 100


def main(kills: int, seed: int) -> None:
    """Raises what is wrong, with a note that says how to try it again."""
    print(f"soak: {kills} kills for each durability, seed {seed}", flush=True)
    is_redis = os.environ.get("SOAK_SERVER") == "redis"
    for kind in (KeepingRedis,) if is_redis else (KeepingServer, PowerlessServer):
        for durability in reversed(POLICIES):
            _soak(kind(durability), durability, kills, seed)


def _soak(
    server: KeepingServer | KeepingRedis, durability: str, kills: int, seed: int
) -> None:
    how = "power cut" if isinstance(server, PowerlessServer) else "SIGKILL"
    title = f"{how:>9} {durability:>6}"
    started = time.monotonic()
    with CrashRun(server, durability, seed=seed) as run:
        for number in range(kills):
            run.crash(MOMENTS[number % len(MOMENTS)])
            _show(f"{title}: {number + 1}/{kills}", is_last=number + 1 == kills)
    print(f"{title}: {run.tally}; {time.monotonic() - started:.0f} s", flush=True)


def _show(text: str, *, is_last: bool) -> None:
    if sys.stderr.isatty():
        end = "\n" if is_last else ""
        print(f"\r{text}", end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    main(
        numbers[0] if numbers else int(os.environ.get("SOAK_KILLS") or KILLS),
        numbers[1] if len(numbers) > 1 else random.randrange(1, 10**9),
    )
