"""EVAL and its kin: Lua scripts, by their text or by the SHA-1 of it.

Source: https://redis.io/docs/latest/develop/programmability/eval-intro/
"""

from __future__ import annotations

from sharedstate_memory.commands.arguments import parse_integer
from sharedstate_memory.commands.registry import command
from sharedstate_memory.replies import OK, CommandFailure
from sharedstate_memory.scripting import kill_script, scripts_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.scripting import Program
    from sharedstate_memory.session import Session

# Reading a count costs more than looking up the usual ones.
_USUAL_COUNTS = {b"%d" % count: count for count in range(10)}

_SHA_LENGTH = 40

_FLUSH_MODE = b"ERR SCRIPT FLUSH only support SYNC|ASYNC option"
_NO_DEBUGGER = b"ERR there is no debugger for scripts: SCRIPT DEBUG NO is all it takes"


@command("EVALSHA")
def evalsha(session: Session, argv: list[bytes]) -> Reply:
    """EVALSHA sha numkeys [key …] [arg …]: run a loaded script.

    A hot path: the usual case is flat, and half a microsecond quicker for it.
    """
    scripts = session.engine.scripts
    script = None if scripts is None else scripts.by_sha.get(argv[1])
    count = _USUAL_COUNTS.get(argv[2])
    if script is None or count is None or count > len(argv) - 3:
        count, script = _find(session, argv)
    return script.bridge.run(script, session, argv, count)


@command("EVALSHA_RO")
def evalsha_ro(session: Session, argv: list[bytes]) -> Reply:
    """EVALSHA_RO sha numkeys [key …] [arg …]: run a loaded script that only reads."""
    count, script = _find(session, argv)
    return script.bridge.run(script, session, argv, count, read_only=True)


@command("EVAL")
def eval_(session: Session, argv: list[bytes]) -> Reply:
    """EVAL script numkeys [key …] [arg …]: load a script and run it."""
    count = _key_count(argv)
    script = scripts_of(session).load(argv[1], keep=False)
    return script.bridge.run(script, session, argv, count)


@command("EVAL_RO")
def eval_ro(session: Session, argv: list[bytes]) -> Reply:
    """EVAL_RO script numkeys [key …] [arg …]: load a script that only reads and run it."""
    count = _key_count(argv)
    script = scripts_of(session).load(argv[1], keep=False)
    return script.bridge.run(script, session, argv, count, read_only=True)


def _find(session: Session, argv: list[bytes]) -> tuple[int, Program]:
    scripts = scripts_of(session)
    if len(argv[1]) != _SHA_LENGTH:
        scripts.find(argv[1])
    count = _key_count(argv)
    return count, scripts.find(argv[1])


def _key_count(argv: list[bytes]) -> int:
    return key_count(argv, parse_integer(argv[2]))


def key_count(argv: list[bytes], count: int) -> int:
    """A number of keys that fits the words of a command. Raises CommandFailure."""
    if count > len(argv) - 3:
        raise CommandFailure(b"ERR Number of keys can't be greater than number of args")
    if count < 0:
        raise CommandFailure(b"ERR Number of keys can't be negative")
    return count


@command("SCRIPT|LOAD")
def load(session: Session, argv: list[bytes]) -> Reply:
    """Keep a script, and return its SHA-1."""
    return scripts_of(session).load(argv[2], keep=True).label


@command("SCRIPT|EXISTS")
def exists(session: Session, argv: list[bytes]) -> Reply:
    """Tell for each hash whether its script is loaded."""
    scripts = scripts_of(session)
    return [int(scripts.knows(sha)) for sha in argv[2:]]


@command("SCRIPT|FLUSH")
def flush(session: Session, argv: list[bytes]) -> Reply:
    """Forget all scripts."""
    if len(argv) > 3 or argv[-1].upper() not in (b"FLUSH", b"SYNC", b"ASYNC"):
        raise CommandFailure(_FLUSH_MODE)
    scripts_of(session).flush()
    return OK


@command("SCRIPT|KILL")
def kill(session: Session, argv: list[bytes]) -> Reply:
    """End the running script, if it has written nothing."""
    kill_script(session.engine, is_function=False)
    return OK


@command("SCRIPT|DEBUG")
def debug(session: Session, argv: list[bytes]) -> Reply:
    """Accept that there is to be no debugging. There is no debugger."""
    if argv[2].upper() == b"NO":
        return OK
    if argv[2].upper() in (b"YES", b"SYNC"):
        raise CommandFailure(_NO_DEBUGGER)
    raise CommandFailure(b"ERR Use SCRIPT DEBUG YES/SYNC/NO")
