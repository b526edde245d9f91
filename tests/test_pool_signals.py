"""What signals do to a process that owns a pool, and to its workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from sharedstate.testing.background import wait_until

METHODS = ["fork", "spawn", "forkserver"]

Starter = Callable[..., subprocess.Popen[str]]

# A program of its own, for what signals do to the process that owns the pool. The
# workers' pids are on its first line of output.
PROGRAM = """
import os, signal, sys, time, sharedstate

method, folder, namespace, kind = sys.argv[1:]

def leave_word(*_):
    open(f"{folder}/{os.getpid()}", "w").close()

def work(state):
    try:
        if kind == "stubborn":
            signal.signal(signal.SIGTERM, leave_word)
        state.counter("ready").add(1)
        time.sleep(120)
    finally:
        leave_word()

if __name__ == "__main__":
    with sharedstate.connect("local://", namespace=namespace) as state:
        with sharedstate.WorkerPool(state, work, 2, start_method=method, grace=60) as pool:
            while state.counter("ready").value < 2:
                time.sleep(0.01)
            print(*pool.pids, flush=True)
            pool.join()
"""


@pytest.fixture
def start_program(tmp_path: Path) -> Iterator[Starter]:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    folder = tmp_path / "cleaned"
    folder.mkdir()
    started: list[subprocess.Popen[str]] = []

    def start(method: str, kind: str = "willing") -> subprocess.Popen[str]:
        arguments = [str(script), method, str(folder), tmp_path.name, kind]
        program = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(program)
        return program

    yield start
    for program in started:
        program.kill()
        program.communicate()


def read_pids(program: subprocess.Popen[str]) -> list[int]:
    assert program.stdout is not None
    return [int(pid) for pid in program.stdout.readline().split()]


def wait_until_gone(pids: list[int]) -> None:
    def is_gone(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    wait_until(lambda: all(map(is_gone, pids)))


@pytest.mark.parametrize("method", METHODS)
def test_ctrl_c_ends_the_pool_and_its_workers_in_order(
    start_program: Starter, tmp_path: Path, method: str
) -> None:
    program = start_program(method)
    pids = read_pids(program)
    os.killpg(program.pid, signal.SIGINT)  # As a terminal does: to the whole group.
    _, errors = program.communicate(timeout=20)
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert errors.count("Traceback") == 1, "only the program itself tells of the Ctrl-C"
    wait_until_gone(pids)
    assert {path.name for path in (tmp_path / "cleaned").iterdir()} == set(map(str, pids))


def test_a_second_ctrl_c_cuts_the_grace_short(
    start_program: Starter, tmp_path: Path
) -> None:
    program = start_program("fork", "stubborn")
    pids = read_pids(program)
    program.send_signal(signal.SIGINT)
    wait_until(lambda: len(list((tmp_path / "cleaned").iterdir())) == 2)
    program.send_signal(signal.SIGINT)
    program.communicate(timeout=20)
    wait_until_gone(pids)


@pytest.mark.parametrize("method", METHODS)
def test_sigterm_ends_the_pool_and_its_workers_in_order(
    start_program: Starter, tmp_path: Path, method: str
) -> None:
    program = start_program(method)
    pids = read_pids(program)
    program.terminate()
    _, errors = program.communicate(timeout=20)
    assert (program.returncode, errors) == (128 + signal.SIGTERM, "")
    wait_until_gone(pids)
    assert {path.name for path in (tmp_path / "cleaned").iterdir()} == set(map(str, pids))


@pytest.mark.parametrize("method", METHODS)
def test_workers_end_when_their_parent_is_killed(
    start_program: Starter, tmp_path: Path, method: str
) -> None:
    program = start_program(method)
    pids = read_pids(program)
    program.kill()
    wait_until_gone(pids)
    assert {path.name for path in (tmp_path / "cleaned").iterdir()} == set(map(str, pids))
