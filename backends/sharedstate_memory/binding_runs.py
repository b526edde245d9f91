"""Runs of bound scripts: how one is run, and when the keeps are due (see `bindings.py`)."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from time import perf_counter

from sharedstate_memory.replies import CommandFailure, ErrorReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.bindings import Binding
    from sharedstate_memory.engine import Engine
    from sharedstate_memory.scripting import Program

SLICE_S = 0.002
"""So long are scripts run at a stretch. One that has begun runs to its end."""

# So many failures are logged in so many milliseconds.
_MOST_LINES = 8
_LINES_MS = 1000

# So many entries of bindings that have gone may stay, beyond as many as are alive.
_STALE_KEPT = 64

_NO_USER = b"the user who bound it is there no more"


class Runner:
    """Runs bound scripts, each as a unit of its own, in the place of who has bound it."""

    __slots__ = ("_actor", "_engine", "_lines", "_lines_since_ms")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._actor = engine.script_session()
        self._lines = 0
        self._lines_since_ms = 0

    def may_run(self) -> bool:
        """Whether nothing holds scripts up."""
        engine = self._engine
        return engine.busy is None and engine.pause is None and not engine.is_loading

    def run(self, binding: Binding, program: Program, kind: str) -> None:
        """Run a script of a binding. Its reply is thrown away; a failure is logged."""
        engine, actor = self._engine, self._actor
        if engine.users.get(binding.user.name) is not binding.user:
            self._tell(binding, program, kind, _NO_USER)
            return
        actor.db = engine.databases[binding.database]
        actor.user = binding.user
        actor.address = binding.bound.address
        argv = [b"EVALSHA", program.label, b"%d" % binding.key_count, *binding.words]
        if engine.used_bytes > engine.eviction.limit_bytes:
            engine.make_room()
        statistics = engine.statistics
        statistics.calls[b"EVALSHA"] += 1
        began = perf_counter()
        try:
            reply = program.bridge.run(program, actor, argv, binding.key_count)
        except CommandFailure as failure:
            reply = engine.note_failure(argv, failure)
        statistics.note_time(actor, argv, began)
        if engine.pending:
            engine.settle(actor.db.index, argv)
        if isinstance(reply, ErrorReply):
            self._tell(binding, program, kind, reply.text)
        else:
            binding.has_failed = False

    def _tell(self, binding: Binding, program: Program, kind: str, text: bytes) -> None:
        """Log a failure, unless that binding's run before failed as well."""
        if self._engine.on_log is None or binding.has_failed:
            return
        binding.has_failed = True
        now_ms = self._engine.clock_ms()
        if not 0 <= now_ms - self._lines_since_ms < _LINES_MS:
            self._lines, self._lines_since_ms = 0, now_ms
        self._lines += 1
        if self._lines > _MOST_LINES:
            return
        is_last = self._lines == _MOST_LINES
        bound = binding.bound
        self._engine.on_log(
            f"the {kind} script {_text(program.label)}, bound as {_text(binding.name)!r} "
            f"by client {bound.id} ({_text(bound.address)}), failed: {_text(text)}"
            + (" (what else fails in this second is not logged)" if is_last else ""),
            "warning",
        )


class Keeps:
    """The keep scripts of one engine, by when they are due.

    That is told by the clock of the engine, by which leases end. When it is set back,
    nobody waits longer for it.
    """

    __slots__ = ("_count", "_due", "_engine", "_last_ms", "_runner", "_serial", "is_late")

    def __init__(self, engine: Engine, runner: Runner) -> None:
        self._engine = engine
        self._runner = runner
        self._due: list[tuple[int, int, Binding]] = []
        self._serial = 0
        self._count = 0
        self._last_ms = 0
        self.is_late = False
        """Whether some were due that did not run, because the slice was over."""

    def add(self, binding: Binding) -> None:
        """Run a binding's keep from now on, the first time after one interval."""
        self._count += 1
        self._put_off(binding, self._engine.now_ms)

    def remove(self, binding: Binding) -> None:
        """Run it no more."""
        binding.keep_ms = 0
        self._count -= 1
        if len(self._due) > 2 * self._count + _STALE_KEPT:
            self._due = [entry for entry in self._due if entry[2].keep_ms]
            heapify(self._due)

    def run(self) -> None:
        """Run what is due, for a slice: what has been due for the longest first."""
        self.is_late = False
        if not self._due or not self._runner.may_run():
            return
        now_ms = self._engine.clock_ms()
        if now_ms < self._last_ms:
            self._follow_clock(now_ms)
        self._last_ms = now_ms
        stop_at = perf_counter() + SLICE_S
        # Looked at anew each time: a script that does not end lets others in meanwhile.
        while self._due and self._due[0][0] <= now_ms:
            binding = heappop(self._due)[2]
            if binding.keep is None or not binding.keep_ms:
                continue
            self._put_off(binding, now_ms)
            self._runner.run(binding, binding.keep, "keep")
            if perf_counter() > stop_at:
                self.is_late = self._due[0][0] <= now_ms
                return

    def _put_off(self, binding: Binding, now_ms: int) -> None:
        self._serial += 1
        heappush(self._due, (now_ms + binding.keep_ms, self._serial, binding))

    def _follow_clock(self, now_ms: int) -> None:
        self._due = [
            (min(due_ms, now_ms + binding.keep_ms), serial, binding)
            for due_ms, serial, binding in self._due
        ]
        heapify(self._due)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
