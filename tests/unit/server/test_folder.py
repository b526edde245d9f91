"""`local:///folder`: state that outlives programs, their server, and crashes of both."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import sharedstate
from sharedstate_server.folders import lock_of
from tests.unit.server.joined import (
    Joiner,
    joining,
    kill_server,
    kill_servers,
    leave,
    server_of,
    setting,
)

SECONDS = 20.0

POLICIES = {"none": "no", "second": "everysec", "always": "always"}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for state, whose server has ended when the test has."""
    yield tmp_path / "state"
    kill_servers(tmp_path / "state")


@pytest.fixture
def join(folder: Path) -> Iterator[Joiner]:
    """Connects to the folder, as one more program would."""
    with joining(folder) as joiner:
        yield joiner


@pytest.mark.parametrize("durability", POLICIES)
def test_state_outlives_its_programs_and_their_server(
    join: Joiner, durability: str
) -> None:
    state = join(linger=0.05, durability=durability)
    state.counter("hits").add(41)
    state.map("prices")["a"] = {"nested": [1, 2]}
    state.queue("jobs").put("job")
    leave(state)
    again = join()
    assert again.counter("hits").add(1) == 42
    assert again.map("prices")["a"] == {"nested": [1, 2]}
    assert again.queue("jobs").get_nowait() == "job"


def test_the_folder_holds_the_data_and_nobody_else_may_look(
    join: Joiner, folder: Path
) -> None:
    join().counter("hits").add(1)
    assert (folder / "appendonlydir" / "appendonly.aof.manifest").exists()
    assert not (folder / "dump.rdb").exists()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.glob("appendonlydir/*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("durability", POLICIES)
def test_the_server_has_the_durability_that_was_asked_for(
    join: Joiner, durability: str
) -> None:
    state = join(durability=durability)
    assert setting(state, "appendonly") == "yes"
    assert setting(state, "appendfsync") == POLICIES[durability]
    assert setting(state, "aof-use-rdb-preamble") == "yes"
    assert setting(state, "save") == ""


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        ("none", "always", "always"),
        ("second", "always", "always"),
        ("always", "none", "always"),
        ("none", None, "second"),
        ("always", None, "always"),
    ],
)
def test_the_strictest_of_all_who_joined_holds(
    join: Joiner, first: str, second: str | None, both: str
) -> None:
    state = join(durability=first)
    join(durability=second)
    assert setting(state, "appendfsync") == POLICIES[both]


JOINER = """
import sys
import sharedstate
sys.stdin.readline()
with sharedstate.connect(sys.argv[1], durability=sys.argv[2], linger=0.2) as state:
    print(state.counter("hits").add(1), flush=True)
    sys.stdin.readline()
    print(state.backend.execute(("CONFIG", "GET", "appendfsync"))[1].decode(), flush=True)
"""


def test_ten_programs_with_different_wishes_agree_on_the_strictest(folder: Path) -> None:
    levels = ["none", "second", "second", "none", "always", "none", "second"] + ["none"] * 3
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", JOINER, f"local://{folder}", level],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for level in levels
    ]
    for program in programs:
        assert program.stdin is not None
        program.stdin.write("go\n")
        program.stdin.flush()
    numbers = sorted(int(each.stdout.readline()) for each in programs if each.stdout)
    assert numbers == list(range(1, 11))
    said = [each.communicate("end\n", timeout=SECONDS)[0] for each in programs]
    assert said == ["always\n"] * 10


def test_a_killed_server_is_started_again_by_the_next_command(
    join: Joiner,
) -> None:
    state = join(durability="always")
    state.counter("hits").add(41)
    kill_server(state)
    assert state.counter("hits").add(1) == 42
    assert setting(state, "appendfsync") == "always"


def test_what_was_promised_holds_on_a_server_that_another_program_started(
    join: Joiner,
) -> None:
    strict, lax = join(durability="always"), join(durability="none")
    kill_server(strict)
    lax.counter("hits").add(1)
    assert setting(lax, "appendfsync") == "no"
    strict.counter("hits").add(1)
    assert setting(lax, "appendfsync") == "always"


def test_many_threads_start_a_killed_server_once(join: Joiner) -> None:
    state = join(durability="always")
    hits = state.counter("hits")
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(hits.add, [1] * 50))
        kill_server(state)
        list(threads.map(hits.add, [1] * 50))
        pids = set(threads.map(server_of, [state] * 8))
    assert hits.value == 100
    assert len(pids) == 1


def test_a_forked_child_finds_its_way_back_too(join: Joiner) -> None:
    state = join(durability="always")
    hits = state.counter("hits")
    hits.add(1)
    kill_server(state)
    child = os.fork()
    if child == 0:
        code = 0 if hits.add(1) == 2 else 1
        os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert hits.add(1) == 3


def test_sigkill_of_everything_loses_nothing_that_was_acknowledged(folder: Path) -> None:
    program = """
import sys
import sharedstate
state = sharedstate.connect(sys.argv[1], durability="always")
while True:
    print(state.counter("hits").add(1), flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, f"local://{folder}"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        for _ in range(200):
            process.stdout.readline()
        with sharedstate.connect(f"local://{folder}") as state:
            server = server_of(state)
            os.kill(process.pid, signal.SIGKILL)
            os.kill(server, signal.SIGKILL)
        # What it had noted, its last words included.
        noted = process.stdout.read().split(b"\n")
    acknowledged = max([200, *(int(line) for line in noted[:-1])])
    with sharedstate.connect(f"local://{folder}") as state:
        assert acknowledged <= state.counter("hits").value <= acknowledged + 1


def test_a_handle_in_another_process_has_the_same_durability(
    join: Joiner,
) -> None:
    hits = join(durability="always").counter("hits")
    there = pickle.loads(pickle.dumps(hits))
    assert there.add(1) == 1
    assert there._context.backend.settings.option("durability") == "always"


def test_a_server_whose_folder_was_removed_ends_when_its_programs_have_left(
    join: Joiner, folder: Path
) -> None:
    state = join(linger=0.05)
    state.ping()
    shutil.rmtree(folder)
    leave(state)


def test_a_child_that_was_forked_meanwhile_does_not_keep_the_lock(tmp_path: Path) -> None:
    """Another thread of the program may fork while this one joins."""
    lock = lock_of(str(tmp_path))
    assert lock.take(0.0)
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    lock.free()
    try:
        assert lock_of(str(tmp_path)).take(0.0)
    finally:
        os.close(reader)
        os.close(writer)
        os.waitpid(child, 0)
