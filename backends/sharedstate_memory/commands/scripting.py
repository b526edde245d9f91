"""EVAL and its kin: Lua scripts, by their text or by the SHA-1 of it.

Source: https://redis.io/docs/latest/develop/programmability/eval-intro/
"""

from __future__ import annotations

import sys

from sharedstate_memory.commands.arguments import parse_integer
from sharedstate_memory.commands.registry import command, run_subcommand
from sharedstate_memory.replies import OK, CommandFailure
from sharedstate_memory.scripting import scripts_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.commands.registry import Subcommand
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

# Reading a count costs more than looking up the usual ones.
_USUAL_COUNTS = {b"%d" % count: count for count in range(10)}

_SHA_LENGTH = 40

_FLUSH_MODE = b"ERR SCRIPT FLUSH only support SYNC|ASYNC option"
_NOT_BUSY = b"NOTBUSY No scripts in execution right now."


@command("EVALSHA")
def evalsha(session: Session, argv: list[bytes]) -> Reply:
    """EVALSHA sha numkeys [key …] [arg …]: run a loaded script.

    A hot path: the usual case is flat, and half a microsecond quicker for it.
    """
    scripts = session.engine.scripts
    script = None if scripts is None else scripts.by_sha.get(argv[1])
    count = _USUAL_COUNTS.get(argv[2])
    if script is None or count is None or count > len(argv) - 3:
        return _run_by_sha(session, argv, read_only=False)
    return script.bridge.run(script, session, count, argv[3:])


@command("EVALSHA_RO")
def evalsha_ro(session: Session, argv: list[bytes]) -> Reply:
    """EVALSHA_RO sha numkeys [key …] [arg …]: run a loaded script that only reads."""
    return _run_by_sha(session, argv, read_only=True)


@command("EVAL")
def eval_(session: Session, argv: list[bytes]) -> Reply:
    """EVAL script numkeys [key …] [arg …]: load a script and run it."""
    return _run_by_text(session, argv, read_only=False)


@command("EVAL_RO")
def eval_ro(session: Session, argv: list[bytes]) -> Reply:
    """EVAL_RO script numkeys [key …] [arg …]: load a script that only reads and run it."""
    return _run_by_text(session, argv, read_only=True)


@command("SCRIPT")
def script(session: Session, argv: list[bytes]) -> Reply:
    """SCRIPT LOAD | EXISTS | FLUSH | KILL | HELP."""
    return run_subcommand(session, argv, _SUBCOMMANDS)


def _run_by_sha(session: Session, argv: list[bytes], *, read_only: bool) -> Reply:
    scripts = scripts_of(session)
    if len(argv[1]) != _SHA_LENGTH:
        scripts.find(argv[1])
    count = _key_count(argv)
    loaded = scripts.find(argv[1])
    return loaded.bridge.run(loaded, session, count, argv[3:], read_only=read_only)


def _run_by_text(session: Session, argv: list[bytes], *, read_only: bool) -> Reply:
    count = _key_count(argv)
    loaded = scripts_of(session).load(argv[1], keep=False)
    return loaded.bridge.run(loaded, session, count, argv[3:], read_only=read_only)


def _key_count(argv: list[bytes]) -> int:
    count = parse_integer(argv[2])
    if count > len(argv) - 3:
        raise CommandFailure(b"ERR Number of keys can't be greater than number of args")
    if count < 0:
        raise CommandFailure(b"ERR Number of keys can't be negative")
    return count


def _load(session: Session, argv: list[bytes]) -> Reply:
    return scripts_of(session).load(argv[2], keep=True).sha


def _exists(session: Session, argv: list[bytes]) -> Reply:
    scripts = scripts_of(session)
    return [int(scripts.knows(sha)) for sha in argv[2:]]


def _flush(session: Session, argv: list[bytes]) -> Reply:
    if len(argv) > 3 or argv[-1].upper() not in (b"FLUSH", b"SYNC", b"ASYNC"):
        raise CommandFailure(_FLUSH_MODE)
    scripts_of(session).flush()
    return OK


def _kill(session: Session, argv: list[bytes]) -> Reply:
    # One thread runs the engine: whoever asks finds no script running.
    raise CommandFailure(_NOT_BUSY)


def _help(session: Session, argv: list[bytes]) -> Reply:
    return [
        b"SCRIPT <subcommand> [<arg> ...]. Subcommands are:",
        b"LOAD <script>",
        b"    Keep a script, and return its SHA-1.",
        b"EXISTS <sha1> [<sha1> ...]",
        b"    Tell for each hash whether its script is loaded.",
        b"FLUSH [ASYNC|SYNC]",
        b"    Forget all scripts.",
        b"KILL",
        b"    End the running script.",
        b"HELP",
        b"    Print this help.",
    ]


_SUBCOMMANDS: dict[bytes, Subcommand] = {
    b"LOAD": (_load, 3, 3),
    b"EXISTS": (_exists, 3, sys.maxsize),
    b"FLUSH": (_flush, 2, sys.maxsize),
    b"KILL": (_kill, 2, 2),
    b"HELP": (_help, 2, 2),
}
