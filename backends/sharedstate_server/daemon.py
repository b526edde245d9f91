"""The process as a service: in the background, with a pid file, under a supervisor, and
with enough open files.
"""

from __future__ import annotations

import os
import resource
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_PID_FILE = "/var/run/redis.pid"

# Files that are open besides the clients: listening sockets, the log, the loop's own.
RESERVED_FILES = 32

_READY = b"\0"

_SCORE_FILE = "/proc/self/oom_score_adj"
# Asked for once, before it is changed for the first time.
_first_score: list[int] = []


def go_to_background() -> Callable[[], None]:
    """Go on in a child that has no terminal. Returns what to call when it serves.

    The process that was started ends here: with code 0 once the child serves, so that
    whoever waits for it can connect, and with 1 if the child ends before that.
    """
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        # Not `sys.exit`: what there is to clean up is the child's.
        os._exit(0 if os.read(reader, 1) == _READY else 1)
    os.close(reader)
    os.setsid()

    def tell() -> None:
        os.write(writer, _READY)
        os.close(writer)
        _forget_terminal()

    return tell


def _forget_terminal() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    os.close(nothing)


def write_pid_file(path: str) -> Callable[[], None] | None:
    """Write the pid into a file. Returns what removes it; None if it cannot be written,
    which costs the server nothing.
    """
    path = os.path.abspath(path)
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")
    except OSError:
        return None

    def remove() -> None:
        try:
            os.unlink(path)
        except FileNotFoundError:
            return

    return remove


def tell_supervisor(kind: str, status: str) -> str:
    """Tell who supervises the process that it serves. Returns who that is: `systemd`,
    `upstart` or `no`, where `auto` asks for whichever is there.

    Source: the manual page sd_notify(3); for upstart, `expect stop`.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if kind in ("systemd", "auto") and address:
        _notify(address, f"STATUS={status}\nREADY=1\n")
        return "systemd"
    if kind in ("upstart", "auto") and "UPSTART_JOB" in os.environ:
        import signal

        os.kill(os.getpid(), signal.SIGSTOP)
        return "upstart"
    return "no"


def _notify(address: str, message: str) -> None:
    import socket

    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.sendto(message.encode(), address)
        except OSError:
            # A supervisor that does not listen does not wait either.
            return


def set_kill_score(score: str, *, is_relative: bool) -> None:
    """Tell the kernel how soon this process is to be killed when memory runs out.
    Raises `OSError` if it may not be told, or there is no such score.

    Source: proc_pid_oom_score_adj(5).
    """
    number = int(score)
    if is_relative:
        number += _score_at_first()
    with open(_SCORE_FILE, "w", encoding="ascii") as file:
        file.write(str(max(-1000, min(1000, number))))


def _score_at_first() -> int:
    """The score that the process was started with."""
    if not _first_score:
        with open(_SCORE_FILE, encoding="ascii") as file:
            _first_score.append(int(file.read()))
    return _first_score[0]


def report_crashes(path: str) -> None:
    """Have the stacks written when the interpreter itself crashes: to the log file, or to
    standard error if there is none.
    """
    import faulthandler

    if not path:
        faulthandler.enable()
        return
    # It stays open: in a crash there is no time to open a file.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    faulthandler.enable(descriptor)


def room_for_clients(wanted: int) -> int:
    """Have as many files open as so many clients need. Returns how many clients there is
    room for: fewer, if the system does not allow more.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + RESERVED_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        except (OSError, ValueError):
            soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, soft - RESERVED_FILES))
