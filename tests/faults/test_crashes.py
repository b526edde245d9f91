"""SIGKILL at random moments: nothing that was promised is missing, nothing is invented.

Bounded: some kills for each durability. `make soak` goes on for longer, by the same code.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import sharedstate
from sharedstate.testing.background import wait_until
from tests.faults.crash_checker import BrokenPromise
from tests.faults.crash_harness import (
    MOMENTS,
    CrashRun,
    KeepingRedis,
    KeepingServer,
    PowerlessServer,
)
from tests.faults.journal import JournalReader

# Chosen anew for each run, and told when it fails.
SEED = int(os.environ.get("SHAREDSTATE_TEST_SEED", "0")) or random.randrange(1, 10**9)

SMALL_BALLAST = 5_000

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("durability", ["always", "second", "none"])
def test_a_killed_server_keeps_what_it_promised(durability: str) -> None:
    server = KeepingServer(durability)
    with CrashRun(server, durability, seed=SEED, ballast=SMALL_BALLAST) as run:
        for moment in MOMENTS:
            run.crash(moment)
        assert run.tally.acknowledged > 100
        # A killed process takes nothing with it that it has written, synced or not. With
        # `second`, a write waits for the sync before it, up to two seconds.
        assert durability == "second" or run.tally.lost == 0


@pytest.mark.parametrize("durability", ["always", "second"])
def test_a_machine_without_power_keeps_what_was_promised(durability: str) -> None:
    server = PowerlessServer(durability)
    with CrashRun(server, durability, seed=SEED, ballast=SMALL_BALLAST) as run:
        for moment in MOMENTS:
            run.crash(moment)
        assert run.tally.acknowledged > 100


def test_a_server_that_promises_more_than_it_keeps_is_found_out() -> None:
    server = PowerlessServer("second")
    with (
        CrashRun(server, "always", seed=SEED, ballast=1000, keeps_evidence=False) as run,
        pytest.raises(BrokenPromise, match="acknowledged steps are lost under 'always'"),
    ):
        _crash_often(run)


def _crash_often(run: CrashRun) -> None:
    for _ in range(5):
        run.crash("running")


PROGRAM = """
import sys
import sharedstate
from sharedstate.errors import BackendError
from tests.faults.journal import Journal

url, name, path = sys.argv[1:]
journal = Journal(path)
with sharedstate.connect(url, durability="always", linger=0.2) as state:
    jobs = state.queue("jobs")
    for number in range(10**9):
        journal.note_sent(number, number + 1)
        try:
            jobs.put([name, number])
        except BackendError:
            continue  # In doubt, and never sent again.
        journal.note_acknowledged(number, number + 1)
"""


def test_programs_of_a_folder_go_on_when_its_server_is_killed(tmp_path: Path) -> None:
    url = f"local://{tmp_path}/state"
    journals = {name: JournalReader(tmp_path / name) for name in ("a", "b", "c")}
    programs = []
    for name in journals:
        (tmp_path / name).touch()
        words = [sys.executable, "-c", PROGRAM, url, name, str(tmp_path / name)]
        programs.append(subprocess.Popen(words, cwd=ROOT))
    try:
        with sharedstate.connect(url, durability="always", linger=0.2) as state:
            for _ in range(5):
                _wait_for_progress(journals)
                facts: bytes = state.backend.execute(("INFO", "server"))
                number = facts.partition(b"process_id:")[2].split()[0]
                os.kill(int(number), signal.SIGKILL)
            _wait_for_progress(journals)
    finally:
        for program in programs:
            program.kill()
            program.wait()
    with sharedstate.connect(url, linger=0.2) as state:
        jobs = state.queue("jobs")
        found = [jobs.get_nowait() for _ in range(jobs.qsize())]
    for name, journal in journals.items():
        notes = journal.read()
        numbers = [number for owner, number in found if owner == name]
        assert numbers == sorted(set(numbers))
        assert set(notes.acknowledged) <= set(numbers) <= set(notes.sent)


def _wait_for_progress(journals: dict[str, JournalReader]) -> None:
    """Wait until each program has had something acknowledged since now."""
    before = {name: reader.read().sent_count for name, reader in journals.items()}
    wait_until(
        lambda: all(
            reader.read().acknowledged_count > before[name] + 1
            for name, reader in journals.items()
        )
    )


def test_the_check_holds_for_a_real_redis_server(redis_is_installed: None) -> None:
    with CrashRun(KeepingRedis("always"), "always", seed=SEED, ballast=1000) as run:
        for moment in MOMENTS:
            run.crash(moment)
        assert run.tally.acknowledged > 100


def test_a_log_that_lost_its_end_is_noticed(redis_is_installed: None) -> None:
    def cut(folder: Path) -> None:
        (increment,) = folder.glob("appendonlydir/*.incr.aof")
        os.truncate(increment, increment.stat().st_size - 2000)

    server = KeepingRedis("always")
    with (
        CrashRun(server, "always", seed=SEED, ballast=1000, keeps_evidence=False) as run,
        pytest.raises(BrokenPromise, match="acknowledged steps are lost"),
    ):
        run.crash("running", meanwhile=cut)
