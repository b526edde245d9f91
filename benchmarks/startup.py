"""From the start of a process to its first answered operation, as ratios.

    python benchmarks/startup.py [--rounds N] [--json FILE]

`local://` beside `multiprocessing.Manager` under each start method; each round starts
fresh interpreters, interleaved. `local://` starts its server in one way only, whatever
the start method of the workers is.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys

_LOCAL = """
import sharedstate
state = sharedstate.connect("local://")
prices = state.map("prices")
prices["apple"] = 1
assert prices["apple"] == 1
"""
_MANAGER = """
import multiprocessing
if __name__ == "__main__":
    manager = multiprocessing.get_context({method!r}).Manager()
    prices = manager.dict()
    prices["apple"] = 1
    assert prices["apple"] == 1
"""
_FRAME = """
if __name__ == "__main__":
    import sys, time
    print(time.time() - float(sys.argv[1]))
"""


def first_answer(path: str) -> float:
    """Milliseconds until the program at `path` had its first answer."""
    import time

    done = subprocess.run(
        [sys.executable, path, repr(time.time())],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout) * 1000


def main() -> int:
    import tempfile

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", default=".benchmarks/startup.json")
    options = parser.parse_args()
    programs = {"local://": _LOCAL} | {
        f"Manager, {method}": _MANAGER.format(method=method)
        for method in ("fork", "spawn", "forkserver")
    }
    times: dict[str, list[float]] = {name: [] for name in programs}
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for number, (name, body) in enumerate(programs.items()):
            paths[name] = os.path.join(folder, f"program{number}.py")
            with open(paths[name], "w", encoding="utf-8") as file:
                file.write(body + _FRAME)
        for _ in range(options.rounds):
            for name, path in paths.items():
                times[name].append(first_answer(path))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        ratio = medians["local://"] / median
        print(f"{name:22}{median:7.1f} ms   local:// takes {ratio:.2f} of it")
    os.makedirs(os.path.dirname(options.json) or ".", exist_ok=True)
    with open(options.json, "w", encoding="utf-8") as file:
        json.dump(medians, file, indent=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
