"""The latency monitor: when something took longer than a client should have to wait.

Whatever can hold the loop up measures itself and is recorded as an event with a name:
`command`, `fast-command`, `expire-cycle`, `eviction-cycle`, `loop-turn` and so on. Of
each event the last `MAX_SAMPLES` are kept, one a second: the longest of it.

Nothing is kept while `threshold_ms` is 0, as it is until somebody asks for it
(`latency-monitor-threshold`).

Source: https://redis.io/docs/latest/operate/oss_and_stack/management/optimization/latency-monitor/
"""

from __future__ import annotations

from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MAX_SAMPLES = 160


class Spikes:
    """What is kept of one event: (second, milliseconds) of its latest spikes."""

    __slots__ = ("samples", "worst_ms")

    def __init__(self) -> None:
        self.samples: deque[tuple[int, int]] = deque(maxlen=MAX_SAMPLES)
        self.worst_ms = 0

    def add(self, second: int, milliseconds: int) -> None:
        """Note a spike; of those of one second, the longest counts."""
        self.worst_ms = max(self.worst_ms, milliseconds)
        if self.samples and self.samples[-1][0] == second:
            milliseconds = max(milliseconds, self.samples.pop()[1])
        self.samples.append((second, milliseconds))


class Latency:
    """The events of one engine that took long."""

    __slots__ = ("_clock_ms", "events", "threshold_ms")

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self.threshold_ms = 0
        """From how many milliseconds on an event is recorded; 0 for never."""
        self.events: dict[str, Spikes] = {}

    def record(self, event: str, milliseconds: float) -> None:
        """Note that something took so long, if that is as much as the threshold."""
        if not 0 < self.threshold_ms <= milliseconds:
            return
        spikes = self.events.get(event)
        if spikes is None:
            spikes = self.events[event] = Spikes()
        spikes.add(self._clock_ms() // 1000, int(milliseconds))

    def reset(self, names: list[str] | None = None) -> int:
        """Forget some events, or all. Returns how many there were."""
        wanted = list(self.events) if names is None else names
        return sum(self.events.pop(name, None) is not None for name in wanted)
