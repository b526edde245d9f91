"""Last words: why a server has ended, and what is not taken for a reason."""

from __future__ import annotations

from pathlib import Path

from sharedstate_server.folders import LOG_NAME
from sharedstate_server.last_words import last_words

LOADED = "12:M 22 Nov 2026 15:08:01.252 * DB loaded from disk: 0.100 seconds\n"
REFUSED = "12:M 22 Nov 2026 15:08:01.253 # Bad file format: x\n    and more of it\n"


def words(folder: Path, log: str) -> str:
    (folder / LOG_NAME).write_text(log)
    return last_words(str(folder))


def test_the_reason_is_what_it_wrote_last_as_a_warning(tmp_path: Path) -> None:
    assert words(tmp_path, LOADED + REFUSED) == (LOADED + REFUSED).strip()


def test_an_exception_that_nobody_caught_is_a_reason(tmp_path: Path) -> None:
    log = LOADED + "Traceback (most recent call last):\n  …\nMemoryError\n"
    assert words(tmp_path, log) == log.strip()


def test_what_it_wrote_while_all_was_well_is_no_reason(tmp_path: Path) -> None:
    told = words(tmp_path, LOADED)
    assert told.startswith("it ended without saying why, as one that is killed does")
    assert str(tmp_path / LOG_NAME) in told
    assert "DB loaded" not in told


def test_a_warning_before_the_end_is_told_as_such(tmp_path: Path) -> None:
    told = words(tmp_path, REFUSED + LOADED)
    assert told.startswith("it ended without saying why")
    assert "its last lines: " + (REFUSED + LOADED).strip() in told


def test_a_log_without_a_word_is_told_so(tmp_path: Path) -> None:
    assert words(tmp_path, "") == "it ended without a word"
