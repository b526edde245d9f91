"""Reading a snapshot: at the start, and for DEBUG RELOAD."""

from __future__ import annotations

from sharedstate_memory.rdb.errors import RdbError
from sharedstate_memory.rdb.loader import load
from sharedstate_memory.rdb.source import RdbSource
from sharedstate_memory.replies import CommandFailure
from sharedstate_server import failpoints

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharedstate_memory.engine import Engine
    from sharedstate_server.persistence import Persistence

_CANNOT_LOAD = b"ERR Error trying to load the RDB dump, check server logs."
_CANNOT_LOAD_LOG = b"ERR Error trying to load the AOF files, check server logs."


def read_snapshot(
    persistence: Persistence, path: str, *, replaces: bool = False
) -> Iterator[int]:
    """Load a file into the engine. Yields the bytes read so far, every few milliseconds.
    Raises `RdbError` and `OSError`, with what came before loaded.
    """
    snapshots = persistence.snapshots
    if failpoints.armed:
        failpoints.hit("rdb.read")
    with open(path, "rb") as file:
        source = RdbSource(file)
        for size in load(
            source,
            persistence.engine,
            checksum=persistence.settings["rdbchecksum"],
            replaces=replaces,
        ):
            snapshots.loaded_keys = source.keys_loaded
            snapshots.dropped_keys = source.keys_expired
            yield size
    persistence.server.log(
        f"Done loading RDB, keys loaded: {source.keys_loaded}, keys expired:"
        f" {source.keys_expired}."
    )


def reload(persistence: Persistence, *, saves: bool, flushes: bool, merges: bool) -> None:
    """DEBUG RELOAD, as `Persistence.reload` says."""
    snapshots = persistence.snapshots
    if saves and not snapshots.save_now():
        raise CommandFailure(b"ERR")
    if flushes:
        remove_everything(persistence.engine)
    try:
        for _ in read_snapshot(persistence, snapshots.path, replaces=merges):
            pass
    except (RdbError, OSError) as error:
        persistence.server.log(f"DEBUG RELOAD of {snapshots.path}: {error}", "warning")
        raise CommandFailure(_CANNOT_LOAD) from error
    snapshots.note_in_step()
    persistence.server.log("DB reloaded by DEBUG RELOAD", "warning")


def reload_log(persistence: Persistence) -> None:
    """DEBUG LOADAOF, as `Persistence.reload_log` says."""
    from sharedstate_server.loading import set_loading

    log = persistence.log
    if log is None or not log.is_on:
        raise CommandFailure(b"ERR there is no log: appendonly is no")
    set_loading(persistence.server, is_loading=True)
    try:
        steps = log.reload()
        next(steps)
        remove_everything(persistence.engine)
        for _ in steps:
            pass
    except (ValueError, OSError) as error:
        persistence.server.log(f"DEBUG LOADAOF: {error}", "warning")
        raise CommandFailure(_CANNOT_LOAD_LOG) from error
    finally:
        set_loading(persistence.server, is_loading=False)
        # Who waited for what is there now is served when this command ends.
        engine = persistence.engine
        engine.pending = engine.pending or bool(engine.waits.ready)
    persistence.server.log("Append Only File loaded by DEBUG LOADAOF", "warning")


def remove_everything(engine: Engine) -> None:
    """Remove all keys and functions, and have no log or replica told of it."""
    for db in engine.databases:
        db.flush()
    if engine.functions is not None:
        engine.functions.flush()
    if engine.effects is not None:
        engine.effects.forget_command()
