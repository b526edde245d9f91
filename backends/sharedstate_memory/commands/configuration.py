"""CONFIG: the settings of the server, while it runs."""

from __future__ import annotations

from sharedstate_memory.commands.registry import command
from sharedstate_memory.replies import OK, SYNTAX_ERROR, CommandFailure
from sharedstate_memory.settings import ChangeError, UnknownSettingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session


@command("CONFIG|GET")
def get(session: Session, argv: list[bytes]) -> Reply:
    """The settings whose names match, and their values."""
    return session.engine.settings.matching(argv[2:])


@command("CONFIG|SET")
def set_(session: Session, argv: list[bytes]) -> Reply:
    """Change settings while the server runs: all of those named, or none."""
    if len(argv) % 2:
        raise CommandFailure(SYNTAX_ERROR)
    words = [word.decode("utf-8", "surrogateescape") for word in argv[2:]]
    pairs = list(zip(words[::2], words[1::2], strict=True))
    try:
        session.engine.settings.change(pairs, is_local=_is_local(session.address))
    except UnknownSettingError as error:
        raise CommandFailure(
            _encoded(
                f"ERR Unknown option or number of arguments for CONFIG SET - '{error}'"
            )
        ) from error
    except ChangeError as error:
        raise CommandFailure(
            _encoded(
                f"ERR CONFIG SET failed (possibly related to argument '{error.name}')"
                f" - {error.reason}"
            )
        ) from error
    return OK


@command("CONFIG|RESETSTAT")
def reset_statistics(session: Session, argv: list[bytes]) -> Reply:
    """Let the counters of INFO begin again."""
    session.engine.reset_statistics()
    return OK


@command("CONFIG|REWRITE")
def rewrite(session: Session, argv: list[bytes]) -> Reply:
    """Write the present settings into the configuration file."""
    write = session.engine.settings.rewrite
    if write is None:
        raise CommandFailure(b"ERR The server is running without a config file")
    try:
        write()
    except OSError as error:
        reason = error.strerror or str(error)
        raise CommandFailure(_encoded(f"ERR Rewriting config file: {reason}")) from error
    return OK


def _is_local(address: bytes) -> bool:
    """Whether a client is on this machine: in the process, on a Unix socket, or on the
    loopback interface.
    """
    return not address or b"/" in address or address.startswith((b"127.", b"[::1]:"))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
