"""Leases of a process that could not run for longer than they last."""

from __future__ import annotations

import subprocess
import sys

import sharedstate

# Matching this takes so many steps that the interpreter is held for seconds: `re` lets no
# other thread run. The pieces grow, and the last is
# longer than three leases.
_PROGRAM = """
import re, sys, time
import sharedstate

state = sharedstate.connect(sys.argv[1])
lock = state.lock("a", ttl=0.5)
lock.acquire()
token = lock.token
length, longest = 16, 0.0
while longest < 1.6:
    before = time.monotonic()
    re.match(r"(a+)+$", "a" * length + "b")
    longest = time.monotonic() - before
    length += 1
assert longest > 3 * 0.5, longest
assert lock.token == token
assert lock.owned()
assert not lock.lost.is_set()
lock.renew()
lock.release()
print("kept")
"""


def test_who_holds_the_interpreter_keeps_its_locks_where_it_has_a_session() -> None:
    with sharedstate.connect("local://") as state:
        url = state.backend.settings.url
        other = state.lock("a")
        command = [sys.executable, "-c", _PROGRAM, url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
            while program.poll() is None:
                if other.acquire(timeout=0.1):
                    # Before it began, or after it has ended.
                    other.release()
            told, _ = program.communicate()
        assert (told, program.returncode) == ("kept\n", 0)
