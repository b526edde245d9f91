"""The disk of the power cuts: what it keeps, and what it does not."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.power import cut_power

PROGRAM = """
import os, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.faults import power
power._install(power.Shadow(Path("shadow")))

def append(name, data):
    with open(f"data/{{name}}", "ab", buffering=0) as file:
        file.write(data)

def sync(name="."):
    descriptor = os.open(f"data/{{name}}", os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)

{text}
"""

ROOT = str(Path(__file__).parents[2])


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path


def kept(disk: Path, text: str, seed: int = 0) -> dict[str, bytes]:
    """Run a program on the disk, cut its power, and read what is left."""
    program = PROGRAM.format(root=ROOT, text=text)
    subprocess.run([sys.executable, "-c", program], cwd=disk, check=True, timeout=20)
    cut_power(disk / "data", disk / "shadow", random.Random(seed))
    return {
        os.path.relpath(path, disk / "data"): path.read_bytes()
        for path in (disk / "data").rglob("*")
        if path.is_file()
    }


def test_what_was_synced_with_its_folder_is_kept(disk: Path) -> None:
    assert kept(disk, "append('a', b'one'); sync('a'); sync()") == {"a": b"one"}


def test_a_file_whose_folder_was_not_synced_has_no_name(disk: Path) -> None:
    assert kept(disk, "append('a', b'one'); sync('a')") == {}


def test_of_what_was_not_synced_any_part_is_kept(disk: Path) -> None:
    text = "append('a', b'one'); sync('a'); sync(); append('a', b'two')"
    found = set()
    for seed in range(20):
        folder = disk / str(seed)
        (folder / "data").mkdir(parents=True)
        found.add(kept(folder, text, seed)["a"])
    assert found == {b"one", b"onet", b"onetw", b"onetwo"}


def test_a_rename_counts_when_the_folder_was_synced(disk: Path) -> None:
    text = """
append('old', b'old'); sync('old'); sync()
append('new', b'new'); sync('new'); os.replace('data/new', 'data/old')
"""
    assert kept(disk, text)["old"] == b"old"
    assert (
        kept(
            disk, "append('n', b'x'); sync('n'); os.replace('data/n', 'data/old'); sync()"
        )["old"]
        == b"x"
    )


def test_a_removed_file_is_back_until_the_folder_was_synced(disk: Path) -> None:
    text = "append('a', b'one'); sync('a'); sync(); os.unlink('data/a')"
    assert kept(disk, text) == {"a": b"one"}
    assert kept(disk, "os.unlink('data/a'); sync()") == {}


def test_a_cut_file_is_short_when_it_was_synced(disk: Path) -> None:
    text = "append('a', b'long'); sync('a'); sync(); os.truncate('data/a', 2); sync('a')"
    assert kept(disk, text) == {"a": b"lo"}


def test_a_folder_in_a_folder_needs_both_synced(disk: Path) -> None:
    text = "os.mkdir('data/in'); append('in/a', b'one'); sync('in/a'); sync('in')"
    assert kept(disk, text) == {}
    assert kept(disk, f"{text}; sync()") == {"in/a": b"one"}
