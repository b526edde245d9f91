"""A party at a barrier: how one `wait` comes in, asks, stays present and goes.

Everything it does on the store is as good done twice as once: it is known there by an id of
its own, and its round by a number. So a lost answer breaks nothing; it asks again.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from sharedstate.errors import CommandError, ConfigError, SharedStateError
from sharedstate.identity import process_salt
from sharedstate.leases import LEASE_BINDING
from sharedstate.news import LOOK_AGAIN_SECONDS, Question
from sharedstate.sessions import Will, session_of
from sharedstate.structures.script_file import ScriptFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharedstate.structures.base import StructureContext

SESSION_LEASE = 60.0
"""The lease, in seconds, of a party whose session keeps it: it only counts when the session
was cut off, and nobody can say whether the process lives. Long, since it spares looks."""

_SCRIPTS = ScriptFile(__file__, "barrier.lua")
_KEYS = ("state", "members", "present", "former", "released")

_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Passage:
    """How a round went: released, acts (the action is ours to run), or broken, and why."""

    outcome: str
    reason: str = ""


class Place:
    """A barrier as its parties know it: where it is, and what it is like."""

    def __init__(
        self, context: StructureContext, parties: int, acts: bool, lease: float
    ) -> None:
        self.context = context
        self.parties = parties
        self.acts = acts
        self._lease = lease
        self._keys = tuple(map(context.key, _KEYS))
        self._news = context.key("news")

    def run(self, script: str, *arguments: str | int) -> Any:
        """Run one of the scripts. One round trip."""
        backend = self.context.backend
        return backend.run_script(_SCRIPTS[script], self._keys, (self._news, *arguments))

    def bind(self) -> tuple[str, float]:
        """With what the ids of this process begin, and the lease of its parties.

        Where there are sessions, the store is told what to do when this process is gone,
        and keeps the leases meanwhile. One round trip for the first of a process.
        """
        session = session_of(self.context.backend)
        if session is None:
            return f"{process_salt()}.", self._lease
        lease = max(self._lease, SESSION_LEASE)
        will = Will(
            end=_SCRIPTS["part"],
            keep=_SCRIPTS["keep"],
            keep_every=lease / 3,
            keys=self._keys,
            arguments=(self._news, session.tag, round(lease * 1000)),
        )
        # A waiting party asks for its binding at each look, so it stays bound as long as it
        # is needed, and may be let go like that of a lease that nobody holds.
        try:
            session.ensure(f"{LEASE_BINDING}{self.context.key('members')}", will)
        except CommandError:
            # So much is bound that the store takes no more: then leases decide.
            lease = self._lease
        return session.tag, lease


class Party(Question[Passage]):
    """One party in one round."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._id = ""
        self.round = ""
        """The number of the round; empty before it came in."""
        self.index = 0

    def look(self) -> Passage | None:
        """Come in, or see how it stands, and show a sign of life. One round trip."""
        place = self._place
        tag, lease = place.bind()
        self._id = self._id or f"{tag}{next(_numbers):x}"
        acts = "1" if place.acts else "0"
        outcome, detail, *more = place.run(
            "attend", self._id, self.round, place.parties, round(lease * 1000), acts
        )
        if outcome == b"other":
            raise ConfigError(
                f"the barrier {place.context.name!r} has {int(detail)} parties, and this "
                f"handle was made for {place.parties}; give the same number everywhere, or "
                f"call reset() to begin a new round with this one"
            )
        if more:
            index, number, *pause = more
            self.index, self.round = index, number.decode()
            if pause:
                self.look_again = min(pause[0] / 1000, LOOK_AGAIN_SECONDS)
        if outcome in (b"waiting", b"full"):
            return None
        return _passage(outcome, detail)

    def hear(self, message: bytes) -> Passage | None:
        number, outcome, *reason = message.split(b" ", 2)
        if number.decode() != self.round:
            # Of another round: perhaps there is room now.
            return self.look() if not self.round else None
        return _passage(outcome, *reason)

    def give_up(self) -> Passage:
        """The time is over: break the barrier, unless the round has just ended."""
        reason = "a party waited for longer than its timeout"
        return _passage(*self._place.run("give_up", self.round, reason))

    def finish(self) -> Passage:
        """The action has run: let everybody through."""
        return _passage(*self._place.run("finish", self._id, self.round))

    def leave(self) -> None:
        """Go away, and make room for another."""
        if self._id:
            self._place.run("leave", self._id)

    def stay(self, leaving: threading.Event) -> None:
        """Show signs of life until told to leave."""
        while not leaving.wait(self.look_again):
            # What it finds out matters when the action has ended, and is asked then.
            with suppress(SharedStateError):
                self.look()


@contextmanager
def kept_present(party: Party) -> Iterator[None]:
    """Keep a party present while it runs the program's code."""
    leaving = threading.Event()
    target, name = party.stay, "sharedstate-barrier"
    thread = threading.Thread(target=target, args=(leaving,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        leaving.set()
        thread.join()


def _passage(outcome: bytes, reason: bytes = b"") -> Passage:
    return Passage(outcome.decode(), reason.decode())
