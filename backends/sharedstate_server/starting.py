"""What the commands that start a server have in common: from settings to a server that
listens.
"""

from __future__ import annotations

import os

from sharedstate_memory.acl import UserLinesError
from sharedstate_memory.directive_kinds import SettingError
from sharedstate_server.acl_file import UserFile, users_for_config
from sharedstate_server.config_file import ConfigLoader
from sharedstate_server.config_rewrite import rewrite_file
from sharedstate_server.daemon import room_for_clients, set_kill_score, write_pid_file
from sharedstate_server.endpoints import Endpoints
from sharedstate_server.server import Server

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sharedstate_memory.engine import Engine
    from sharedstate_memory.settings import Settings
    from sharedstate_server.server_log import ServerLog


class CannotStartError(Exception):
    """Why a server cannot start, as its log is to say it."""


def new_server(loader: ConfigLoader, log: ServerLog, path: str | None) -> Server:
    """A server with the settings and users that were loaded. `path` is the file that
    CONFIG REWRITE writes. Raises `CannotStartError`.
    """
    settings = loader.settings
    follow_open_files(settings, log)
    server = Server(settings=settings, log=log)
    _load_users(server.engine, loader)
    _allow_rewriting(server.engine, path)
    return server


def open_endpoints(server: Server, *, any_port: bool = False) -> None:
    """Listen where the settings say; with `any_port`, on a free port. Raises
    `CannotStartError`.
    """
    endpoints = Endpoints(server)
    try:
        endpoints.open(any_port=any_port)
    except OSError as error:
        raise CannotStartError(f"Failed listening: {error.strerror or error}") from error
    except SettingError as error:
        raise CannotStartError(str(error)) from error
    if endpoints.is_none:
        raise CannotStartError("Configured to not listen anywhere, exiting.")


def follow_folder(settings: Settings) -> None:
    """Work in the folder of the setting `dir`, from now on and after each change."""

    def enter() -> None:
        try:
            os.chdir(settings["dir"])
        except OSError as error:
            raise SettingError(error.strerror) from error

    settings.load("dir", ["."])
    settings.on_change("dir", enter)


def follow_open_files(settings: Settings, log: ServerLog) -> None:
    """Have enough files for `maxclients`, now and after each change; take fewer clients at
    the start, and refuse the change later, where the system does not allow as many.
    """
    wanted: int = settings["maxclients"]
    possible = room_for_clients(wanted)
    if possible < wanted:
        log(
            f"maxclients of {wanted} needs more open files than the system allows: it is"
            f" {possible} now. Raise the limit of open files (ulimit -n) for more",
            "warning",
        )
        settings.load("maxclients", [str(possible)])

    def follow() -> None:
        wanted: int = settings["maxclients"]
        possible = room_for_clients(wanted)
        if possible < wanted:
            raise SettingError(
                "The operating system is not able to handle the specified number of"
                f" clients, try with {possible}"
            )

    settings.on_change("maxclients", follow)


def follow_kill_score(settings: Settings, log: ServerLog) -> None:
    """Have the score of `oom-score-adj` from now on, if it asks for one. What the system
    does not allow is logged; a change to it is refused.
    """

    def is_set() -> bool:
        mode: str = settings["oom-score-adj"]
        score: str = settings["oom-score-adj-values"][0] if mode != "no" else "0"
        try:
            set_kill_score(score, is_relative=mode != "absolute")
        except OSError as error:
            log(f"oom-score-adj cannot be followed: {error.strerror}", "warning")
            return False
        return True

    def follow() -> None:
        if not is_set():
            raise SettingError(
                "Failed to apply new oom_score_adj configuration, check server logs."
            )

    if settings["oom-score-adj"] != "no":
        is_set()
    settings.on_change("oom-score-adj", follow)
    settings.on_change("oom-score-adj-values", follow)


def _load_users(engine: Engine, loader: ConfigLoader) -> None:
    path: str = engine.settings["aclfile"]
    try:
        if path:
            engine.acl_file = UserFile(path)
            engine.users.load_lines(engine.acl_file.load(), engine.acl_file.path)
        elif loader.users:
            lines = [_user_line(words) for words in loader.users]
            engine.users.load_lines(lines, "users")
    except OSError as error:
        raise CannotStartError(
            f"Error loading ACLs, opening file '{path}': {error.strerror}"
        ) from error
    except UserLinesError as error:
        raise CannotStartError(f"Error loading ACLs: {error}") from error


def _user_line(words: list[str]) -> bytes:
    return " ".join(["user", *words]).encode("utf-8", "surrogateescape")


def _allow_rewriting(engine: Engine, path: str | None) -> None:
    engine.info["config_file"] = path or ""
    if path is None:
        return
    file = os.path.abspath(path)
    engine.info["config_file"] = file

    def users() -> list[str]:
        return users_for_config(engine)

    engine.settings.rewrite = lambda: rewrite_file(file, engine.settings, users)


def keep_pid_file(server: Server) -> None:
    """Write the file of the setting `pidfile`, and remove it at the end."""
    path: str = server.engine.settings["pidfile"]
    if not path:
        return
    remove: Callable[[], None] | None = write_pid_file(path)
    if remove is None:
        server.log(f"Failed to write PID file {path}", "warning")
    else:
        server.at_end(remove)
