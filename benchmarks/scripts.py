"""What a script costs beside a plain command: in the engine, over a socket, and on Redis.

    python benchmarks/scripts.py [--rounds N] [--json FILE]

The pair is what a lock does: one script takes it (SET NX PX, and a number from the clock
that only rises), one gives it back. Each figure is the best of many short rounds, in which
the places take turns: a round may be disturbed, the best of many is not. So the ratios
hold on a busy machine, too. Servers and client share a core, for the way between cores
would hide what is compared.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import time
from collections.abc import Callable
from random import Random
from typing import Any, TypeAlias

from sharedstate.testing.servers import BuiltInServer, RedisServer
from sharedstate_memory.engine import Engine
from sharedstate_memory.replies import ErrorReply

CALLS_PER_ROUND = 200

Command: TypeAlias = tuple[bytes, ...]
Execute: TypeAlias = Callable[[Command], Any]

TAKE = b"""
if not redis.call('set', KEYS[1], ARGV[1], 'nx', 'px', ARGV[2]) then return 0 end
local now = redis.call('time')
local number = now[1] * 1000000 + now[2]
local last = redis.call('set', KEYS[2], string.format('%.0f', number), 'get')
if last and tonumber(last) >= number then
  number = tonumber(last) + 1
  redis.call('set', KEYS[2], string.format('%.0f', number))
end
return number
"""
GIVE_BACK = b"""
if redis.call('get', KEYS[1]) ~= ARGV[1] then return false end
redis.call('del', KEYS[1])
return redis.call('exists', KEYS[2])
"""
OWNER, LEASE_MS = b"v" * 90, b"30000"

# By name: the scripts by their text, and the commands, in which `%n` is the n-th script.
CASES: dict[str, tuple[list[bytes], list[Command]]] = {
    "GET": ([], [(b"GET", b"key")]),
    "SET": ([], [(b"SET", b"key", OWNER)]),
    "SET PX, DEL": (
        [],
        [(b"SET", b"lock", OWNER, b"NX", b"PX", LEASE_MS), (b"DEL", b"lock")],
    ),
    "return 1": (
        [b"return 1"],
        [(b"EVALSHA", b"%0", b"2", b"lock", b"last", OWNER, LEASE_MS)],
    ),
    "script of GET": (
        [b"return redis.call('get', KEYS[1])"],
        [(b"EVALSHA", b"%0", b"1", b"key")],
    ),
    "lock pair": (
        [TAKE, GIVE_BACK],
        [
            (b"EVALSHA", b"%0", b"2", b"lock", b"last", OWNER, LEASE_MS),
            (b"EVALSHA", b"%1", b"2", b"lock", b"waiting", OWNER),
        ],
    ),
}


def in_process() -> Execute:
    """An engine that is called."""
    engine = Engine(
        clock_ms=lambda: time.time_ns() // 1_000_000,
        clock_us=lambda: time.time_ns() // 1_000,
        random=Random(),
    )
    session = engine.open_session(lambda reply: None)
    return lambda command: session.execute([*command])


def over_socket(port: int) -> Execute:
    """A server that is asked: with as little of a client as there can be."""
    server = socket.create_connection(("127.0.0.1", port))
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    requests: dict[Command, bytes] = {}

    def execute(command: Command) -> bytes:
        request = requests.get(command)
        if request is None:
            words = b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in command)
            request = requests[command] = b"*%d\r\n%b" % (len(command), words)
        server.sendall(request)
        return server.recv(65536)

    return execute


def prepare(
    execute: Execute, scripts: list[bytes], commands: list[Command]
) -> list[Command]:
    """Load a case's scripts. Returns its commands, with their names in place."""
    names = {}
    for number, body in enumerate(scripts):
        sha: bytes = execute((b"SCRIPT", b"LOAD", body))
        names[b"%%%d" % number] = sha.split()[-1]
    ready = [tuple(names.get(word, word) for word in command) for command in commands]
    for command in ready:
        reply = execute(command)
        if isinstance(reply, ErrorReply) or str(reply).startswith("b'-"):
            raise RuntimeError(f"{command[0]!r} is refused: {reply!r}")
    return ready


def microseconds(execute: Execute, commands: list[Command]) -> float:
    """What the commands of a case take in one round."""
    started = time.perf_counter()
    for _ in range(CALLS_PER_ROUND):
        for command in commands:
            execute(command)
    return (time.perf_counter() - started) / CALLS_PER_ROUND * 1e6


def measure(places: dict[str, Execute], rounds: int) -> dict[str, dict[str, float]]:
    """The best round of each case in each place, in microseconds."""
    best: dict[str, dict[str, float]] = {case: {} for case in CASES}
    for case, (scripts, commands) in CASES.items():
        ready = {name: prepare(run, scripts, commands) for name, run in places.items()}
        for _ in range(rounds):
            for name, execute in places.items():
                taken = microseconds(execute, ready[name])
                best[case][name] = min(taken, best[case].get(name, taken))
    return best


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", default=".benchmarks/scripts.json")
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    redis = RedisServer("--save", "", "--appendonly", "no")
    with BuiltInServer() as ours, redis:
        places = {
            "in process": in_process(),
            "server": over_socket(ours.port),
            "redis-server": over_socket(redis.port),
        }
        result = measure(places, options.rounds)
    print(f"{'microseconds (times of GET)':28}" + "".join(f"{name:>22}" for name in places))
    for case, taken in result.items():
        columns = (
            f"{us:13.2f} ({us / result['GET'][at]:5.1f})" for at, us in taken.items()
        )
        print(f"{case:28}" + "".join(f"{column:>22}" for column in columns))
    os.makedirs(os.path.dirname(options.json) or ".", exist_ok=True)
    with open(options.json, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=2)
    print(f"saved {options.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
