"""The documentation tells the truth: its program runs, its code is Python, its links lead
somewhere, and the commands it names exist.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").rglob("*.md")]
)
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")


def blocks(page: Path) -> list[str]:
    return _BLOCK.findall(page.read_text(encoding="utf-8"))


def test_the_readmes_program_runs_and_counts_right(tmp_path: Path) -> None:
    (program,) = blocks(ROOT / "README.md")
    path = tmp_path / "program.py"
    path.write_text(program, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    hits, _, prices = ended.stdout.partition(" ")
    assert int(hits) == 4 * 1000
    assert sum(eval(prices).values()) == 4 * 1000 * 2


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_code_of_a_page_is_python(page: Path) -> None:
    for number, block in enumerate(blocks(page)):
        assert compile(block, f"{page.name}, block {number}", "exec").co_code


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    missing = [
        link
        for link in _LINK.findall(page.read_text(encoding="utf-8"))
        if not (page.parent / link).exists()
    ]
    assert missing == []


@pytest.mark.parametrize(
    "folder", ["sharedstate", *(str(p.relative_to(ROOT)) for p in ROOT.glob("backends/s*"))]
)
def test_the_map_names_every_file_and_no_other(folder: str) -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = text.partition(f"### `{folder}/`")[2].partition("###")[0]
    named = set(re.findall(r"\b[a-z_/]*\w+\.py\b", section))
    there = {path.name for path in (ROOT / folder).glob("*.py")} - {"__init__.py"}
    # `lua_*.py` and the plugin.py of each package go without saying.
    there = {name for name in there if not name.startswith("lua_")} - {"plugin.py"}
    assert there - named == set()
    assert [name for name in named if not (ROOT / folder / name).exists()] == []


def test_the_map_names_every_file_of_what_is_kept_on_disk_and_no_other() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = text.partition("#### ")[2].partition("\n### ")[0]
    named = set(re.findall(r"\b[a-z_]+\.py\b", section))
    packages = (
        "sharedstate_memory/rdb",
        "sharedstate_server/aof",
        "sharedstate_server/tools",
    )
    files = [path for each in packages for path in (ROOT / "backends" / each).glob("*.py")]
    assert {path.name for path in files} - {"__init__.py"} == named


def test_the_commands_of_the_readme_are_targets_of_the_makefile() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"\bmake (\w+)", readme))
    assert {"demo", "test"} <= named
    assert named <= set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
