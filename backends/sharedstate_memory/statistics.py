"""Statistics: what has happened so far, as INFO and LATENCY tell it.

The hot path adds to plain dicts, by the spelling in which a command's name came, and asks
no more than whether a command took longer than `slow_threshold_s`. All else is done when
somebody asks: spellings become names, and sums become rates.

**Histograms cost the hot path nothing.** Ten times a second the cron opens a window of
`SAMPLES_PER_TICK` commands by lowering the threshold below zero: these commands come to
`note_slow` whatever they took, are put into the histogram of their command, and the last
one closes the window. So a server with little to do is measured completely, and a busy
one by an unbiased sample.

**Bounded.** Names in odd spellings are folded together, and codes of errors (scripts make
up their own) are kept up to a number.
"""

from __future__ import annotations

from collections import defaultdict, deque
from math import inf
from time import perf_counter

from sharedstate.commands import COMMANDS, subcommands
from sharedstate_memory.commands.registry import CONTAINERS, lookup, resolve_fully
from sharedstate_memory.histogram import Histogram
from sharedstate_memory.replies import CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharedstate_memory.commands.registry import Handler
    from sharedstate_memory.engine import Engine
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

SAMPLES_PER_TICK = 32

# Rates are means over so many ticks of the cron: 1.6 seconds.
RATE_TICKS = 16

# More spellings than names and their two usual spellings: somebody plays with case.
MAX_SPELLINGS = 2048
MAX_ERROR_CODES = 128

_WEIGHT_OF_LATEST = 0.05


_THRESHOLDS = (
    "latency-monitor-threshold",
    "latency-tracking",
    "slowlog-log-slower-than",
    "slowlog-max-len",
)


class Statistics:
    """The counters of one engine. The engine, its owner and its sessions add to them."""

    __slots__ = (
        "_rates",
        "_samples_left",
        "_samples_per_tick",
        "_slow_log_s",
        "_spike_s",
        "_unknown_subcommands",
        "acl_denied",
        "calls",
        "clients_evicted",
        "connections",
        "connections_rejected",
        "engine",
        "errors",
        "expire_cap_reached",
        "expire_seconds",
        "failed",
        "histograms",
        "input_bytes",
        "output_bytes",
        "peak_bytes",
        "reads",
        "rejected",
        "seconds",
        "slow_threshold_s",
        "stale_share",
        "subcommands",
        "writes",
    )

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.slow_threshold_s = inf
        """A command that took at least so many seconds is told to `note_slow`."""
        self._samples_left = 0
        self._samples_per_tick = SAMPLES_PER_TICK
        self._slow_log_s = inf
        self._spike_s = inf
        # By spelling of the command's name. Whoever has one of these may keep it.
        self.calls: defaultdict[bytes, int] = defaultdict(int)
        self.seconds: defaultdict[bytes, float] = defaultdict(float)
        self.rejected: defaultdict[bytes, int] = defaultdict(int)
        self.failed: defaultdict[bytes, int] = defaultdict(int)
        # By the error's code, such as `WRONGTYPE`.
        self.errors: defaultdict[bytes, int] = defaultdict(int)
        # By name: `CONFIG|GET`.
        self.subcommands: defaultdict[str, Tally] = defaultdict(Tally)
        self._unknown_subcommands: defaultdict[str, int] = defaultdict(int)
        self.histograms: defaultdict[str, Histogram] = defaultdict(Histogram)
        # By what was refused: `auth`, `cmd`, `key`, `channel`.
        self.acl_denied: defaultdict[str, int] = defaultdict(int)
        self.reset()

    def reset(self) -> None:
        """Let everything begin again, as CONFIG RESETSTAT wants it."""
        for counts in (self.calls, self.seconds, self.rejected, self.failed, self.errors):
            counts.clear()
        self.subcommands.clear()
        self._unknown_subcommands.clear()
        self.histograms.clear()
        self.acl_denied.clear()
        self._rates = Rates()
        self.peak_bytes = 0
        # The owner's, who has the sockets.
        self.connections = 0
        self.connections_rejected = 0
        self.clients_evicted = 0
        self.input_bytes = 0
        self.output_bytes = 0
        self.reads = 0
        self.writes = 0
        # Of active expiry.
        self.expire_cap_reached = 0
        self.expire_seconds = 0.0
        self.stale_share = 0.0
        self.open_window()

    # -- what took long

    def set_thresholds(
        self, *, slow_log_s: float, spike_s: float, samples: bool = True
    ) -> None:
        """Say what the slow log and the latency monitor want to hear of (`inf` for
        nothing), and whether histograms are kept.
        """
        self._slow_log_s = slow_log_s
        self._spike_s = spike_s
        self._samples_per_tick = SAMPLES_PER_TICK if samples else 0
        self.open_window()

    def open_window(self) -> None:
        """Measure the next commands, whatever they take."""
        self._samples_left = self._samples_per_tick
        self._review_threshold()

    def _review_threshold(self) -> None:
        wanted = min(self._slow_log_s, self._spike_s)
        self.slow_threshold_s = -1.0 if self._samples_left or wanted <= 0 else wanted

    def note_slow(self, session: Session, argv: list[bytes], seconds: float) -> None:
        """Take note of a command that took at least `slow_threshold_s`."""
        try:
            spec = resolve_fully(argv)[3]
        except CommandFailure:
            return
        if session.transaction is not None and spec.name != "MULTI":
            return  # It was queued: EXEC runs it.
        if self._samples_left:
            self._observe(spec.name, seconds)
        if seconds >= self._slow_log_s and "skip_slowlog" not in spec.flags:
            self.engine.slow_log.add(session, argv, seconds)
        if seconds >= self._spike_s:
            event = "fast-command" if "fast" in spec.flags else "command"
            self.engine.latency.record(event, int(seconds * 1000))

    def note_time(self, session: Session, argv: list[bytes], started_at: float) -> float:
        """Count the time of a command that ran within another (EXEC, a script): from
        `started_at` until now, which is returned.
        """
        now = perf_counter()
        seconds = now - started_at
        self.seconds[argv[0]] += seconds
        if seconds >= self.slow_threshold_s:
            self.note_slow(session, argv, seconds)
        return now

    def _observe(self, name: str, seconds: float) -> None:
        self.histograms[name].add(seconds)
        self._samples_left -= 1
        if not self._samples_left:
            self._review_threshold()

    def note_stale(self, share: float) -> None:
        """Note which share of keys with deadlines a cycle of expiry has left overdue. A
        mean is told, in which the latest counts for a twentieth.
        """
        self.stale_share += (share - self.stale_share) * _WEIGHT_OF_LATEST

    # -- what the cron does

    def cron(self, now_ms: int) -> None:
        """Keep rates, the peak of memory and the bounds. Call it ten times a second."""
        self.open_window()
        self._rates.add(now_ms, self.engine.processed, self.input_bytes, self.output_bytes)
        used_bytes = self.engine.used_bytes + self.engine.overhead_bytes()
        self.peak_bytes = max(self.peak_bytes, used_bytes)
        self._keep_bounds()

    def _keep_bounds(self) -> None:
        # What never was a command costs its client some time, too: names of any length.
        for name in self.seconds.keys() - self.calls.keys():
            del self.seconds[name]
        for counts in (self.calls, self.seconds, self.rejected, self.failed):
            if len(counts) > MAX_SPELLINGS:
                _fold(counts)  # type: ignore[arg-type]
        if len(self.errors) > MAX_ERROR_CODES:
            self._drop_error_codes()

    def _drop_error_codes(self) -> None:
        """Keep the codes that were met first, and one sum of the others."""
        codes = list(self.errors)[MAX_ERROR_CODES - 1 :]
        self.errors[b"OTHER"] += sum(self.errors.pop(code) for code in codes)

    # -- what is told

    def per_second(self) -> tuple[float, float, float]:
        """Commands, bytes of input and bytes of output a second, of late."""
        return self._rates.per_second()

    def commands(self) -> dict[str, Tally]:
        """What is counted of each command and subcommand, by upper-case name."""
        found = dict(self.subcommands)
        calls, seconds = _by_name(self.calls), _by_name(self.seconds)
        rejected, failed = _by_name(self.rejected), _by_name(self.failed)
        for name in {**calls, **rejected, **failed}:
            own = Tally(
                int(calls.get(name, 0)),
                seconds.get(name, 0.0),
                int(rejected.get(name, 0)),
                int(failed.get(name, 0)),
            )
            if name in CONTAINERS:
                self._take_subcommands_off(name, own)
            if own:
                found[name] = own
        return found

    def _take_subcommands_off(self, name: str, tally: Tally) -> None:
        """Leave to a command what is not told of its subcommands. Only COMMAND does
        something by itself.
        """
        tally.failed = 0
        tally.calls -= self._unknown_subcommands[name]
        for other, counts in self.subcommands.items():
            if other.startswith(f"{name}|"):
                tally.calls -= counts.calls + counts.rejected
                tally.seconds -= counts.seconds
        if name != "COMMAND":
            tally.calls, tally.seconds = 0, 0.0

    # -- what is counted on rare paths

    def note_rejection(self, argv: list[bytes]) -> None:
        """Count a command that was refused before it ran. Unknown ones are not counted."""
        bound = lookup(argv[0])
        if bound is None:
            return
        if bound[3].name not in CONTAINERS or len(argv) == 1:
            self.rejected[argv[0]] += 1
            return
        name = f"{bound[3].name}|{argv[1].decode('latin-1').upper()}"
        if name in subcommands():
            self.subcommands[name].rejected += 1
        else:
            self._unknown_subcommands[bound[3].name] += 1

    def execute_subcommand(
        self, name: str, handler: Handler, session: Session, argv: list[bytes]
    ) -> Reply:
        """Execute a subcommand, and count it besides its command."""
        failed = 0
        started_at = perf_counter()
        try:
            return handler(session, argv)
        except CommandFailure:
            failed = 1
            raise
        finally:
            # Looked up now: RESETSTAT forgets those that there were.
            tally = self.subcommands[name]
            tally.calls += 1
            tally.failed += failed
            tally.seconds += perf_counter() - started_at


class Tally:
    """What is counted of a command. False if it is nothing."""

    __slots__ = ("calls", "failed", "rejected", "seconds")

    def __init__(
        self,
        calls: int = 0,
        seconds: float = 0.0,
        rejected: int = 0,
        failed: int = 0,
    ) -> None:
        self.calls = calls
        self.seconds = seconds
        self.rejected = rejected
        self.failed = failed

    def __bool__(self) -> bool:
        return bool(self.calls or self.rejected or self.failed)


def follow_thresholds(engine: Engine) -> None:
    """Let the slow log, the latency monitor and the statistics follow the settings."""

    def take() -> None:
        settings = engine.settings
        slow_us: int = settings["slowlog-log-slower-than"]
        spike_ms: int = settings["latency-monitor-threshold"]
        engine.latency.threshold_ms = spike_ms
        engine.slow_log.resize(settings["slowlog-max-len"])
        engine.statistics.set_thresholds(
            slow_log_s=inf if slow_us < 0 else slow_us / 1e6,
            spike_s=spike_ms / 1000 if spike_ms else inf,
            samples=settings["latency-tracking"],
        )

    take()
    for name in _THRESHOLDS:
        engine.settings.on_change(name, take)


class Rates:
    """What has been counted at the last ticks of the cron, so as to tell speeds."""

    __slots__ = ("_ticks",)

    def __init__(self) -> None:
        self._ticks: deque[tuple[int, int, int, int]] = deque(maxlen=RATE_TICKS + 1)

    def add(self, now_ms: int, *counts: int) -> None:
        """Note three counts at a time."""
        self._ticks.append((now_ms, *counts))  # type: ignore[arg-type]

    def per_second(self) -> tuple[float, float, float]:
        """By how much each count has grown a second."""
        if len(self._ticks) < 2:
            return 0.0, 0.0, 0.0
        first, last = self._ticks[0], self._ticks[-1]
        seconds = max(last[0] - first[0], 1) / 1000
        commands, received, sent = (max(last[i] - first[i], 0) / seconds for i in (1, 2, 3))
        return commands, received, sent


def _by_name(counts: Mapping[bytes, float]) -> dict[str, float]:
    """Counts by upper-case name. Unknown names are left out."""
    found: dict[str, float] = {}
    for spelling, count in counts.items():
        name = spelling.decode("latin-1").upper()
        if name in COMMANDS:
            found[name] = found.get(name, 0) + count
    return found


def _fold(counts: defaultdict[bytes, float]) -> None:
    """Add the counts of all spellings of a name up, and forget unknown names."""
    folded = _by_name(counts)
    counts.clear()
    for name, count in folded.items():
        counts[name.encode("latin-1")] = count
