"""The command of the server: `python -m sharedstate_server`, `sharedstate serve`."""

from __future__ import annotations

import argparse
import errno
import os
import sys

from sharedstate_memory.directive_kinds import SettingError, quote_always
from sharedstate_server.admission import refuse_open_address
from sharedstate_server.backend import DEFAULT_PORT
from sharedstate_server.config_file import ConfigError, ConfigLoader, check_users
from sharedstate_server.directives import server_settings
from sharedstate_server.durability import (
    DEFAULT_LEVEL,
    LEVELS,
    LOG_DIRECTIVE,
    POLICY_DIRECTIVE,
    folder_directives,
    policy_of,
)
from sharedstate_server.folders import LOCK_SECONDS, SOCKET_NAME, lock_of, make_folder
from sharedstate_server.garbage import keep_looks_short
from sharedstate_server.server_log import log_from, to_stderr
from sharedstate_server.starting import (
    CannotStartError,
    follow_folder,
    keep_pid_file,
    new_server,
    open_endpoints,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharedstate_memory.settings import Settings
    from sharedstate_server.server import Server


class ContradictionError(Exception):
    """What `--durability` asks for, other arguments rule out."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sharedstate serve",
        description="Serve shared state over the Redis protocol, until SIGTERM or Ctrl-C.",
        epilog="Exit codes: 0 ended as asked, 1 could not start, 2 wrong arguments.",
    )
    add = parser.add_argument
    add("--port", type=int, help=f"TCP port ({DEFAULT_PORT}; 0 takes a free one)")
    add("--bind", help="address to listen on (127.0.0.1)")
    add("--unix", metavar="PATH", help="listen on this Unix socket; no TCP without --port")
    add(
        "--dir",
        metavar="FOLDER",
        help="keep the data in this folder, and listen on FOLDER/server.sock, as "
        "local:///FOLDER does",
    )
    add(
        "--durability",
        choices=LEVELS,
        help=f"what a crash may take from --dir ({DEFAULT_LEVEL}: two seconds at most)",
    )
    add("--password", help="ask for this password (seen by `ps`: prefer --password-file)")
    add("--password-file", metavar="PATH", help="… the first line of this file")
    add("--max-clients", type=_positive, help="so many clients at once (10000)")
    add("--port-file", metavar="PATH", help="write the TCP port here when listening")
    add("--config", metavar="FILE", help="read settings from this file, as redis.conf")
    add(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="change a setting of redis.conf, such as maxmemory=100mb; may be repeated",
    )
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 on, got {text!r}")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a server in the foreground. Returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.port is not None and not 0 <= options.port < 65536:
        parser.error(f"expected a port from 0 to 65535, got {options.port}")
    if options.durability is not None and options.dir is None:
        parser.error("--durability needs --dir, the folder to keep the data in")
    for pair in options.set:
        if "=" not in pair:
            parser.error(f"expected NAME=VALUE, got {pair!r}")
    try:
        server = _server(options)
    except ContradictionError as error:
        parser.error(str(error))
    except (OSError, ValueError, ConfigError, CannotStartError) as error:
        sys.stderr.write(f"sharedstate serve: {error}\n")
        return 1
    keep_looks_short()
    server.run()
    return 1 if server.failure else 0


def _server(options: argparse.Namespace) -> Server:
    """A server that listens. Raises what is wrong with the options, or in the way."""
    loader = ConfigLoader(server_settings())
    settings = loader.settings
    follow_folder(settings)
    # Before `dir` leads elsewhere.
    path = None if options.config is None else os.path.abspath(options.config)
    password = _password(options)
    _load(options, loader, password)
    server = new_server(loader, log_from(settings, to_stderr), path)
    server.catch_signals()
    for address in settings["bind"]:
        # Whatever protected mode says.
        refuse_open_address(server.engine, address.removeprefix("-"))
    any_port = options.port == 0
    if settings["port"] or settings["unixsocket"] or any_port or not options.dir:
        open_endpoints(server, any_port=any_port)
    if options.dir is not None:
        _listen_in_folder(server, options.dir)
    keep_pid_file(server)
    port = settings["port"]
    if options.port_file is not None and port:
        _write_whole(options.port_file, f"{port}\n")
    has_folder = options.dir is not None
    ready = f"ready on {_places(settings, has_folder=has_folder)}"
    server.data.begin(lambda: server.log(ready), looks=has_folder)
    return server


def _places(settings: Settings, *, has_folder: bool) -> str:
    """Where clients find the server. Addresses that need not be there are left out."""
    hosts = [f"[{host}]" if ":" in host else host for host in settings["bind"]]
    ports = ((settings["port"], ""), (settings["tls-port"], " (TLS)"))
    places = [
        f"{host}:{port}{note}"
        for port, note in ports
        if port
        for host in hosts
        if not host.startswith(("-", "[-"))
    ]
    if settings["unixsocket"] or has_folder:
        places.append("a Unix socket")
    return ", ".join(places)


def _load(options: argparse.Namespace, loader: ConfigLoader, password: str | None) -> None:
    """Follow the file, then `--set`, then the options that have names of their own."""
    settings = loader.settings
    settings.load("bind", ["127.0.0.1"])
    settings.load("port", ["0" if options.unix or options.dir else str(DEFAULT_PORT)])
    _keep_in_folder(options, loader)
    if options.config is not None:
        loader.load_file(options.config)
    pairs = (pair.partition("=") for pair in options.set)
    # Several words stay several; nothing is an empty one, as in `save=`.
    lines = [f"{name} {value or quote_always('')}" for name, _, value in pairs]
    named = {
        "port": options.port,
        "bind": options.bind,
        "unixsocket": options.unix,
        "requirepass": password,
        "maxclients": options.max_clients,
        POLICY_DIRECTIVE: options.durability and policy_of(options.durability),
    }
    lines += [
        f"{name} {quote_always(str(value))}"
        for name, value in named.items()
        if value is not None
    ]
    loader.load_lines(lines, of="the options")
    if options.durability is not None:
        _check_durability(options, settings)
    check_users(loader)
    if settings["daemonize"]:
        raise SettingError(
            "daemonize: this command stays in the foreground; use sharedstate-server"
        )


def _check_durability(options: argparse.Namespace, settings: Settings) -> None:
    """Raise `ContradictionError` if the server would not keep what `--durability` says,
    or `--set` says another thing. What a file says of `appendfsync` gives way.
    """
    level: str = options.durability
    if not settings[LOG_DIRECTIVE]:
        raise ContradictionError(
            f"--durability {level} needs a log of changes, and a setting says"
            f" {LOG_DIRECTIVE} no: leave one of them away"
        )
    for name, _, value in (pair.partition("=") for pair in options.set):
        is_policy = name.strip().lower() == POLICY_DIRECTIVE
        if is_policy and value.strip(" \"'").lower() != policy_of(level):
            raise ContradictionError(
                f"--durability {level} means {POLICY_DIRECTIVE} {policy_of(level)}, and"
                f" --set says {POLICY_DIRECTIVE} {value}: leave one of them away"
            )


def _keep_in_folder(options: argparse.Namespace, loader: ConfigLoader) -> None:
    """Keep the data in the folder of `--dir`, unless a file or `--set` says otherwise."""
    if options.dir is None:
        return
    # Before `dir` leads elsewhere: the options speak of where we were called.
    for name in ("dir", "config", "unix", "port_file"):
        path = getattr(options, name)
        setattr(options, name, path and os.path.abspath(path))
    make_folder(options.dir)
    directives = folder_directives(options.dir, options.durability or DEFAULT_LEVEL)
    for name, value in directives.items():
        loader.settings.load(name, [value])


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


def _listen_in_folder(server: Server, folder: str) -> None:
    lock = lock_of(folder)
    if not lock.take(LOCK_SECONDS):
        raise OSError(f"another program is starting the server of {folder}")
    with lock:
        try:
            server.listen_unix(os.path.join(folder, SOCKET_NAME))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise OSError(_served_already(folder)) from error


def _served_already(folder: str) -> str:
    from sharedstate_server.data_folder import refuse_used

    holder = f"the folder {folder} is in use by a server"
    try:
        refuse_used(folder)
    except OSError as error:
        holder = error.strerror or holder
    return (
        f"{holder}. Programs that use local://{folder} start one when they find none, also"
        " in place of one that has crashed. End them, wait until their server has ended"
        f" (it waits for the next program: linger, or send SHUTDOWN to {SOCKET_NAME}"
        " there), and start this one before them"
    )


def _write_whole(path: str, text: str) -> None:
    """Write a small file so that a reader sees all of it, or none."""
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)


if __name__ == "__main__":
    sys.exit(main())
