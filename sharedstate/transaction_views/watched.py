"""What one attempt has of the store: a watch, reads on it, and one commit.

The watch is opened by the first read. So what is read was there at one moment: had any
of it changed since, the commit would find out. An attempt that reads nothing needs no
watch, and one that does nothing costs nothing.

Lifetimes end without a change that a watch could see. So an attempt has one moment by
which it judges all of them, the store's time of its first look at a map with lifetimes;
and if one that it counted on has ended before the commit is sent, that is a conflict too.
"""

from __future__ import annotations

import os
from time import monotonic
from typing import TYPE_CHECKING, Any

from sharedstate.errors import (
    BackendError,
    CommandError,
    IndeterminateError,
    SharedStateError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharedstate.backend import Backend, Command, Key, Reply, Script, Watch


class Watched:
    """The store as one attempt sees it. For one thread, of the process that made it."""

    def __init__(self, backend: Backend, keys: Sequence[Key]) -> None:
        self._backend = backend
        self._keys = keys
        self._watch: Watch | None = None
        self._pid = os.getpid()
        self._is_over = False
        self._reads = 0
        self._looked_at = 0.0
        self._first_end: int | None = None
        self.now_ms: int | None = None
        """The store's time by which lifetimes are judged; None until it is needed."""

    def read(self, command: Command) -> Reply:
        """Execute a command that changes nothing. One round trip; one more for the first.

        Raises `BackendError` when the connection broke: nothing was changed.
        """
        watch = self._open()
        self._reads += 1
        try:
            return watch.execute(command)
        except IndeterminateError as error:
            raise BackendError(
                f"a transaction lost its connection while it was reading ({error}); "
                f"nothing was written, try again"
            ) from error

    def run(self, script: Script, keys: Sequence[Key], arguments: Sequence[Any]) -> Reply:
        """Run a script that changes nothing. One round trip; two on its first use."""
        asked_at = monotonic()
        words = (len(keys), *keys, *arguments)
        try:
            reply = self.read(("EVALSHA", script.sha, *words))
        except CommandError as error:
            if error.code != "NOSCRIPT":
                raise
            reply = self.read(("EVAL", script.body, *words))
        if self.now_ms is None:
            self._looked_at = asked_at
        return reply

    def count_on(self, deadline: int) -> None:
        """What was read is true until this moment of the store's clock, in ms."""
        if self._first_end is None or deadline < self._first_end:
            self._first_end = deadline

    def commit(self, commands: Sequence[Command]) -> bool:
        """Execute commands in one step, unless what was read has changed; whether done.

        One round trip. Without commands it only finds out whether everything was read as
        it was at one moment. Raises `IndeterminateError` if there is no telling: the
        answer was lost, and nothing is sent again.
        """
        self.check()
        if self._watch is None:
            self._is_over = True
            if commands:
                self._backend.transact(commands)
            return True
        if self._has_outlived_what_it_read():
            self.close()
            return False
        watch, self._is_over = self._watch, True
        try:
            return self._backend.transact(commands, watching=watch) is not None
        except IndeterminateError as error:
            if commands:
                raise
            raise BackendError(f"{error}. This transaction wrote nothing") from error
        finally:
            self.close()

    def is_consistent(self) -> bool:
        """Whether all that was read was there at one moment. Ends the attempt.

        One round trip, or none: a single read is always consistent. Not known if the
        connection is lost, which counts as yes.
        """
        if self._watch is None or self._reads < 2 or self._pid != os.getpid():
            self.close()
            return True
        try:
            return self.commit(())
        except SharedStateError:
            return True

    def close(self) -> None:
        """End the attempt; nothing was or will be written by it. Twice is fine."""
        self._is_over = True
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()

    def check(self) -> None:
        """Raise if the attempt is over, or belongs to another process."""
        if self._is_over:
            raise SharedStateError(
                "this view belongs to a transaction that is over: use the views that the "
                "function is given, only inside of it"
            )
        if self._pid != os.getpid():
            raise BackendError(
                "this transaction belongs to the process that forked this one: begin "
                "another, over a state that was connected here"
            )

    def _open(self) -> Watch:
        self.check()
        if self._watch is None:
            self._watch = self._backend.watch(self._keys)
        return self._watch

    def _has_outlived_what_it_read(self) -> bool:
        if self._first_end is None or self.now_ms is None:
            return False
        elapsed = (monotonic() - self._looked_at) * 1000
        return self.now_ms + elapsed >= self._first_end
