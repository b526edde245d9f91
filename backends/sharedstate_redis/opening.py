"""How a connection to a single Redis is opened: by redis-py, once for each.

redis-py does what it is good at: addresses, keepalive, TLS, logging in, choosing the
database. Then its socket is taken over by our own `Connection`, which is leaner, and
never repeats a command that it must not repeat. Sentinel is another opener, one that
asks for the primary's address first.

Foreign errors are translated here, and nowhere else.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sharedstate.errors import BackendError, BackendTimeout, CommandError, ConfigError

from .connection import Broken, Connection

if TYPE_CHECKING:
    from sharedstate.backend import Reply
    from sharedstate.config import Settings

DEFAULT_PORT = 6379

_PING = b"*1\r\n$4\r\nPING\r\n"

# How long to wait before asking again whether a server has loaded: at first, at most.
_FIRST_PAUSE_SECONDS = 0.002
_LONGEST_PAUSE_SECONDS = 0.1

# Refusals of the first command that are the server's state, and pass.
_PASSING_REFUSALS = ("MASTERDOWN", "BUSY", "ERR max number of clients")


def opener(settings: Settings) -> Callable[[], Connection]:
    """A function that opens a connection. Raises `ConfigError` for what cannot work.

    It raises `BackendTimeout` and `BackendError` when the server is not reached or not
    ready, and `CommandError` when it refuses the login or the database.
    """
    kind, arguments = _connection_arguments(settings)

    def open_one() -> Connection:
        return _open(kind(**arguments), settings)

    return open_one


def _open(theirs: Any, settings: Settings) -> Connection:
    try:
        theirs.connect()
    except redis.TimeoutError as error:
        raise BackendTimeout(
            f"no connection to {settings} within {settings.connect_timeout:g} seconds: "
            f"check the address, or raise connect_timeout"
        ) from error
    except redis.AuthenticationError as error:
        raise CommandError(
            f"WRONGPASS {settings} refused the login ({error}): check username and password"
        ) from error
    except redis.ConnectionError as error:
        raise _unreachable(settings, str(error)) from error
    except redis.ResponseError as error:
        raise CommandError.from_reply(f"ERR {settings} refused: {error}") from error
    # There is no public way to the socket. The name is the same in all of redis-py 3 to
    # 8; taking the socket away keeps redis-py from shutting it down when collected.
    sock: Any = theirs._sock
    theirs._sock = None
    return _greeted(Connection(sock, timeout=settings.timeout), settings)


def _greeted(connection: Connection, settings: Settings) -> Connection:
    """The connection, once the server has answered on it.

    A server that is full, loading its data or wants a password accepts connections, and
    says so in its first answer: better here than in the middle of somebody's command.
    One that loads is waited for, as long as `connect_timeout` allows.
    """
    give_up_at = time.monotonic() + settings.connect_timeout
    pause = _FIRST_PAUSE_SECONDS
    while True:
        reply = _ping(connection, settings)
        # NOPERM: logged in, as a user who may do other things than PING.
        if not isinstance(reply, CommandError) or reply.code == "NOPERM":
            return connection
        if reply.code != "LOADING":
            break
        if time.monotonic() + pause > give_up_at:
            connection.close()
            raise BackendTimeout(
                f"{settings} still loads its data after {settings.connect_timeout:g} "
                f"seconds: try again later, or raise connect_timeout"
            ) from reply
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
    connection.close()
    if str(reply).startswith(_PASSING_REFUSALS):
        raise BackendError(f"{settings} is not ready: {reply}") from reply
    raise CommandError(f"{reply} ({settings}: check username and password)") from reply


def _ping(connection: Connection, settings: Settings) -> Reply:
    try:
        return connection.call(_PING)
    except Broken as broken:
        kind = BackendTimeout if broken.timed_out else BackendError
        raise kind(
            f"{settings} accepted a connection, but gave no answer ({broken})"
        ) from broken


def _unreachable(settings: Settings, reason: str) -> BackendError:
    return BackendError(
        f"cannot reach {settings}: {reason.rstrip('.')}; "
        f"check the address, and that a server is running there"
    )


def _connection_arguments(
    settings: Settings,
) -> tuple[type[redis.connection.AbstractConnection], dict[str, Any]]:
    """Which of redis-py's connections to make, and with what."""
    address = settings.address
    arguments = {
        "db": _database(settings),
        "username": settings.username or address.username,
        "password": settings.password or address.password,
        "socket_timeout": settings.connect_timeout,
        "socket_connect_timeout": settings.connect_timeout,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_error": [],
        "health_check_interval": 0,
        **_anonymous(),
    }
    if address.scheme == "redis+unix":
        if not address.path:
            raise ConfigError(f"expected the path of a socket, got {settings}")
        arguments["path"] = address.path
        return redis.UnixDomainSocketConnection, arguments
    arguments["host"], arguments["port"] = address.host_and_port(DEFAULT_PORT)
    if address.scheme == "rediss":
        return redis.SSLConnection, arguments | _tls_arguments(settings)
    return redis.Connection, arguments


def _database(settings: Settings) -> int:
    """The database's number: the URL's path, the option, or 0."""
    path = "" if settings.address.scheme == "redis+unix" else settings.address.path
    text = path.strip("/")
    if text and not text.isdecimal():
        raise ConfigError(f"expected a database's number as path, got {text!r}")
    option: Any = settings.option("database")
    if text and option is not None and int(text) != option:
        raise ConfigError(
            f"expected one database, got {text} as path and {option} as database"
        )
    return int(text or option or 0)


def _tls_arguments(settings: Settings) -> dict[str, Any]:
    options = {
        "ssl_ca_certs": settings.option("ca_file"),
        "ssl_certfile": settings.option("cert_file"),
        "ssl_keyfile": settings.option("key_file"),
    }
    for path in options.values():
        # OpenSSL's own error for this says neither which file nor what for.
        if path is not None and not os.path.isfile(str(path)):
            raise ConfigError(f"expected a file of certificates or keys, got {path!r}")
    given = {name: str(path) for name, path in options.items() if path is not None}
    check_hostname = settings.option("check_hostname", True)
    return given | {"ssl_cert_reqs": "required", "ssl_check_hostname": check_hostname}


def _anonymous() -> dict[str, Any]:
    """Arguments that save the two round trips by which redis-py tells its name."""
    if hasattr(redis, "DriverInfo"):
        return {"driver_info": None}
    return {"lib_name": None, "lib_version": None}
