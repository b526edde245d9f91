"""The latency monitor's samples in words and as a drawing, for LATENCY DOCTOR and GRAPH."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharedstate_memory.engine import Engine
    from sharedstate_memory.latency import Spikes

_ROWS = 4
_WIDTH = 80

# What the top of a column looks like when it ends within a row, from low to high.
_TOPS = "_o#"

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))

_DISABLED = (
    "The latency monitor is off. Switch it on by a threshold in milliseconds, with CONFIG "
    "SET latency-monitor-threshold; whatever takes longer will be found here.\n"
)
_NOTHING = "Nothing has taken longer than the latency monitor's threshold so far.\n"

# Advice by the events that call for it.
_ADVICE = {
    "command": (
        "Look into the slow log for the commands that take long: one that walks through a "
        "big key or many keys holds everybody up. SCAN and its like do the same in pieces.",
        "Let the slow log note what the monitor notes: 'CONFIG SET "
        "slowlog-log-slower-than {slow_us}' (in microseconds) does.",
    ),
    "fast-command": (
        "Commands that should be quick were not: the machine may be short of processor "
        "time or memory, or the process was stopped for a while.",
    ),
    "expire-cycle": (
        "Many keys expire at once. Spread their deadlines, or set active-expire-effort.",
    ),
    "eviction-cycle": (
        "Making room takes long. Raise maxmemory, or store fewer big values.",
    ),
    "loop-turn": (
        "A turn of the event loop took long: many clients asked for much at a time. "
        "Smaller pipelines and smaller replies help.",
    ),
}


def draw(event: str, spikes: Spikes, now_s: int) -> str:
    """The samples of an event as columns, oldest first, each above its age."""
    samples = [*spikes.samples][-_WIDTH:]
    heights = [milliseconds for _, milliseconds in samples]
    low, high = min(heights), max(heights)
    title = (
        f"{event} - high {high} ms, low {low} ms (all time high {spikes.worst_ms} ms)\n"
        f"{'-' * _WIDTH}\n"
    )
    columns = [
        _column(height - low, high - low) + _age(now_s - second)
        for (second, _), height in zip(samples, heights, strict=True)
    ]
    depth = max(map(len, columns))
    rows = zip(*(column.ljust(depth) for column in columns), strict=True)
    return title + "".join("".join(row) + "\n" for row in rows)


def _column(height: int, highest: int) -> str:
    """A column from top to bottom: blank, its top, and its trunk."""
    steps = _ROWS * len(_TOPS) - 1
    step = steps * height // highest if highest else 0
    trunk, top = divmod(step, len(_TOPS))
    return " " * (_ROWS - 1 - trunk) + _TOPS[top] + "|" * trunk


def _age(seconds: int) -> str:
    """An age to be read downwards, in its biggest unit."""
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return "0s"


def diagnose(engine: Engine) -> str:
    """What was found, and what may help."""
    latency = engine.latency
    if not latency.events:
        return _NOTHING if latency.threshold_ms else _DISABLED
    lines = ["These events have taken longer than the latency monitor's threshold:", ""]
    for number, (name, spikes) in enumerate(latency.events.items(), 1):
        lines.append(f"{number}. {name}: {_summarize(spikes)}")
    lines += ["", "What may help:", ""]
    slow_us = 1000 * (latency.threshold_ms or 1)
    for name in latency.events:
        lines += [f"- {text.format(slow_us=slow_us)}" for text in _ADVICE.get(name, ())]
    return "\n".join(lines) + "\n"


def _summarize(spikes: Spikes) -> str:
    heights = [milliseconds for _, milliseconds in spikes.samples]
    mean = sum(heights) / len(heights)
    deviation = sum(abs(height - mean) for height in heights) / len(heights)
    return (
        f"{len(heights)} latency spikes (average {mean:.0f}ms, mean deviation "
        f"{deviation:.0f}ms, period {_period(spikes.samples):.2f} sec). Worst all time "
        f"event {spikes.worst_ms}ms."
    )


def _period(samples: Sequence[tuple[int, int]]) -> float:
    """How many seconds lie between two spikes, on average."""
    if len(samples) < 2:
        return 0.0
    return (samples[-1][0] - samples[0][0]) / (len(samples) - 1)
