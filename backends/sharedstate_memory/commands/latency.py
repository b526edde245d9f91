"""LATENCY: what held the server up, and how long commands take."""

from __future__ import annotations

from sharedstate_memory.commands.registry import command
from sharedstate_memory.latency_report import diagnose, draw
from sharedstate_memory.replies import CommandFailure, Verbatim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session


@command("LATENCY|LATEST")
def latest(session: Session, argv: list[bytes]) -> Reply:
    """Of each event: its name, when it was last, how long it took, and the longest."""
    return [
        [name.encode("latin-1"), *spikes.samples[-1], spikes.worst_ms]
        for name, spikes in session.engine.latency.events.items()
    ]


@command("LATENCY|HISTORY")
def history(session: Session, argv: list[bytes]) -> Reply:
    """The latest samples of an event, oldest first: when it was, and how long it took."""
    spikes = session.engine.latency.events.get(argv[2].decode("latin-1"))
    return [] if spikes is None else [list(sample) for sample in spikes.samples]


@command("LATENCY|RESET")
def reset(session: Session, argv: list[bytes]) -> Reply:
    """Forget some events, or all, and say how many there were."""
    names = [name.decode("latin-1") for name in argv[2:]]
    return session.engine.latency.reset(names or None)


@command("LATENCY|GRAPH")
def graph(session: Session, argv: list[bytes]) -> Reply:
    """The latest samples of an event as a drawing."""
    spikes = session.engine.latency.events.get(argv[2].decode("latin-1"))
    if spikes is None:
        event = argv[2].partition(b"\0")[0]
        raise CommandFailure(b"ERR No samples available for event '%s'" % event)
    now_s = session.engine.now_ms // 1000
    return Verbatim(draw(argv[2].decode("latin-1"), spikes, now_s).encode("latin-1"))


@command("LATENCY|DOCTOR")
def doctor(session: Session, argv: list[bytes]) -> Reply:
    """What was found, in words, with advice."""
    return Verbatim(diagnose(session.engine).encode("latin-1"))


@command("LATENCY|HISTOGRAM")
def histograms(session: Session, argv: list[bytes]) -> Reply:
    """Of each command: how many calls took up to 1, 2, 4 … microseconds."""
    statistics = session.engine.statistics
    wanted = {name.decode("latin-1").upper() for name in argv[2:]}
    tallies = statistics.commands()
    found: dict[Reply, Reply] = {}
    for name, histogram in statistics.histograms.items():
        if wanted and not {name, name.partition("|")[0]} & wanted:
            continue
        calls = tallies[name].calls if name in tallies else 0
        total = max(calls, histogram.samples)
        buckets = histogram.powers_of_two(total)
        found[name.lower().encode()] = {b"calls": total, b"histogram_usec": buckets}
    return found
