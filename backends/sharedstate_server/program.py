"""The program `sharedstate-server`, called as redis-server is.

    command line, file ──> settings ──> log ──> (background) ──> Server ──> sockets ──> run

It runs under the pid it was started with, says on its log when it is ready, and ends with
code 0 when it was asked to end, 1 when it could not start.
"""

from __future__ import annotations

import os
import signal
import sys

from sharedstate_memory.engine import Engine
from sharedstate_server.command_line import USAGE, CommandLine
from sharedstate_server.config_file import ConfigError, ConfigLoader, check_users
from sharedstate_server.daemon import (
    DEFAULT_PID_FILE,
    go_to_background,
    report_crashes,
    tell_supervisor,
)
from sharedstate_server.directives import server_settings
from sharedstate_server.garbage import keep_looks_short
from sharedstate_server.server_log import CHILD, PRIMARY, log_from, to_stdout
from sharedstate_server.starting import (
    CannotStartError,
    follow_folder,
    follow_kill_score,
    keep_pid_file,
    new_server,
    open_endpoints,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharedstate_memory.settings import Settings
    from sharedstate_server.server import Server
    from sharedstate_server.server_log import ServerLog

_REFUSED = {
    "--test-memory": "there is no memory test in this server\n",
    "--check-system": "there is no check of the system in this server\n",
}


def main(words: Sequence[str] | None = None) -> int:
    """Run a server until it is told to end. Returns the exit code."""
    words = sys.argv[1:] if words is None else words
    first = words[0] if words else ""
    if len(words) == 1 and first in ("-v", "--version"):
        sys.stdout.write(version())
        return 0
    if len(words) == 1 and first in ("-h", "--help"):
        # Code and stream are redis-server's.
        sys.stderr.write(USAGE)
        return 1
    if first in _REFUSED:
        sys.stderr.write(_REFUSED[first])
        return 1
    try:
        return _start(CommandLine(words))
    except ConfigError as error:
        title = f"FATAL CONFIG FILE ERROR (Redis {Engine.redis_version})"
        sys.stderr.write(f"\n*** {title} ***\n{error}\n")
        return 1


def version() -> str:
    """The line of `--version`, in the form that is looked for in redis-server's."""
    from importlib import metadata  # here, because it takes milliseconds to import

    try:
        ours = metadata.version("sharedstate")
    except metadata.PackageNotFoundError:
        ours = "unknown"
    return (
        f"Redis server v={Engine.redis_version} sha=00000000:0 malloc=python bits=64"
        f" build=sharedstate-{ours}\n"
    )


def _start(command: CommandLine) -> int:
    settings = server_settings(saves=True)
    follow_folder(settings)
    # Before `dir` leads elsewhere.
    path = None if command.path is None else os.path.abspath(command.path)
    loader = _load(command, settings)
    try:
        log = log_from(settings, to_stdout)
    except OSError as error:
        raise ConfigError(f"Can't open the log file: {error.strerror}") from error
    _say_hello(log, is_configured=bool(command.path or command.lines))
    tell_ready = go_to_background() if settings["daemonize"] else None
    if settings["daemonize"] and not settings["pidfile"]:
        settings.load("pidfile", [DEFAULT_PID_FILE])
    # The terminal may go, and the server stays.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    log.role = PRIMARY
    follow_kill_score(settings, log)
    try:
        server = new_server(loader, log, path)
        server.catch_signals()
        open_endpoints(server)
    except CannotStartError as error:
        log(str(error), "warning")
        return 1
    keep_pid_file(server)
    if settings["crash-log-enabled"]:
        report_crashes(settings["logfile"])
    keep_looks_short()

    def on_ready() -> None:
        _say_ready(server)
        if tell_ready is not None:
            tell_ready()

    server.log("Server initialized", "warning")
    server.data.begin(on_ready, looks=True)
    return _run(server)


def _run(server: Server) -> int:
    """Serve until the end. Returns the exit code."""
    try:
        server.run()
    except Exception:
        # In the background, the log is the only place where this can be told.
        server.log_failure("the server ends because of a mistake of ours")
        return 1
    if server.failure:
        return 1
    server.log("The server is now ready to exit, bye bye...", "warning")
    return 0


def _load(command: CommandLine, settings: Settings) -> ConfigLoader:
    loader = ConfigLoader(settings)
    if command.path is not None:
        loader.load_file(command.path)
    if command.reads_input:
        loader.load_lines(sys.stdin.read().split("\n"), of="standard input")
    loader.load_lines(command.lines, of="the command line")
    check_users(loader)
    return loader


def _say_hello(log: ServerLog, *, is_configured: bool) -> None:
    log.role = CHILD
    log("oO0OoO0OoO0Oo sharedstate-server is starting oO0OoO0OoO0Oo", "warning")
    log(
        f"Redis version={Engine.redis_version}, bits=64, commit=00000000, modified=0,"
        f" pid={os.getpid()}, just started",
        "warning",
    )
    if is_configured:
        log("Configuration loaded", "warning")
    else:
        log(
            "Warning: no config file specified, using the default config. In order to"
            " specify a config file use sharedstate-server /path/to/redis.conf",
            "warning",
        )


def _say_ready(server: Server) -> None:
    log, settings = server.log, server.engine.settings
    port: int = settings["port"] or settings["tls-port"]
    log(f"Running mode=standalone, port={port}.")
    log(f"Running in standalone mode, Port: {port}, PID: {os.getpid()}")
    log("Ready to accept connections")
    if settings["unixsocket"]:
        log(f"The server is now ready to accept connections at {settings['unixsocket']}")
    supervisor = tell_supervisor(settings["supervised"], "Ready to accept connections")
    server.engine.info["process_supervised"] = supervisor
    server.engine.info["executable"] = os.path.abspath(sys.argv[0])


if __name__ == "__main__":
    sys.exit(main())
