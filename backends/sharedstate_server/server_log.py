"""The server's log: lines as Redis writes them, to a stream, a file or the system's log.

    21028:M 22 Nov 2026 15:08:01.252 * Ready to accept connections
    pid:role day time level text

A log must never stop the server: what cannot be written (a full disk, a reader that has
gone) is lost, and the clients are served on.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from sharedstate_memory.settings import Settings

_LEVELS = {"debug": (0, "."), "verbose": (1, "-"), "notice": (2, "*"), "warning": (3, "#")}

# Not from `strftime`: a log is read by programs, and has no locale.
_MONTHS = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)

CHILD = "C"
"""The role of a process on its way to be a server."""
PRIMARY = "M"


class ServerLog:
    """Where the server says what it does. Below its level nothing is written.

    What comes from outside cannot look like a line of its own: all lines of a text but
    the first are indented.
    """

    def __init__(self, write: Callable[[str, str], None], role: str = PRIMARY) -> None:
        self._write = write
        self._least = _LEVELS["notice"][0]
        self.role = role

    @property
    def stream(self) -> TextIO | None:
        """The standard stream that it writes to, if it does."""
        if self._write is to_stdout:
            return sys.stdout
        return sys.stderr if self._write is to_stderr else None

    def __call__(self, text: str, level: str = "notice") -> None:
        """Write a line, if the log's level lets it through."""
        rank, mark = _LEVELS[level]
        if rank < self._least:
            return
        text = text.replace("\r", " ").replace("\n", "\n    ")
        now_ms = time.time_ns() // 1_000_000
        line = f"{os.getpid()}:{self.role} {_stamp(now_ms)} {mark} {text}\n"
        try:
            try:
                self._write(line, level)
            except UnicodeEncodeError:
                # A stream that does not take every character: nobody can hide behind it.
                self._write(line.encode("ascii", "backslashreplace").decode(), level)
        except (OSError, ValueError):
            # There is nobody to tell; ValueError is what a closed stream raises.
            return

    def set_level(self, level: str) -> None:
        """Let through what is at least of this level."""
        self._least = _LEVELS[level][0]

    def lets_through(self, level: str) -> bool:
        """Whether lines of a level are written: who asks can save making them."""
        return _LEVELS[level][0] >= self._least


def _stamp(now_ms: int) -> str:
    moment = time.localtime(now_ms // 1000)
    day = f"{moment.tm_mday:02} {_MONTHS[moment.tm_mon - 1]} {moment.tm_year}"
    clock = f"{moment.tm_hour:02}:{moment.tm_min:02}:{moment.tm_sec:02}"
    return f"{day} {clock}.{now_ms % 1000:03}"


def to_stderr(line: str, level: str) -> None:
    """The writer of a server that has no settings for its log."""
    sys.stderr.write(line)
    sys.stderr.flush()


def to_stdout(line: str, level: str) -> None:
    """The writer for an empty `logfile`."""
    sys.stdout.write(line)
    sys.stdout.flush()


def to_file(path: str) -> Callable[[str, str], None]:
    """A writer that appends to a file. It opens the file for each line, so that the file
    may be moved away while the server runs.
    """

    def write(line: str, level: str) -> None:
        with open(path, "a", encoding="utf-8", errors="surrogateescape") as file:
            file.write(line)

    return write


def to_system_log(
    identity: str, facility: str, write: Callable[[str, str], None]
) -> Callable[[str, str], None]:
    """A writer to the system's log that writes to another one as well."""
    import syslog  # here, because few servers need it

    priorities = {
        "debug": syslog.LOG_DEBUG,
        "verbose": syslog.LOG_INFO,
        "notice": syslog.LOG_NOTICE,
        "warning": syslog.LOG_WARNING,
    }
    syslog.openlog(identity, syslog.LOG_PID, getattr(syslog, f"LOG_{facility.upper()}"))

    def write_both(line: str, level: str) -> None:
        # After the pid, the time and the mark comes the text.
        syslog.syslog(priorities[level], line.split(" ", 6)[-1].rstrip("\n"))
        write(line, level)

    return write_both


def log_from(settings: Settings, write: Callable[[str, str], None]) -> ServerLog:
    """The log that the settings ask for, which writes by `write` if they name no file.
    It follows `loglevel` from then on. Raises `OSError` if the file cannot be written.
    """
    path: str = settings["logfile"]
    if path:
        # It stays where it is when `dir` leads elsewhere later.
        path = os.path.abspath(path)
        with open(path, "a", encoding="utf-8"):
            write = to_file(path)
    if settings["syslog-enabled"]:
        write = to_system_log(settings["syslog-ident"], settings["syslog-facility"], write)
    log = ServerLog(write)

    def follow_level() -> None:
        log.set_level(settings["loglevel"])

    settings.on_change("loglevel", follow_level)
    follow_level()
    return log
