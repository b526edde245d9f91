"""Every example runs, as it stands, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sharedstate.cli.corpus import count_all

EXAMPLES = Path(__file__).parents[1] / "examples"


def run_example(name: str, *arguments: str) -> str:
    """What an example writes. Its exit code must be 0, and its stderr empty."""
    ended = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number}.py").write_text(
            f"import os\nfor name_{number} in os.x: y\n" * 9
        )
    (folder / "bad.py").write_bytes(b"\xff")
    (folder / "empty.py").touch()
    return folder


def test_the_corpus_is_indexed_as_one_process_would(corpus: Path) -> None:
    first, *rest = run_example("index_corpus.py", str(corpus)).splitlines()
    assert first == "13 of 14 files, 1 unreadable"
    told = {line.split()[1]: int(line.split()[0]) for line in rest[:10]}
    expected = count_all([str(path) for path in corpus.iterdir()])
    assert told["os"] == expected["os"] == 12 * 9 * 2
    assert expected.items() >= told.items()


def test_the_report_has_a_line_of_every_worker(corpus: Path) -> None:
    lines = run_example("index_corpus.py", str(corpus)).splitlines()
    done = [int(line.split()[2]) for line in lines if line.startswith("pid ")]
    assert sum(done) == 13


def test_no_ticket_is_sold_twice() -> None:
    assert run_example("tickets.py").endswith("1000 of 1000 tickets sold\n")


def test_no_line_of_the_guarded_report_is_lost() -> None:
    out = run_example("guarded_report.py")
    assert out == "100 lines by 4 workers, 100 expected\n"


def test_the_night_shift_survives_a_death_and_its_books_agree() -> None:
    loaded, sold = run_example("night_shift.py").splitlines()
    assert loaded == "the prices are loaded"
    assert sold == "sold {'bolt': 20, 'nut': 20, 'gear': 20} for 240"


def test_settings_are_swapped_whole() -> None:
    out = run_example("config_swap.py")
    assert out == "limits are {'soft': 100, 'hard': 110}, torn reads: 0\n"


def test_every_example_is_run_here_and_listed_in_the_readme() -> None:
    here, readme = Path(__file__).read_text(), (EXAMPLES / "README.md").read_text()
    for path in EXAMPLES.glob("*.py"):
        assert f'"{path.name}"' in here
        assert f"`{path.name}`" in readme
