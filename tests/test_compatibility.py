"""The page of compatibility tells the truth: its tables are those of the command table."""

from __future__ import annotations

from sharedstate.commands import COMMANDS, subcommands
from sharedstate_memory.commands.registry import lookup
from tests.compatibility import MISSING, NEWER, PAGE, page_as_it_should_be


def test_the_page_is_up_to_date() -> None:
    written = PAGE.read_text(encoding="utf-8")
    assert written == page_as_it_should_be(), "run `make compatibility`"


def test_what_is_missing_is_answered_as_unknown() -> None:
    missing = " ".join(MISSING.values()).split()
    assert [name for name in missing if name in COMMANDS or name in subcommands()] == []
    assert [name for name in missing if lookup(name.encode()) is not None] == []


def test_what_is_newer_is_there() -> None:
    newer = set(" ".join(NEWER.values()).split())
    assert newer <= {*COMMANDS, *subcommands()}
