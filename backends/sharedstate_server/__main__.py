"""The command of the server: `python -m sharedstate_server`, `sharedstate serve`."""

from __future__ import annotations

import argparse
import gc
import os
import sys

from sharedstate_server.backend import DEFAULT_PORT
from sharedstate_server.folders import LOCK_SECONDS, SOCKET_NAME, lock_of
from sharedstate_server.server import MAX_CLIENTS, Server

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sharedstate serve",
        description="Serve shared state over the Redis protocol, until SIGTERM or Ctrl-C.",
        epilog="Exit codes: 0 ended as asked, 1 could not start, 2 wrong arguments.",
    )
    add = parser.add_argument
    add("--port", type=int, help=f"TCP port ({DEFAULT_PORT}; 0 takes a free one)")
    add("--bind", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    add("--unix", metavar="PATH", help="listen on this Unix socket; no TCP without --port")
    add("--dir", metavar="FOLDER", help="listen on FOLDER/server.sock, as local:///FOLDER")
    add("--password", help="ask for this password (seen by `ps`: prefer --password-file)")
    add("--password-file", metavar="PATH", help="… the first line of this file")
    add("--max-clients", type=_positive, default=MAX_CLIENTS, help=f"({MAX_CLIENTS})")
    add("--port-file", metavar="PATH", help="write the TCP port here when listening")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a server in the foreground. Returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.port is not None and not 0 <= options.port < 65536:
        parser.error(f"expected a port from 0 to 65535, got {options.port}")
    try:
        server = Server(password=_password(options), max_clients=options.max_clients)
        _listen(server, options)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"sharedstate serve: {error}\n")
        return 1
    gc.freeze()
    server.run()
    return 0


def _password(options: argparse.Namespace) -> str | None:
    if options.password_file is None:
        password: str | None = options.password
        if password == "":
            raise ValueError("expected a password, got an empty one: is a variable unset?")
        return password
    with open(options.password_file, encoding="utf-8") as file:
        password = file.readline().rstrip("\r\n")
    if not password:
        raise ValueError(
            f"expected a password in {options.password_file}, got an empty line"
        )
    return password


def _listen(server: Server, options: argparse.Namespace) -> None:
    """Listen wherever the options say; on the default port if they say nothing."""
    if options.dir is not None:
        os.makedirs(options.dir, mode=0o700, exist_ok=True)
        lock = lock_of(options.dir)
        if not lock.take(LOCK_SECONDS):
            raise OSError(f"another program is starting the server of {options.dir}")
        with lock:
            server.listen_unix(os.path.join(options.dir, SOCKET_NAME))
    if options.unix is not None:
        server.listen_unix(options.unix)
    if options.port is None and (options.unix or options.dir):
        server.log("ready on a Unix socket")
        return
    port = server.listen_tcp(
        options.bind, DEFAULT_PORT if options.port is None else options.port
    )
    if options.port_file is not None:
        _write_whole(options.port_file, f"{port}\n")
    server.log(f"ready on {options.bind}:{port}")


def _write_whole(path: str, text: str) -> None:
    """Write a small file so that a reader sees all of it, or none."""
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)


if __name__ == "__main__":
    sys.exit(main())
