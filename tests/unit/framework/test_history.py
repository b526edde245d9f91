"""Histories are whole, whatever became of the processes that wrote them."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sharedstate.errors import BackendError, BackendTimeout, IndeterminateError
from sharedstate.testing.background import SECONDS, wait_until
from sharedstate.testing.history import (
    NOT_DONE,
    UNKNOWN,
    HistoryError,
    Operation,
    Recorder,
    read_histories,
    read_history,
)

HITS = ("counter", "hits")


def failing(error: Exception) -> Callable[[], Any]:
    def fail() -> Any:
        raise error

    return fail


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "one.history"


def test_what_was_called_and_answered_comes_back(path: Path) -> None:
    with Recorder(path, "w1") as recorder:
        assert recorder.call(HITS, "add", (1, None), lambda: ("x", 2)) == ("x", 2)
    (found,) = read_history(path)
    assert found.answered_at is not None
    assert 0 < found.called_at <= found.answered_at
    wanted = Operation("w1", HITS, "add", (1, None), ("x", 2), 0, 0)
    assert str(found) == str(wanted)
    assert (found.target, found.arguments, found.result) == (HITS, (1, None), ("x", 2))


def test_nested_arguments_can_be_hashed(path: Path) -> None:
    with Recorder(path, "w1") as recorder:
        recorder.call(HITS, "add", ((1, (2,)),), lambda: None)
    (found,) = read_history(path)
    assert hash(found.arguments) == hash(((1, (2,)),))


def test_an_answer_that_was_lost_leaves_it_pending(path: Path) -> None:
    with Recorder(path, "w1") as recorder:
        lost = failing(IndeterminateError("lost"))
        assert recorder.call(HITS, "add", (1,), lost) is UNKNOWN
        # What is recorded later is told from it.
        recorder.call(HITS, "get", (), lambda: 1)
    pending, answered = read_history(path)
    assert (pending.is_pending, pending.result) == (True, UNKNOWN)
    assert (answered.is_pending, answered.result) == (False, 1)


def test_what_surely_did_not_happen_is_left_out(path: Path) -> None:
    with Recorder(path, "w1") as recorder:
        for error in (BackendError("not reached"), BackendTimeout("a read")):
            assert recorder.call(HITS, "get", (), failing(error)) is NOT_DONE
    assert read_history(path) == []


def test_the_caller_may_doubt_more_errors(path: Path) -> None:
    with Recorder(path, "w1") as recorder:
        not_reached = failing(BackendError("not reached"))
        answer = recorder.call(HITS, "add", (1,), not_reached, in_doubt=(BackendError,))
        assert answer is UNKNOWN
    assert [each.is_pending for each in read_history(path)] == [True]


def test_a_mistake_is_raised(path: Path) -> None:
    with (
        Recorder(path, "w1") as recorder,
        pytest.raises(ZeroDivisionError),
    ):
        recorder.call(HITS, "add", (1,), failing(ZeroDivisionError()))


def test_a_call_is_in_the_file_before_it_is_made(path: Path) -> None:
    with Recorder(path, "w1") as recorder:
        recorder.call(HITS, "add", (1,), lambda: read_history(path)[0].is_pending)
    assert read_history(path)[0].result is True


def test_a_line_that_was_cut_off_is_not_there(path: Path) -> None:
    with Recorder(path, "w1") as recorder:
        recorder.call(HITS, "add", (1,), lambda: 1)
        recorder.call(HITS, "add", (1,), lambda: 2)
    data = path.read_bytes()
    answers = []
    for length in range(len(data) + 1):
        path.write_bytes(data[:length])
        found = read_history(path)
        answers.append([each.result for each in found])
    steps = [one for one, other in pairwise(answers) if one != other]
    assert [*steps, answers[-1]] == [[], [UNKNOWN], [1], [1, UNKNOWN], [1, 2]]


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b'["answer",7,1,2]', b'["refused",7]', b'["call",1,2,3]']
)
def test_what_is_no_history_is_refused(path: Path, line: bytes) -> None:
    path.write_bytes(b'["process","w1"]\n' + line + b"\n")
    with pytest.raises(HistoryError, match=r"one\.history:2"):
        read_history(path)


def test_a_file_is_not_written_twice(path: Path) -> None:
    with Recorder(path, "w1"), pytest.raises(FileExistsError):
        Recorder(path, "w1")


def test_histories_are_merged_in_the_order_of_the_calls(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.history" for number in range(2)]
    recorders = [Recorder(path, path.stem) for path in paths]
    for number in (0, 1, 1, 0):
        recorders[number].call(HITS, "get", (), lambda: None)
    for recorder in recorders:
        recorder.close()
    merged = read_histories(paths)
    assert [each.process for each in merged] == ["0", "1", "1", "0"]


def write_for_ever(path: Path) -> None:
    with Recorder(path, "victim") as recorder:
        while True:
            recorder.call(HITS, "add", ("x" * 2000,), lambda: 1)


def test_a_killed_process_leaves_a_history(path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=write_for_ever, args=(path,), daemon=True
    )
    process.start()
    wait_until(lambda: path.exists() and path.stat().st_size > 100_000)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(SECONDS)
    found = read_history(path)
    assert len(found) > 40
    assert not any(each.is_pending for each in found[:-1])
