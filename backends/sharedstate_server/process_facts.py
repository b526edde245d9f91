"""What only the owner of an engine knows, for INFO: the process, its files and sockets.

Gathered when somebody asks. On Linux the system is asked by reading `/proc`; where there
is none, what `getrusage` tells has to do.
"""

from __future__ import annotations

import os
import select
from itertools import islice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from sharedstate_memory.information import Facts
    from sharedstate_server.loop import EventLoop

# Asking every one of ten thousand clients would take too long.
_CLIENTS_LOOKED_AT = 256

_STATM = "/proc/self/statm"


def follow(engine: Engine, loop: EventLoop) -> None:
    """Let INFO and MEMORY PURGE of an engine ask for what is known and done here."""
    interpreter_bytes = resident_bytes()

    def gather() -> dict[str, Facts]:
        facts = {
            "Server": _describe_server(engine),
            "Clients": _describe_clients(engine),
            "Memory": _describe_memory(interpreter_bytes),
            "Stats": _describe_loop(loop),
        }
        if engine.persistence is not None:
            facts["Persistence"] = engine.persistence.facts()
            facts["Stats"] |= engine.persistence.fork_facts()
        return facts

    engine.owner_facts = gather
    engine.on_purge = give_back_memory


def _describe_server(engine: Engine) -> Facts:
    settings = engine.settings
    return {
        "multiplexing_api": "epoll" if hasattr(select, "epoll") else "poll",
        "hz": settings["hz"],
        "configured_hz": settings["hz"],
    }


def _describe_clients(engine: Engine) -> Facts:
    largest_input = largest_output = 0
    for session in islice(engine.sessions.values(), _CLIENTS_LOOKED_AT):
        if session.transport is not None:
            facts = session.transport.facts()
            largest_input = max(largest_input, int(facts["qbuf"]))
            largest_output = max(largest_output, int(facts["omem"]))
    return {
        "maxclients": engine.settings["maxclients"],
        "client_recent_max_input_buffer": largest_input,
        "client_recent_max_output_buffer": largest_output,
    }


def _describe_loop(loop: EventLoop) -> Facts:
    return {
        "total_reads_processed": loop.ready_count,
        "eventloop_duration_max": int(loop.longest_turn * 1_000_000),
        "eventloop_duration_cpu_max": int(loop.longest_own_turn * 1_000_000),
    }


def _describe_memory(interpreter_bytes: int) -> Facts:
    from sharedstate_memory.information_memory import human

    resident = resident_bytes()
    return {
        "used_memory_rss": resident,
        "used_memory_rss_human": human(resident),
        "used_memory_interpreter": interpreter_bytes,
    }


def resident_bytes() -> int:
    """What the process takes of the machine's memory; the most that it ever took where
    the system does not tell.
    """
    try:
        with open(_STATM, "rb") as file:
            pages = int(file.read().split()[1])
    except OSError:
        from sharedstate_memory.information_memory import peak_resident_bytes

        return peak_resident_bytes()
    return pages * os.sysconf("SC_PAGE_SIZE")


def give_back_memory() -> None:
    """Let the C library return to the system what is free, if it can be told to."""
    import ctypes  # here, because nothing else needs it

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
