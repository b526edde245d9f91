"""The demo, as a user runs it: its result, and what it says of workers that die."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import sharedstate
from sharedstate.cli import main
from sharedstate.cli.corpus import (
    MAX_FILE_BYTES,
    Unreadable,
    count_all,
    count_identifiers,
    find_files,
)
from sharedstate.cli.indexing import Index
from sharedstate.testing.servers import BuiltInServer

WORDS = "alpha beta beta gamma_1 gamma_1 gamma_1"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder with files of all kinds: good ones, and such as cannot be counted."""
    folder = tmp_path / "corpus"
    (folder / "deep").mkdir(parents=True)
    for number in range(20):
        (folder / "deep" / f"good_{number}.txt").write_text(f"{WORDS} own_{number}\n")
    (folder / "empty.txt").touch()
    (folder / "latin.txt").write_bytes(b"caf\xe9")
    with (folder / "huge.txt").open("wb") as huge:
        huge.truncate(MAX_FILE_BYTES + 1)
    return folder


@pytest.fixture
def store_url(tmp_path: Path) -> Iterator[str]:
    url = f"local://{tmp_path}/store"
    with sharedstate.connect(url):
        yield url


def start_demo(*arguments: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sharedstate", "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


def test_the_result_is_that_of_a_single_process(
    corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(
        ["demo", str(corpus), "--workers", "2", "--verify", "--json", "--url", "local://"]
    )
    told = json.loads(capsys.readouterr().out)
    assert code == 0
    assert told["verified"] is True
    assert told["files"] == 21
    assert told["top"][:3] == [["gamma_1", 60], ["beta", 40], ["alpha", 20]]
    assert told["identifiers"] == 23
    assert told["operations"] > 20 * 5
    assert told["missing"] == {}
    assert told["deaths"] == []


def test_files_that_cannot_be_counted_are_told_with_their_reason(
    corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["demo", str(corpus), "--workers", "1", "--json", "--url", "local://"])
    told = json.loads(capsys.readouterr().out)
    assert told["errors"] == {
        f"{corpus}/huge.txt": "more than 16 MiB",
        f"{corpus}/latin.txt": "not UTF-8",
    }


def test_people_get_the_figures_and_the_verdict(
    corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["demo", str(corpus), "--workers", "2", "--verify", "--top", "1"])
    first, *_, last = capsys.readouterr().out.splitlines()
    assert re.match(r"21 files, 0\.0 MB, 23 identifiers by 2 workers in .* ops/s", first)
    assert last.startswith("verified: equal to the result of a single process")


def test_nothing_stays_in_the_store(
    corpus: Path, store_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", str(corpus), "--workers", "1", "--url", store_url]) == 0
    with sharedstate.connect(store_url) as state:
        assert state.backend.execute(("DBSIZE",)) == 0


def test_a_bar_is_drawn_on_a_terminal(corpus: Path) -> None:
    terminal, end = pty.openpty()
    demo = start_demo(str(corpus), "--workers", "1", stderr=end)
    os.close(end)
    drawn = b"".join(iter(lambda: read_terminal(terminal), b""))
    os.close(terminal)
    demo.communicate()
    assert b"files/s" in drawn
    assert b"Indexing" in drawn


def read_terminal(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # The last process that had the terminal open has ended.
        return b""


@pytest.fixture
def slow_corpus(tmp_path: Path) -> Path:
    """Some small files, and one that keeps a worker busy for half a second or more."""
    folder = tmp_path / "slow"
    folder.mkdir()
    for number in range(8):
        (folder / f"b_{number}.txt").write_text(f"{WORDS}\n")
    (folder / "a_slow.txt").write_text(
        " ".join(f"w{number:x}" for number in range(400_000))
    )
    return folder


def wait_for_holder(url: str, is_wanted: Callable[[int], bool]) -> int:
    """The pid of the first worker that has a wanted file, by its number, in its hands."""
    deadline = time.monotonic() + 30
    with sharedstate.connect(url) as probe:
        while time.monotonic() < deadline:
            for key in probe.backend.execute(("SCAN", 0, "COUNT", 1000))[1]:
                namespace = key.decode().partition(":")[0]
                with sharedstate.connect(url, namespace=namespace) as state:
                    hands = Index(state).hands.copy()
                for pid, number in hands.items():
                    if is_wanted(number):
                        return pid
            time.sleep(0.01)
    raise AssertionError("no worker took the file in time")


def test_a_killed_worker_and_the_file_in_its_hands_are_reported(
    slow_corpus: Path, store_url: str
) -> None:
    demo = start_demo(
        str(slow_corpus), "--workers", "2", "--verify", "--json", "--url", store_url
    )
    pid = wait_for_holder(store_url, lambda number: number == 0)
    os.kill(pid, signal.SIGKILL)
    out, errors = demo.communicate(timeout=50)
    told: Any = json.loads(out)
    assert (demo.returncode, errors) == (1, "")
    (dead,) = told["deaths"]
    assert (dead["pid"], told["verified"], told["files"]) == (pid, False, 8)
    assert dead["how"].endswith("was ended by SIGKILL")
    assert told["missing"] == {
        f"{slow_corpus}/a_slow.txt": f"in the hands of {dead['how']}"
    }


def test_a_demo_whose_workers_are_all_killed_ends_and_says_so(
    slow_corpus: Path, store_url: str
) -> None:
    for path in slow_corpus.glob("b_*.txt"):
        path.write_text((slow_corpus / "a_slow.txt").read_text())
    demo = start_demo(str(slow_corpus), "--workers", "1", "--url", store_url)
    killed: set[int] = set()
    for _ in range(2):
        pid = wait_for_holder(store_url, lambda number: number == len(killed))
        os.kill(pid, signal.SIGKILL)
        killed.add(pid)
    out, _ = demo.communicate(timeout=50)
    assert demo.returncode == 1
    assert out.count("\nLOST worker 1 (pid ") == 2
    assert out.count("\nMISSING ") == 9
    assert "\nGAVE UP worker 1 (pid " in out


def test_a_demo_whose_store_dies_ends_and_says_so(slow_corpus: Path) -> None:
    with BuiltInServer() as server:
        demo = start_demo(str(slow_corpus), "--workers", "2", "--url", server.url)
        wait_for_holder(server.url, lambda number: number == 0)
        server.kill()
        out, errors = demo.communicate(timeout=50)
    assert (demo.returncode, out) == (3, "")
    assert errors.startswith("sharedstate: ")
    assert len(errors.splitlines()) == 1


def test_the_standard_library_is_the_body_of_text_by_default() -> None:
    paths = find_files()
    assert len(paths) > 500
    assert all(path.endswith(".py") for path in paths)
    assert not any("site-packages" in path for path in paths)


def test_hidden_folders_and_caches_are_left_out(tmp_path: Path) -> None:
    for folder in (".git", "__pycache__", "kept"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    assert find_files(tmp_path) == [str(tmp_path / "kept" / "a.txt")]


def test_a_single_file_is_a_body_of_text_too(tmp_path: Path) -> None:
    file = tmp_path / "one.txt"
    file.touch()
    assert find_files(file) == [str(file)]


def test_identifiers_are_words_of_two_letters_that_are_no_keywords(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("def näme_1(x, _y): return näme_1 + 2e5\n")
    assert count_identifiers(str(file)) == ({"näme_1": 2, "_y": 1}, 41)


def test_files_that_vanish_are_no_crash(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="No such file"):
        count_identifiers(str(tmp_path / "gone"))
    assert count_all([str(tmp_path / "gone")]) == {}


def test_names_that_are_not_utf_8_can_be_indexed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.txt")).write_text("hello")
    assert main(["demo", str(folder), "--workers", "1", "--verify", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["top"] == [["hello", 1]]
