"""Starting servers that nobody has to start: the two forms of `local://`.

`local://` gives a program a server of its own. It lives in a fresh folder that only this
user may enter, and ends with the process that started it, however that one ends.

`local:///dir` gives all programs that name the same folder one server, which keeps its
state there. The first to come starts it, the last to leave leaves it to end after a
while. A lock on a file of the folder decides every race: who starts it, and whether it
may end.

In both, the socket is made here and handed to the server, listening. So a client can
connect and send its first command while the server's interpreter still starts, and
there is no "not ready yet" to wait for. The server is started with `posix_spawn`, which
copies nothing of a large parent, and without `site`: with our own `sys.path` it needs
none, and starts in half the time. Until a private server is spawned, its program does
nothing else (`head_start.py`), so what comes later, or with failures and folders only, is
imported then: errors and locks take five milliseconds.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import time

import sharedstate
from sharedstate_server.durability import DEFAULT_LEVEL
from sharedstate_server.folders import (
    LOCK_SECONDS,
    LOG_NAME,
    SOCKET_NAME,
    FileLock,
    lock_of,
    make_folder,
    remove_folder,
)
from sharedstate_server.last_words import last_words
from sharedstate_server.listening import answers, bind_unix, fits_unix_socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# How long a server that was asked to end may take before it is killed.
END_SECONDS = 5.0

# The file descriptor by which a server finds its socket.
_SOCKET_FD = 3

_BOOT = (
    "import gc, os, sys; gc.disable(); "
    "os.closerange(4, 1 << 20); sys.path[:] = eval(sys.argv.pop(1)); "
    "from sharedstate_server.launched import main; main(sys.argv[1:])"
)


class LaunchedServer:
    """A server that this process started, and its folder."""

    __slots__ = ("_lock", "_owner", "folder", "path", "pid", "was_killed")

    def __init__(self, folder: str, path: str, pid: int) -> None:
        from threading import Lock

        self.folder = folder
        self.path = path
        self.pid = pid
        self.was_killed = False
        self._owner = os.getpid()
        self._lock = Lock()

    @property
    def is_ours(self) -> bool:
        """Whether this process started the server, and not one that forked it."""
        return self._owner == os.getpid()

    def why_it_ended(self, *, within: float = 0.0) -> str | None:
        """What a server that is no longer there wrote before its end; None if it lives."""
        return last_words(self.folder) if self.has_ended(within=within) else None

    def has_ended(self, *, within: float = 0.0) -> bool:
        """Whether the server, started by this process, is no longer there.

        A process that is ending closes its sockets before it can be collected: who was
        refused waits for so many seconds.
        """
        if not self.is_ours:
            return False
        give_up_at = time.monotonic() + within
        while not self.reap():
            if time.monotonic() >= give_up_at:
                return False
            time.sleep(_PAUSE_SECONDS)
        return True

    def end(self) -> None:
        """Ask the server to end, and wait until it has. Nothing in a forked child."""
        if not self.is_ours:
            return
        pid = self.pid
        if pid:
            self._end(pid)
        remove_folder(self.folder)

    def _end(self, pid: int) -> None:
        # Our child's number is its own until we collect it, so this hits nobody else.
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + END_SECONDS
        pause = 0.0005
        while not self.reap():
            if time.monotonic() > deadline:
                self.was_killed = True
                os.kill(pid, signal.SIGKILL)
                self.reap(wait=True)
                return
            time.sleep(pause)
            pause = min(pause * 2, 0.05)

    def reap(self, *, wait: bool = False) -> bool:
        """Whether the server has ended; collects its exit status."""
        with self._lock:
            if self.pid:
                try:
                    reaped, _status = os.waitpid(self.pid, 0 if wait else os.WNOHANG)
                except ChildProcessError:
                    reaped = self.pid  # Somebody waits for every child, and was first.
                if reaped:
                    self.pid = 0
            return not self.pid


# How long to wait between two looks whether a process has ended.
_PAUSE_SECONDS = 0.0005

# A private server that was begun early, for the `connect` that is under way.
_begun: list[LaunchedServer] = []

# The servers of folders that this process started.
_of_folders: list[LaunchedServer] = []


def begin(url: str) -> Callable[[], None] | None:
    """The head start of `local://`: start the private server that it will ask for."""
    if url != "local://":
        return None
    launched = _start_private()
    _begun.append(launched)

    def take_back() -> None:
        try:
            _begun.remove(launched)
        except ValueError:
            return  # It has become somebody's.
        launched.end()

    return take_back


def start_private() -> LaunchedServer:
    """Start a server that ends with this process. Does not wait until it is up."""
    while True:
        try:
            launched = _begun.pop()
        except IndexError:
            return _start_private()
        if launched.is_ours:
            return launched


def _start_private() -> LaunchedServer:
    folder = _new_folder()
    path = os.path.join(folder, SOCKET_NAME)
    try:
        with bind_unix(path) as listener:
            pid = _spawn(listener, folder, ["private", folder, str(os.getpid())])
    except BaseException:
        remove_folder(folder)
        raise
    return LaunchedServer(folder, path, pid)


def join_folder(
    folder: str, linger: float, level: str = DEFAULT_LEVEL
) -> tuple[socket.socket, LaunchedServer | None]:
    """Join the server of a folder, or start it. At most one program starts it.

    Returns a connected socket, which keeps the server from ending while it is open, and
    the server if it was started by this call, to keep the durability `level`. Raises
    `ConfigError` for a folder that will not do, `BackendError` if no server comes up.
    """
    _make_folder(folder)
    # Servers of folders outlive their programs' use of them: collect those that ended.
    _of_folders[:] = [launched for launched in _of_folders if not launched.reap()]
    try:
        with locked(folder):
            return _connect_or_start(folder, linger, level)
    except OSError as error:
        from sharedstate.errors import ConfigError, SharedStateError

        if isinstance(error, SharedStateError):
            raise
        raise ConfigError(f"cannot use the folder {folder!r}: {error}") from error


def _connect_or_start(
    folder: str, linger: float, level: str
) -> tuple[socket.socket, LaunchedServer | None]:
    """What `join_folder` does while it holds the folder's lock."""
    path = os.path.join(folder, SOCKET_NAME)
    anchor = _try_connect(path)
    if anchor is not None:
        return anchor, None
    with bind_unix(path) as listener:
        pid = _spawn(listener, folder, ["folder", folder, repr(linger), level])
    launched = LaunchedServer(folder, path, pid)
    _of_folders.append(launched)
    anchor = _try_connect(path)
    if anchor is None:
        from sharedstate.errors import BackendError

        raise BackendError(
            f"the server of {folder} could not be started: "
            f"{launched.why_it_ended(within=END_SECONDS) or f'see {LOG_NAME}'}"
        )
    return anchor, launched


def _make_folder(folder: str) -> None:
    """Make the folder, or see that it will do. Raises `ConfigError`.

    It must not be one in which somebody else could put a server of theirs.
    """
    from sharedstate.errors import ConfigError

    if not fits_unix_socket(os.path.join(folder, SOCKET_NAME)):
        raise ConfigError(
            f"expected a folder whose path leaves room for a socket (about 90 bytes), "
            f"got {folder!r}; use a shorter path, or a symbolic link"
        )
    if os.path.dirname(folder) == folder:
        raise ConfigError("expected local:///folder, got local:///: name a folder")
    try:
        make_folder(folder)
        status = os.stat(folder)
    except OSError as error:
        raise ConfigError(f"cannot use the folder {folder!r}: {error}") from error
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise ConfigError(
            f"expected a folder that belongs to this user, and that only they can write "
            f"to, got {folder!r} (owner {status.st_uid}, mode {status.st_mode & 0o777:o}); "
            f"use another one, or `chmod go-w` it"
        )


def locked(folder: str) -> FileLock:
    """The lock of a folder, taken. Raises `BackendError` if it is not to be had."""
    lock = lock_of(folder)
    if not lock.take(LOCK_SECONDS):
        from sharedstate.errors import BackendError

        raise BackendError(
            f"the lock of {folder} was not free within {LOCK_SECONDS:g} s: another "
            f"program seems stopped while it starts the server"
        )
    return lock


def _new_folder() -> str:
    """A new folder for one server, in the user's temporary folder, mode 0700."""
    for base in (os.environ.get("TMPDIR"), "/tmp"):
        if not base:
            continue
        name = f"sharedstate-{os.getpid()}-{os.urandom(6).hex()}"
        folder = os.path.join(os.path.abspath(base), name)
        if not fits_unix_socket(os.path.join(folder, SOCKET_NAME)):
            continue
        try:
            os.mkdir(folder, 0o700)
        except OSError:
            continue  # Not there, full, or not ours to write to: try the next.
        return folder
    from sharedstate.errors import BackendError

    raise BackendError("no temporary folder for the server's socket: set TMPDIR to one")


def _try_connect(path: str) -> socket.socket | None:
    """A connection to the server that listens at `path`; None if none does."""
    if not answers(path):
        return None
    from sharedstate.errors import BackendError
    from sharedstate_server.timeouts import set_timeouts

    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    set_timeouts(sock, LOCK_SECONDS)
    error = sock.connect_ex(path)
    if error == 0:
        return sock
    sock.close()
    if error in (errno.ECONNREFUSED, errno.ENOENT):
        return None
    raise BackendError(f"the server at {path} does not answer: {os.strerror(error)}")


def _spawn(listener: socket.socket, folder: str, arguments: list[str]) -> int:
    """Start the interpreter of a server, with its socket as descriptor 3."""
    if not sys.executable:
        from sharedstate.errors import BackendError

        raise BackendError(
            "this Python does not know its own executable, so it cannot start a server: "
            "start one with `sharedstate serve`, and connect to its URL"
        )
    log = os.path.join(folder, LOG_NAME)
    descriptor = listener.fileno()
    # A descriptor that has the right number already would keep its close-on-exec flag.
    duplicate = os.dup(descriptor) if descriptor == _SOCKET_FD else descriptor
    try:
        return os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", "-c", _BOOT, repr(_search_path()), *arguments],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, duplicate, _SOCKET_FD),
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (
                    os.POSIX_SPAWN_OPEN,
                    1,
                    log,
                    os.O_WRONLY | os.O_CREAT | os.O_APPEND,
                    0o600,
                ),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            # Signals that this thread blocks, or ignores, must reach the server.
            setsigmask=[],
            setsigdef=[signal.SIGTERM, signal.SIGINT],
        )
    except OSError as error:
        from sharedstate.errors import BackendError

        raise BackendError(f"cannot start {sys.executable}: {error}") from error
    finally:
        if duplicate != descriptor:
            os.close(duplicate)


def _search_path() -> list[str]:
    """Where our own interpreter finds modules, as absolute paths, ourselves first."""
    home = os.path.dirname(os.path.dirname(os.path.abspath(sharedstate.__file__ or "")))
    return [home, *(os.path.abspath(entry) for entry in sys.path)]
