"""How a connection to a server is opened: connect, log in, choose the database, and wait
while the server loads its data.

A server that loads accepts connections, and refuses commands (LOADING). Nobody has to
know: who opens a connection waits here, for as long as `connect_timeout` allows.
"""

from __future__ import annotations

import socket
import time

from sharedstate.errors import BackendError, BackendTimeout, CommandError
from sharedstate_server.timeouts import set_timeouts
from sharedstate_server.wire import Wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate.config import Address, Settings

DEFAULT_PORT = 6399

# How long to wait before asking again whether a server has loaded: at first, at most.
_FIRST_PAUSE_SECONDS = 0.002
_LONGEST_PAUSE_SECONDS = 0.1


def unix_opener(
    settings: Settings, path: str, *, may_load: bool = True
) -> Callable[[], Wire]:
    """Opens connections to a Unix socket. Without `may_load`, they cost one round trip
    less, and the server must be one that never loads anything.
    """
    database = str(settings.option("db", 0))

    def open_wire() -> Wire:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        wire = _log_in(settings, sock, path, database)
        if may_load:
            _wait_until_loaded(wire, settings)
        return wire

    return open_wire


def tcp_opener(settings: Settings, address: Address) -> Callable[[], Wire]:
    """Opens connections to a TCP port."""
    host, port = address.host_and_port(DEFAULT_PORT)
    database = address.path.strip("/") or "0"

    def open_wire() -> Wire:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        wire = _log_in(settings, sock, (host, port), database)
        _wait_until_loaded(wire, settings)
        wire.guard()
        return wire

    return open_wire


def _log_in(
    settings: Settings, sock: socket.socket, target: str | tuple[str, int], database: str
) -> Wire:
    """Connect a socket, authenticate, choose the database. Raises `BackendError`."""
    try:
        # The kernel's time-out: with Python's, a Unix socket would not wait for a place
        # in a full queue.
        set_timeouts(sock, settings.connect_timeout)
        sock.connect(target)
        wire = Wire(sock, settings.timeout)
        if settings.password is not None:
            user = (settings.username,) if settings.username else ()
            wire.call("AUTH", *user, settings.password)
        if database != "0":
            wire.call("SELECT", database)
    except CommandError as error:
        sock.close()
        message = f"{error} ({settings}: check username, password and database)"
        raise CommandError.from_reply(message) from error
    except (TimeoutError, BlockingIOError) as error:
        sock.close()
        raise BackendTimeout(
            f"{settings} did not accept a connection within {settings.connect_timeout:g} s"
        ) from error
    except OSError as error:
        sock.close()
        raise BackendError(
            f"cannot connect to {settings}: {error}; does it run there?"
        ) from error
    return wire


def _wait_until_loaded(wire: Wire, settings: Settings) -> None:
    """Return when the server executes commands. Raises `BackendTimeout`, with how far it
    is, if it still loads its data after `connect_timeout`. One round trip usually.
    """
    give_up_at = time.monotonic() + settings.connect_timeout
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            wire.call("PING")
        except CommandError as error:
            if error.code != "LOADING":
                return  # The first command is told the same, and knows what to say of it.
            refusal = error
        except OSError as error:
            wire.close()
            raise _broken(settings, error) from error
        else:
            return
        if time.monotonic() + pause > give_up_at:
            raise _still_loading(wire, settings) from refusal
        _say_waiting(settings, pause)
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


def _say_waiting(settings: Settings, pause: float) -> None:
    if pause == _FIRST_PAUSE_SECONDS:
        from sharedstate.log import get_logger  # here, because it imports logging

        get_logger("server").info("%s loads its data: waiting", settings)


def _broken(settings: Settings, error: OSError) -> BackendError:
    if isinstance(error, (TimeoutError, BlockingIOError)):
        return BackendTimeout(
            f"{settings} accepted a connection, and gave no answer within "
            f"{settings.timeout:g} s"
        )
    return BackendError(f"{settings} ended a new connection: {error}; does it run there?")


def _still_loading(wire: Wire, settings: Settings) -> BackendTimeout:
    """What to tell who has waited long enough. Closes the connection."""
    try:
        progress = _progress(wire.call("INFO", "persistence"))
    except (CommandError, OSError) as error:
        progress = f"how far it is, it does not say: {error}"
    finally:
        wire.close()
    return BackendTimeout(
        f"{settings} still loads its data after {settings.connect_timeout:g} s "
        f"({progress}): try again later, or raise connect_timeout="
    )


def _progress(information: bytes) -> str:
    lines = information.decode("utf-8", "replace").splitlines()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    done = facts.get("loading_loaded_perc", "0")
    left = facts.get("loading_eta_seconds", "?")
    return f"{float(done):.0f} % done, about {left} s left"
