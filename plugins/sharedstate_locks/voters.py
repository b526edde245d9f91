"""Voters: several servers, asked at the same time, one of which may hang.

A voter is one server, and the thread that talks to it. It is asked by putting a task at
the end of its queue; answers are collected on a ballot. Who asks waits until the answers
that it has are enough, and never longer than it said: what a server that hangs has to say
comes later, or never, and holds up nobody but itself.

    asking thread ── Ballot ──┬─► queue of voter 1 ─► its thread ─► server 1
          ▲                   ├─► queue of voter 2 ─► …
          └── enough answers ─┘

Invariant: a voter does what it is asked in the order in which it was asked. So what gives a
vote back reaches the server after what asked for it, even if nobody waited for the answer.

There is one voter a process for each server (and time-out), made when it is first needed.
A thread that had nothing to do for a minute ends, and its connection too. A forked child
begins with empty queues and no threads.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any

from sharedstate.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from sharedstate.backend import Argument, Backend, Key, Script
    from sharedstate.config import Settings

    Answers: TypeAlias = Sequence[Any]
    """In the order of the voters: a reply, an exception, `PENDING` or `UNSENT`."""

PENDING: Any = type("Pending", (), {"__repr__": lambda _: "no answer in time"})()
"""Stands for an answer that has not come."""

UNSENT: Any = type("Unsent", (), {"__repr__": lambda _: "not asked in time"})()
"""Stands for the answer to what was never sent, since its time was over before."""

IDLE_SECONDS = 60.0

GRACE_SECONDS = 0.01
"""How much longer the slowest servers may take than a majority did."""

OPENING_SECONDS = 3.0
"""How much longer a first answer may take: the backend has to be imported. Who has a
majority before does not wait for that long."""


def is_silent(answer: Any) -> bool:
    """Whether a server has said nothing: it was not reached, or not in time."""
    return isinstance(answer, Exception) or answer is PENDING or answer is UNSENT


class Ballot:
    """The answers to one question.

    They are waited for until they are `enough`, and then for `rest`, which is worth as much
    time as the first ones took, and `GRACE_SECONDS`.
    """

    __slots__ = (
        "_asked_at",
        "_deadline",
        "_done",
        "_enough",
        "_lock",
        "_rest",
        "_settled",
        "answers",
    )

    def __init__(
        self,
        count: int,
        deadline: float,
        enough: Callable[[Answers], bool],
        rest: Callable[[Answers], bool],
    ) -> None:
        self.answers: list[Any] = [UNSENT] * count
        self._asked_at = monotonic()
        self._deadline = deadline
        self._enough = enough
        self._rest = rest
        self._lock = threading.Lock()
        self._settled = threading.Event()
        self._done = threading.Event()

    def put(self, place: int, answer: Any) -> None:
        """An answer has come."""
        with self._lock:
            self.answers[place] = answer
            if not self._settled.is_set() and self._enough(self.answers):
                self._settled.set()
            if not self._done.is_set() and self._rest(self.answers):
                self._done.set()

    def wait(self) -> list[Any]:
        """The answers, when there are enough or the time is over. Later ones do not change
        what was returned.
        """
        if self._settled.wait(max(0.0, self._deadline - monotonic())):
            now = monotonic()
            grace = now - self._asked_at + GRACE_SECONDS
            self._done.wait(max(0.0, min(grace, self._deadline - now)))
        with self._lock:
            return list(self.answers)


class _Task:
    """One script to be run by one voter."""

    __slots__ = ("arguments", "ballot", "deadline", "keys", "only_after", "place", "script")

    def __init__(
        self,
        question: tuple[Script, Sequence[Key], Sequence[Argument]],
        ballot: Ballot,
        place: int,
        deadline: float,
        only_after: Ballot | None,
    ) -> None:
        self.script, self.keys, self.arguments = question
        self.ballot = ballot
        self.place = place
        self.deadline = deadline
        self.only_after = only_after

    def is_pointless(self) -> bool:
        """Whether it must not be sent any more. What gives a vote back is always sent,
        unless what asked for the vote never was.
        """
        if self.only_after is not None:
            return self.only_after.answers[self.place] is UNSENT
        return monotonic() >= self.deadline


class Voter:
    """One server, and the thread that talks to it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.responds = True
        """Whether the last task was answered: whether it is worth waiting for the next."""
        self.is_new = True
        """Whether nobody has tried to reach it in this process."""
        self._backend: Backend | None = None
        self.begin_anew()

    def begin_anew(self) -> None:
        """Empty the queue. In a forked child, whose parent has the thread."""
        self._tasks: deque[_Task] = deque()
        self._call = threading.Condition()
        self._running = False

    def put(self, task: _Task) -> None:
        """Have a task done after those before it. Never blocks."""
        with self._call:
            self._tasks.append(task)
            if not self._running:
                threading.Thread(
                    target=self._run, name="sharedstate-voter", daemon=True
                ).start()
                self._running = True
            self._call.notify()

    def _run(self) -> None:
        while (task := self._take()) is not None:
            answer: Any
            try:
                answer = UNSENT if task.is_pointless() else self._do(task)
            except Exception as error:
                # Whatever it is, this server has no say in the matter.
                answer = error
            task.ballot.put(task.place, answer)
            del task, answer  # An idle thread keeps nothing alive.

    def _take(self) -> _Task | None:
        """The next task; None when the thread has to end."""
        with self._call:
            if self._call.wait_for(lambda: self._tasks, IDLE_SECONDS):
                return self._tasks.popleft()
            self._running = False
            backend, self._backend = self._backend, None
        if backend is not None:
            backend.close()
        return None

    def _do(self, task: _Task) -> Any:
        try:
            if self._backend is None:
                self._backend = self._open()
            reply = self._backend.run_script(task.script, task.keys, task.arguments)
        except BackendError:
            self.responds = False
            raise
        finally:
            self.is_new = False
        self.responds = True
        return reply

    def _open(self) -> Backend:
        from sharedstate.registry import get_registry

        record = get_registry().backend(self.settings.address.scheme)
        return record.create(self.settings)

    def __repr__(self) -> str:
        return f"<Voter {self.settings}>"


class Panel:
    """Voters that are asked together. `seconds` is how long an answer may take."""

    def __init__(self, voters: Sequence[Voter], seconds: float) -> None:
        self.voters = tuple(voters)
        self.majority = len(voters) // 2 + 1
        self._seconds = seconds

    def ask(
        self,
        question: tuple[Script, Sequence[Key], Sequence[Argument]],
        enough: Callable[[Answers], bool] | None = None,
        *,
        swift: bool = False,
        only_after: Ballot | None = None,
        places: Sequence[int] | None = None,
    ) -> Ballot:
        """Ask all voters, or those at some places. Does not wait: the ballot does.

        It waits until the answers are `enough` (if nothing is said: those of a majority),
        and unless it is `swift`, a little for the rest, as far as they are to be expected.
        """
        asked = range(len(self.voters)) if places is None else places
        seconds = self._seconds
        if any(self.voters[place].is_new for place in asked):
            seconds += OPENING_SECONDS
        deadline = monotonic() + seconds
        count = len(self.voters)
        enough = enough or self._majority_has_answered
        rest = enough if swift else self._nobody_is_expected
        ballot = Ballot(count, deadline, enough, rest)
        for place in asked:
            ballot.answers[place] = PENDING
        for place in asked:
            task = _Task(question, ballot, place, deadline, only_after)
            self.voters[place].put(task)
        return ballot

    def _majority_has_answered(self, answers: Answers) -> bool:
        silent = sum(map(is_silent, answers))
        return len(answers) - silent >= self.majority or PENDING not in answers

    def _nobody_is_expected(self, answers: Answers) -> bool:
        return not any(
            answer is PENDING and voter.responds
            for voter, answer in zip(self.voters, answers, strict=True)
        )


_voters: dict[Settings, Voter] = {}
_lock = threading.RLock()


def voter_for(settings: Settings) -> Voter:
    """The voter of this process for a server. No round trip."""
    with _lock:
        voter = _voters.get(settings)
        if voter is None:
            voter = _voters[settings] = Voter(settings)
        return voter


def _begin_anew() -> None:
    """In a forked child: the parent's threads are not there."""
    global _lock
    _lock = threading.RLock()
    for voter in _voters.values():
        voter.begin_anew()


os.register_at_fork(after_in_child=_begin_anew)
