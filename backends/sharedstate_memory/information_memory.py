"""INFO's section about memory, and the facts that MEMORY STATS and MEMORY DOCTOR share.

`used_memory` is what is counted (`sizes.py`) and what `maxmemory` bounds: data, scripts
and buffers, and nothing of the interpreter. What the process really takes is
`used_memory_rss`, and what it took before there was any data `used_memory_interpreter`:
both are the owner's to tell. An engine by itself knows no more than the most it ever took.

The interpreter's allocator cannot be asked what it keeps. So fragmentation is what the
process takes beyond the interpreter and what is counted.
"""

from __future__ import annotations

import os
import sys

from sharedstate_memory.sizes import DEADLINE, KEY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from sharedstate_memory.information import Facts

_UNITS = ("B", "K", "M", "G", "T")


def human(count: int) -> str:
    """Bytes in the biggest unit of which there is one at least, as Redis writes them."""
    if count < 1024:
        return f"{count}B"
    power = 0
    amount = float(count)
    while amount >= 1024 and power < len(_UNITS) - 1:
        amount /= 1024
        power += 1
    return f"{amount:.2f}{_UNITS[power]}"


def peak_resident_bytes() -> int:
    """The most memory that the process ever took."""
    import resource  # here, because starting does without it

    # Kilobytes, but for macOS, where it is bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def process_bytes(engine: Engine) -> tuple[int, int]:
    """What the process takes, and what of it the data and the interpreter explain.

    What the owner does not know: the most that was ever taken, all of it explained.
    """
    owners = engine.owner_facts() if engine.owner_facts is not None else {}
    facts = owners.get("Memory", {})
    resident = int(facts.get("used_memory_rss", 0)) or peak_resident_bytes()
    interpreter = facts.get("used_memory_interpreter")
    if interpreter is None:
        return resident, resident
    return resident, used_bytes(engine) + int(interpreter)


def used_bytes(engine: Engine) -> int:
    """What is counted against `maxmemory`: data, scripts, and the clients' buffers."""
    return max(engine.used_bytes + engine.overhead_bytes(), 0)


def overhead_bytes(engine: Engine) -> int:
    """What of the count is not values: keys' places and deadlines, scripts, buffers."""
    keys = sum(len(db.data) for db in engine.databases)
    deadlines = sum(len(db.deadlines) for db in engine.databases)
    places = min(KEY * keys + DEADLINE * deadlines, engine.used_bytes)
    return places + engine.overhead_bytes()


def peak_bytes(engine: Engine) -> int:
    """The most that was ever counted, as far as anybody looked."""
    statistics = engine.statistics
    statistics.peak_bytes = max(statistics.peak_bytes, used_bytes(engine))
    return statistics.peak_bytes


def describe_memory(engine: Engine) -> Facts:
    """What is counted, what the process takes, and how the two compare."""
    used, (resident, explained) = used_bytes(engine), process_bytes(engine)
    peak, overhead = peak_bytes(engine), overhead_bytes(engine)
    pending, freed = engine.disposals
    return {
        "used_memory": used,
        "used_memory_human": human(used),
        "used_memory_rss": resident,
        "used_memory_rss_human": human(resident),
        "used_memory_peak": peak,
        "used_memory_peak_human": human(peak),
        "used_memory_peak_perc": f"{percent(used, peak):.2f}%",
        "used_memory_overhead": overhead,
        "used_memory_startup": 0,
        "used_memory_dataset": used - overhead,
        "used_memory_dataset_perc": f"{percent(used - overhead, used):.2f}%",
        "allocator_allocated": explained,
        "allocator_active": explained,
        "allocator_resident": resident,
        **_describe_system(),
        **_describe_scripts(engine),
        **_describe_limit(engine),
        **_describe_fragmentation(explained, resident),
        "mem_not_counted_for_evict": 0,
        "mem_replication_backlog": 0,
        "mem_total_replication_buffers": 0,
        "mem_clients_slaves": 0,
        "mem_clients_normal": engine.client_bytes,
        "mem_cluster_links": 0,
        "mem_aof_buffer": 0,
        "mem_allocator": sys.implementation.name,
        "active_defrag_running": 0,
        "lazyfree_pending_objects": pending,
        "lazyfreed_objects": freed,
    }


def percent(part: int, whole: int) -> float:
    """A part in hundredths of the whole; all of it if there is nothing."""
    return 100 * part / whole if whole else 100.0


def ratio(part: int, whole: int) -> float:
    """How many times the whole a part is; once if there is nothing."""
    return part / whole if whole else 1.0


def _describe_fragmentation(explained: int, resident: int) -> Facts:
    beyond = resident - explained
    times = f"{ratio(resident, explained):.2f}"
    return {
        "allocator_frag_ratio": "1.00",
        "allocator_frag_bytes": 0,
        "allocator_rss_ratio": times,
        "allocator_rss_bytes": beyond,
        "rss_overhead_ratio": "1.00",
        "rss_overhead_bytes": 0,
        "mem_fragmentation_ratio": times,
        "mem_fragmentation_bytes": beyond,
    }


def _describe_system() -> Facts:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {"total_system_memory": total, "total_system_memory_human": human(total)}


def _describe_scripts(engine: Engine) -> Facts:
    """Scripts and functions have a runtime each, which holds their texts, too."""
    scripts, functions = engine.scripts, engine.functions
    for_scripts = 0 if scripts is None else scripts.used_bytes()
    for_functions = 0 if functions is None else functions.used_bytes()
    return {
        "used_memory_lua": for_scripts,
        "used_memory_vm_eval": for_scripts,
        "used_memory_lua_human": human(for_scripts),
        "used_memory_scripts_eval": 0,
        "number_of_cached_scripts": 0 if scripts is None else len(scripts.by_sha),
        "number_of_functions": 0 if functions is None else len(functions.by_name),
        "number_of_libraries": 0 if functions is None else len(functions.libraries),
        "used_memory_vm_functions": for_functions,
        "used_memory_vm_total": for_scripts + for_functions,
        "used_memory_vm_total_human": human(for_scripts + for_functions),
        "used_memory_functions": 0,
        "used_memory_scripts": 0,
        "used_memory_scripts_human": "0B",
    }


def _describe_limit(engine: Engine) -> Facts:
    limit = engine.settings["maxmemory"]
    return {
        "maxmemory": limit,
        "maxmemory_human": human(limit),
        "maxmemory_policy": engine.settings["maxmemory-policy"],
    }
