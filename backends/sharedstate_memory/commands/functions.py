"""FUNCTION and FCALL: libraries of Lua functions, and calling them.

Source: https://redis.io/docs/latest/commands/?group=scripting
"""

from __future__ import annotations

from sharedstate_memory.commands.arguments import parse_integer
from sharedstate_memory.commands.registry import command
from sharedstate_memory.commands.scripting import key_count
from sharedstate_memory.functions import functions_of
from sharedstate_memory.replies import OK, CommandFailure, Members, Status
from sharedstate_memory.scripting import kill_script

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.functions import Function, Functions, Library
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

_NOT_FOUND = b"ERR Function not found"
_BAD_COUNT = b"ERR Bad number of keys provided"
_FLUSH_MODE = b"ERR FUNCTION FLUSH only supports SYNC|ASYNC option"
_WRONG_WORDS = (
    b"ERR unknown subcommand or wrong number of arguments for '%b'. Try FUNCTION HELP."
)
_WRONG_POLICY = (
    b"ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE."
)

_POLICIES = frozenset((b"FLUSH", b"APPEND", b"REPLACE"))


@command("FCALL")
def fcall(session: Session, argv: list[bytes]) -> Reply:
    """FCALL name numkeys [key …] [arg …]: call a function."""
    function, count = _find(session, argv)
    return function.bridge.run(function, session, argv, count)


@command("FCALL_RO")
def fcall_ro(session: Session, argv: list[bytes]) -> Reply:
    """FCALL_RO name numkeys [key …] [arg …]: call a function that only reads."""
    function, count = _find(session, argv)
    return function.bridge.run(function, session, argv, count, read_only=True)


def _find(session: Session, argv: list[bytes]) -> tuple[Function, int]:
    functions = session.engine.functions
    function = None if functions is None else functions.by_name.get(argv[1].lower())
    if function is None:
        raise CommandFailure(_NOT_FOUND)
    try:
        count = parse_integer(argv[2])
    except CommandFailure:
        raise CommandFailure(_BAD_COUNT) from None
    return function, key_count(argv, count)


@command("FUNCTION|LOAD")
def load(session: Session, argv: list[bytes]) -> Reply:
    """Load a library, in place of another one with REPLACE, and return its name."""
    options = argv[2:-1]
    for option in options:
        if option.upper() != b"REPLACE":
            raise CommandFailure(b"ERR Unknown option given: " + option)
    name = functions_of(session.engine).load(argv[-1], replace=bool(options))
    _note_effect(session, argv)
    return name


@command("FUNCTION|DELETE")
def delete(session: Session, argv: list[bytes]) -> Reply:
    """Remove a library and its functions."""
    functions_of(session.engine).delete(argv[2])
    _note_effect(session, argv)
    return OK


@command("FUNCTION|FLUSH")
def flush(session: Session, argv: list[bytes]) -> Reply:
    """Remove all libraries."""
    if len(argv) > 3:
        raise CommandFailure(_WRONG_WORDS % argv[1])
    if len(argv) == 3 and argv[2].upper() not in (b"SYNC", b"ASYNC"):
        raise CommandFailure(_FLUSH_MODE)
    functions_of(session.engine).flush()
    _note_effect(session, argv)
    return OK


@command("FUNCTION|LIST")
def list_(session: Session, argv: list[bytes]) -> Reply:
    """Tell of the libraries, or those whose names match, and of their functions."""
    from sharedstate_memory.glob import compile_glob

    pattern, with_code = _read_list_options(argv[2:])
    matches = compile_glob(pattern.lower())
    return [
        _describe(library, with_code=with_code)
        for library in functions_of(session.engine).libraries.values()
        if matches(library.name.lower())
    ]


def _read_list_options(words: list[bytes]) -> tuple[bytes, bool]:
    pattern: bytes | None = None
    with_code = False
    rest = iter(words)
    for word in rest:
        if word.upper() == b"WITHCODE" and not with_code:
            with_code = True
        elif word.upper() == b"LIBRARYNAME" and pattern is None:
            pattern = next(rest, None)
            if pattern is None:
                raise CommandFailure(b"ERR library name argument was not given")
        else:
            raise CommandFailure(b"ERR Unknown argument " + word)
    return b"*" if pattern is None else pattern, with_code


def _describe(library: Library, *, with_code: bool) -> Reply:
    described: dict[Reply, Reply] = {
        b"library_name": library.name,
        b"engine": b"LUA",
        b"functions": [
            {
                b"name": function.label,
                b"description": function.description,
                b"flags": Members(map(Status, function.flags or ())),
            }
            for function in library.functions.values()
        ],
    }
    if with_code:
        described[b"library_code"] = library.code
    return described


@command("FUNCTION|STATS")
def stats(session: Session, argv: list[bytes]) -> Reply:
    """Tell which function is running, and how many there are."""
    engine = session.engine
    busy = engine.busy
    running: Reply = None
    if busy is not None:
        if not busy.is_function:
            raise CommandFailure(busy.refusal)
        running = {
            b"name": busy.label,
            b"command": busy.argv,
            b"duration_ms": busy.duration_ms(),
        }
    return {b"running_script": running, b"engines": {b"LUA": _count(functions_of(engine))}}


def _count(functions: Functions) -> Reply:
    libraries = functions.libraries.values()
    return {
        b"libraries_count": len(libraries),
        b"functions_count": sum(len(library.functions) for library in libraries),
    }


@command("FUNCTION|KILL")
def kill(session: Session, argv: list[bytes]) -> Reply:
    """End the running function, if it has written nothing."""
    kill_script(session.engine, is_function=True)
    return OK


@command("FUNCTION|DUMP")
def dump(session: Session, argv: list[bytes]) -> Reply:
    """Return all libraries as bytes that FUNCTION RESTORE takes."""
    from sharedstate_memory.rdb.payload import dump_functions

    libraries = functions_of(session.engine).libraries.values()
    return dump_functions(library.code for library in libraries)


@command("FUNCTION|RESTORE")
def restore(session: Session, argv: list[bytes]) -> Reply:
    """Load the libraries of a dump: beside the others, in their place, or in place of
    all.
    """
    from sharedstate_memory.rdb.payload import PayloadError, restore_functions

    if len(argv) > 4:
        raise CommandFailure(_WRONG_WORDS % argv[1])
    policy = argv[3].upper() if len(argv) == 4 else b"APPEND"
    if policy not in _POLICIES:
        raise CommandFailure(_WRONG_POLICY)
    try:
        codes = restore_functions(argv[2])
    except PayloadError as error:
        raise CommandFailure(b"ERR " + str(error).encode()) from None
    functions = functions_of(session.engine)
    functions.restore(codes, flush=policy == b"FLUSH", replace=policy == b"REPLACE")
    _note_effect(session, argv)
    return OK


def _note_effect(session: Session, argv: list[bytes]) -> None:
    """Hand a change of the libraries over, as one of the data."""
    engine = session.engine
    if engine.effects is not None:
        engine.effects.add(session.db.index, argv)
        engine.pending = True
