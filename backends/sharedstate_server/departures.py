"""Departures: clients that have gone, and had bound scripts to run then.

A process that is killed has several connections, and they are read in any order. What it
had sent on the others before it died comes first, or else a lock would be granted to it
after what frees its locks has run. All of that lies in the kernel when the end of the
session is seen, for a process closes its files when none of its threads runs any more. So
a departure waits for as many turns of the loop as it takes to read once from everybody,
without a pause in between: a millisecond or two with a thousand clients.

What a client had sent of a pipeline that takes more turns than that is not waited for. What
it acquires so is freed when its lease ends.
"""

from __future__ import annotations

from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.bindings import Bound
    from sharedstate_server.server import Server


class Departures:
    """The departures of one server. Made when the first client binds something."""

    def __init__(self, server: Server) -> None:
        self._server = server
        # Each with the turn from which on its scripts may run.
        self._waiting: deque[tuple[int, Bound]] = deque()
        self._turns = 0
        self._is_expected = False

    def add(self, bound: Bound) -> None:
        """Run what is bound, once everything that came before has been processed."""
        server = self._server
        # This turn, those in which everybody's turn to be read comes, and one more: what is
        # read in a turn is processed after us.
        turns = server.client_count // server.loop.files_per_turn + 3
        self._waiting.append((self._turns + turns, bound))
        self._expect_turn()

    def _expect_turn(self) -> None:
        if not self._is_expected:
            self._is_expected = True
            self._server.loop.soon(self._turn)

    def _turn(self) -> None:
        """Files have been read in this turn, up to a turn's share of them."""
        self._is_expected = False
        bindings = self._server.engine.bindings
        if bindings is None:
            return
        # Nothing is read while what was read before waits to be processed.
        if self._server.loop.reads:
            self._turns += 1
        waiting = self._waiting
        while waiting and waiting[0][0] <= self._turns:
            bindings.release(waiting.popleft()[1])
        # If nothing may run now, the cron goes on when it may.
        has_more = bindings.run_ends()
        if waiting or has_more:
            self._expect_turn()
