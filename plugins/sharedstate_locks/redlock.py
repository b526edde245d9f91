"""Redlock: a lock that a majority of several independent servers grants.

No single server decides, so that a minority of them may be down, hang, or have forgotten
everything. `redlock.lua` is what each of them does; here is what is made of their answers.

    acquire   ask all for their vote, at the same time   ─► a majority, or give all back
              note the fencing number at a majority      ─► granted
    renew     ask all to prolong                         ─► a majority, or lost, or in doubt
    release   give all votes back, wherever one may be

What is granted is valid for the lease time, counted from before the first question, less
what clocks may drift apart (1 % and 2 ms: `sharedstate.leases` counts so for every lock).

Fencing numbers rise strictly from grant to grant of a name, as long as a majority keeps its
memory: a number is higher than all that the granting majority knows, and is noted at a
majority, while the votes are still held there, before the lock is used. Any two majorities
have a server in common. The servers' clocks take part, so that the numbers most probably
rise even after all have forgotten them.

What this algorithm promises, and what it cannot, is told in docs/redlock.md.

Source: https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field, replace
from itertools import count
from math import ceil
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from sharedstate.errors import BackendError, IndeterminateError
from sharedstate.leases import MARGIN_PART, MARGIN_SECONDS
from sharedstate.locking import Grant, LockInfo, Refusal, Renewal
from sharedstate.parties import read_holder
from sharedstate.scripts import load_scripts
from sharedstate_locks.redlock_options import RedlockOptions
from sharedstate_locks.voters import PENDING, Panel, is_silent, voter_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sharedstate.backend import Argument, Key, Script
    from sharedstate.locking import LockTarget, Owner
    from sharedstate_locks.voters import Answers, Ballot

_SCRIPTS = str(Path(__file__).with_name("redlock.lua"))

# Each attempt has a mark of its own. What is late of an earlier attempt, a vote that is
# given back on a connection that hung, does not touch the votes of a later one.
_attempts = count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _MajorityGrant(Grant):
    """A grant, and the servers that may have voted for it."""

    ballot: Ballot
    """The question by which it was acquired, and what became of it at each server."""
    over: threading.Event = field(default_factory=threading.Event)
    """It is being released: then no more votes are asked for."""


class RedlockStrategy:
    """A `LockStrategy` by majority. Waits by asking again after a random time.

    The backend of the state has no part in it: a server that is to have a vote is named.
    """

    calls_waiters = False

    def __init__(self, target: LockTarget, options: RedlockOptions) -> None:
        self._target = target
        self._panel = Panel(
            [voter_for(settings) for settings in options.servers], options.server_timeout
        )
        self._majority = self._panel.majority
        self._retry_ms = options.retry_delay * 1000
        self._ttl_ms = str(target.ttl_ms)
        ttl = target.ttl_ms / 1000
        self._valid_seconds = ttl - ttl * MARGIN_PART - MARGIN_SECONDS
        self._restart_seconds = ceil(options.restart_delay)
        self._keys = (target.key("vote"), target.key("number"))
        self._scripts = load_scripts(_SCRIPTS)
        self._ending = threading.RLock()

    def try_acquire(self, owner: Owner, channel: str | None) -> Grant | Refusal:
        """Ask all servers once. Two round trips, to all at the same time; one if refused.

        Votes that are not enough are given back. Raises `BackendError` if a majority gave
        no answer.
        """
        asked_at = monotonic()
        owner = _marked(owner)
        words = (owner.nonce, _value(owner), self._ttl_ms, self._restart_seconds)
        question = self._question("acquire", *words)
        ballot = self._panel.ask(question, self._is_decided, swift=True)
        try:
            answers = ballot.wait()
            if sum(map(_has_voted, answers)) >= self._majority:
                number = max(answer[1] for answer in answers if _has_voted(answer))
                is_noted = self._note(owner, number, answers)
                if is_noted and monotonic() - asked_at < self._valid_seconds:
                    return _MajorityGrant(owner, number, ballot=ballot)
        except BaseException:
            self._give_back(owner, ballot)
            raise
        self._give_back(owner, ballot).wait()
        if sum(map(_has_refused, answers)) <= len(answers) - self._majority:
            self._check_majority(answers, "asked for the lock")
        return Refusal(int(random.uniform(0.25, 1.0) * self._retry_ms) + 1)

    def leave(self, owner: Owner) -> None:
        """Give back the votes of all attempts of an owner. One round trip."""
        self._panel.ask(self._question("leave", owner.nonce)).wait()

    def release(self, grant: Grant) -> int | None:
        """Give all votes back; None if it was not a majority any more. One round trip.

        Raises `IndeterminateError` if too few answered to know. Servers that do not answer
        in time are sent it all the same, if they were asked for a vote.
        """
        question = self._question("release", _value(grant.owner))
        assert isinstance(grant, _MajorityGrant)
        with self._ending:
            grant.over.set()
            ballot = self._panel.ask(question, only_after=grant.ballot)
        answers = ballot.wait()
        gone = answers.count(0)
        if gone > len(answers) - self._majority:
            return None
        if gone + answers.count(1) == 0:
            raise IndeterminateError(
                f"the lock {self._target.name!r} may or may not have been released: no "
                f"server answered; {self._told(answers)}"
            )
        return 0

    def renew(self, grants: Sequence[Grant]) -> list[int | Exception]:
        """Prolong grants: 1 by a majority, 0 if there is none any more, or the doubt.

        One round trip. Servers that have no vote of it, since they were down, or were
        restarted and may vote again, are then asked for theirs.
        """
        ballots = [
            self._panel.ask(
                self._question("renew", _value(grant.owner), self._ttl_ms), self._is_certain
            )
            for grant in grants
        ]
        return [
            self._settle(grant, ballot.wait())
            for grant, ballot in zip(grants, ballots, strict=True)
        ]

    def renewal(self, grant: Grant) -> Renewal:
        """Not one script: `renew` does it."""
        raise NotImplementedError("a lease of a majority is renewed by `renew`")

    def inspect(self) -> LockInfo:
        """Who has a majority of the votes, as far as servers answer. One round trip.

        Who waits is known to nobody: they stand in no line. Raises `BackendError` if a
        majority gave no answer.
        """
        answers = self._panel.ask(self._question("inspect"), self._is_known).wait()
        self._check_majority(answers, "asked who has the lock")
        told = [answer for answer in answers if isinstance(answer, list)]
        value, left_ms = self._majority_of(told)
        return LockInfo(
            name=self._target.name,
            holders=() if value is None else (read_holder(value),),
            remaining=None if value is None else max(0, left_ms) / 1000,
            waiters=0,
            fencing=max(int(number or 0) for _, _, number in told),
        )

    def force_release(self) -> bool:
        """Take all votes away; whether anybody had a majority. One round trip."""
        question = self._question("force_release")
        answers = self._panel.ask(question, self._is_known).wait()
        self._check_majority(answers, "told to take the lock away")
        values = [answer for answer in answers if isinstance(answer, bytes)]
        return any(values.count(value) >= self._majority for value in set(values))

    def _question(
        self, script: str, *words: Argument
    ) -> tuple[Script, Sequence[Key], Sequence[Argument]]:
        return self._scripts[script], self._keys, words

    def _note(self, owner: Owner, number: int, answers: Answers) -> bool:
        """Note the number of a grant at a majority, where it has the vote."""
        question = self._question("note", _value(owner), number)
        places = [
            place
            for place, answer in enumerate(answers)
            if _has_voted(answer) or answer is PENDING
        ]
        ballot = self._panel.ask(question, self._is_certain, swift=True, places=places)
        return ballot.wait().count(1) >= self._majority

    def _give_back(self, owner: Owner, ballot: Ballot) -> Ballot:
        """Have an attempt's votes given back, wherever it was sent."""
        question = self._question("release", _value(owner))
        return self._panel.ask(question, only_after=ballot)

    def _settle(self, grant: Grant, answers: list[Any]) -> int | Exception:
        """What the answers to a renewal mean."""
        missing = [place for place, answer in enumerate(answers) if answer == 0]
        if answers.count(1) >= self._majority:
            if missing:
                self._complete(grant, missing)
            return 1
        if len(missing) > len(answers) - self._majority:
            self._panel.ask(self._question("release", _value(grant.owner)))
            return 0
        return BackendError(
            f"the lock {self._target.name!r} was renewed by {answers.count(1)} of "
            f"{len(answers)} servers, and {self._majority} are needed; "
            f"{self._told(answers)}"
        )

    def _complete(self, grant: Grant, missing: list[int]) -> None:
        """Ask for votes that a grant does not have, unless it is released meanwhile."""
        owner = grant.owner
        words = (owner.nonce, _value(owner), self._ttl_ms, self._restart_seconds)
        assert isinstance(grant, _MajorityGrant)
        with self._ending:
            if grant.over.is_set():
                return
            for place in missing:
                grant.ballot.answers[place] = PENDING
            self._panel.ask(self._question("acquire", *words), places=missing)

    def _majority_of(self, told: list[Any]) -> tuple[bytes | None, int]:
        """The value that a majority has, and for how many ms it will have a majority."""
        for value in {value for value, _, _ in told if value is not None}:
            lefts = sorted((left for each, left, _ in told if each == value), reverse=True)
            if len(lefts) >= self._majority:
                return value, lefts[self._majority - 1]
        return None, 0

    def _is_decided(self, answers: Answers) -> bool:
        """Whether enough have voted for it, or against it."""
        return self._is_settled(
            answers, sum(map(_has_voted, answers)), sum(map(_has_refused, answers))
        )

    def _is_certain(self, answers: Answers) -> bool:
        """Whether enough have said 1, or 0."""
        return self._is_settled(answers, answers.count(1), answers.count(0))

    def _is_known(self, answers: Answers) -> bool:
        """Whether it is known who has a majority of the votes, if anybody has."""
        told = [answer for answer in answers if not is_silent(answer)]
        values = [answer[0] if isinstance(answer, list) else answer for answer in told]
        most = max((values.count(each) for each in set(values) - {None}), default=0)
        if len(told) < self._majority:
            return PENDING not in answers
        return most >= self._majority or most + answers.count(PENDING) < self._majority

    def _is_settled(self, answers: Answers, yes: int, no: int) -> bool:
        """Whether nothing that may still come changes the result."""
        return (
            yes >= self._majority
            or no > len(answers) - self._majority
            or PENDING not in answers
        )

    def _check_majority(self, answers: Answers, what: str) -> None:
        silent = sum(is_silent(answer) for answer in answers)
        if len(answers) - silent < self._majority:
            raise BackendError(
                f"{silent} of {len(answers)} servers gave no answer when they were {what} "
                f"{self._target.name!r}, and {self._majority} are needed; "
                f"{self._told(answers)}"
            )

    def _told(self, answers: Answers) -> str:
        """What servers said that did not answer: without passwords, as settings show."""
        return "; ".join(
            f"{voter.settings}: {answer}"
            for voter, answer in zip(self._panel.voters, answers, strict=True)
            if is_silent(answer)
        )


def create(target: LockTarget, options: Mapping[str, object]) -> RedlockStrategy:
    """The strategy, from what was given to `state.lock`."""
    return RedlockStrategy(target, RedlockOptions.of(target, options))


def _marked(owner: Owner) -> Owner:
    """The same owner, with the mark of one attempt."""
    head = owner.description[:-1]
    return replace(owner, description=f'{head},"attempt":{next(_attempts)}}}')


def _value(owner: Owner) -> str:
    return owner.nonce + owner.description


def _has_voted(answer: Any) -> bool:
    return isinstance(answer, list) and answer[0] == 1


def _has_refused(answer: Any) -> bool:
    return isinstance(answer, list) and answer[0] != 1
