"""Committing: what waits for a disk that takes nothing is bounded."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sharedstate_server.aof import commits
from sharedstate_server.aof.commits import Commits
from sharedstate_server.aof.disk_thread import DiskThread
from sharedstate_server.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

FULL = "/dev/full"


class Committing:
    """Commits of a server that does not run, to a disk that is full."""

    def __init__(self) -> None:
        self.server = Server()
        self.given_up = 0
        self.refusals: list[bytes] = []
        self.disk = DiskThread(self.server.loop)
        self.commits = Commits(
            self.server,
            self.disk,
            on_give_up=self._note_given_up,
            on_review=self._note_refusal,
        )
        self.commits.go_on_in(os.open(FULL, os.O_WRONLY), 0, afresh=True)

    def _note_given_up(self) -> None:
        self.given_up += 1

    def _note_refusal(self) -> None:
        self.refusals.append(self.commits.refusal)

    def close(self) -> None:
        self.disk.drain()
        os.close(self.commits.writer.fd)
        # A server that runs is one that closes what it has.
        self.server.loop.soon(self.server.stop)
        self.server.run(catch_signals=False)

    def change(self, size_bytes: int) -> None:
        """A turn that changes something."""
        self.commits.writer.take(0, [b"SET", b"k", b"v" * size_bytes])
        self.commits.end_turn()


@pytest.fixture
def committing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Committing]:
    monkeypatch.setattr(commits, "MOST_WAITING_BYTES", 1000)
    committing = Committing()
    yield committing
    committing.close()


@pytest.mark.skipif(not os.path.exists(FULL), reason=f"{FULL} is Linux's")
def test_what_waits_is_forgotten_when_it_is_too_much(committing: Committing) -> None:
    committing.change(100)
    assert committing.refusals[-1].startswith(b"MISCONF Errors writing to the AOF file")
    committing.change(100)
    assert not committing.commits.is_given_up
    waiting = committing.commits.writer.waiting_bytes
    assert waiting > 200
    committing.change(1000)
    assert committing.given_up == 1
    assert committing.commits.is_given_up
    assert not committing.commits.writer
    assert committing.commits.refusal


@pytest.mark.skipif(not os.path.exists(FULL), reason=f"{FULL} is Linux's")
def test_a_new_file_begins_with_nothing_that_waited(committing: Committing) -> None:
    committing.change(5000)
    committing.change(5000)
    assert committing.commits.is_given_up
    before = committing.commits.writer.fd
    committing.commits.go_on_in(os.open(FULL, os.O_WRONLY), 0, afresh=True)
    committing.commits.recover()
    assert not committing.commits.is_given_up
    assert committing.refusals[-1] == b""
    committing.disk.drain()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(before)
