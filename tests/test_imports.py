"""The import rule: an arrow only ever points down the house.

sharedstate_server   ->  sharedstate_memory  ->  sharedstate
                         sharedstate_redis   ->  sharedstate
                         plugins/*           ->  sharedstate
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ALLOWED: dict[str, set[str]] = {
    "sharedstate": set(),
    "sharedstate_memory": {"sharedstate"},
    "sharedstate_redis": {"sharedstate"},
    "sharedstate_server": {"sharedstate", "sharedstate_memory"},
}
# `sharedstate.testing` and `sharedstate.cli` start real programs; they do so by their
# command lines and URLs, and so need no exception here.

PACKAGES = [
    ROOT / "sharedstate",
    *sorted(ROOT.glob("backends/sharedstate_*")),
    *sorted(ROOT.glob("plugins/sharedstate_*")),
]


def imported_packages(source: str) -> Iterator[str]:
    """The top-level packages that a module imports, wherever in it, types included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.name))
def test_imports_point_down_only(package: Path) -> None:
    allowed = ALLOWED.get(package.name, {"sharedstate"}) | {package.name}
    wrong = [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in package.rglob("*.py")
        for name in imported_packages(file.read_text(encoding="utf-8"))
        if name.startswith("sharedstate") and name not in allowed
    ]
    assert wrong == []


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.name))
def test_no_relative_import_leaves_its_package(package: Path) -> None:
    wrong = [
        str(file.relative_to(ROOT))
        for file in package.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        and node.level > len(file.relative_to(package).parts)
    ]
    assert wrong == []


def test_the_rule_sees_imports_everywhere() -> None:
    source = "def f():\n    import a.b\n    from c.d import e\nfrom . import g\n"
    assert list(imported_packages(source)) == ["a", "c"]


def test_every_plugin_is_listed_as_an_entry_point() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    for package in PACKAGES:
        if (package / "plugin.py").exists():
            assert f'"{package.name}.plugin"' in text
