"""Real servers for tests: started on free ports, killed, stalled and restarted by pid.

    with RedisServer() as server:
        state = sharedstate.connect(server.url)
        server.kill()           # as a crash would
        server.start()          # the same addresses, another process

Nothing waits by sleeping for a guess: a server is ready when it answers PING. Nothing is
left behind: the folder goes with the context, and a server whose test process died, in
whatever way, is ended by a watcher.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

START_SECONDS = 20.0
"""Longest wait for a server to answer, on a machine that is busy with other tests."""

_ASK_AGAIN_SECONDS = 0.005
_PORT_ATTEMPTS = 5
_PING = b"*1\r\n$4\r\nPING\r\n"


class ServerFailed(RuntimeError):
    """A server did not start. The message ends with what it printed."""


class StoreServer(ABC):
    """A server process that listens on a free TCP port of 127.0.0.1.

    `arguments` are added to its command line. A context manager: starts on entry, and
    on exit ends the process and removes its folder.
    """

    scheme: str

    def __init__(self, *arguments: str) -> None:
        self.arguments = arguments
        self.port = 0
        self.folder = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL by which `connect` reaches the server over TCP."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id. Raises `ServerFailed` while the server does not run."""
        if self._process is None:
            raise ServerFailed(f"{type(self).__name__} is not running")
        return self._process.pid

    def start(self) -> None:
        """Start the process, and wait until it answers. Raises `ServerFailed`.

        After the first start, the addresses stay the same. A free port may be taken by
        another process before the server has it; the first start then tries others.
        """
        if not self.folder:
            self.folder = tempfile.mkdtemp(prefix="sharedstate-test-")
        attempts = 1 if self.port else _PORT_ATTEMPTS
        for attempt in range(attempts):
            try:
                self._start_once()
                return
            except ServerFailed:
                self.kill()
                if attempt + 1 == attempts:
                    raise
                self.port = 0

    def kill(self) -> None:
        """End the process at once, as a crash would (SIGKILL)."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask the process to end (SIGTERM), and wait until it has."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Let the process stand still (SIGSTOP): connections stay, answers do not come."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """Kill the process, and start another one at the same addresses."""
        self.kill()
        self.start()

    def close(self) -> None:
        """Kill the process and remove its folder. Twice is fine."""
        self.kill()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def _command(self) -> list[str]:
        """The command line of the server."""

    def _bound_port(self) -> int:
        """The port that the running server listens on; 0 while it is not known."""
        return self.port

    def _start_once(self) -> None:
        self._prepare()
        with open(self._log_path, "wb") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )
        self._watcher = _watch_over(self._process.pid)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ServerFailed(f"{self._command()} did not start: {self._printed()}")
            time.sleep(_ASK_AGAIN_SECONDS)

    @abstractmethod
    def _prepare(self) -> None:
        """Do what has to be done before each start."""

    def _answers(self) -> bool:
        port = self.port or self._bound_port()
        if not port:
            return False
        self.port = port
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1.0) as sock:
                sock.sendall(_PING)
                # A password is asked for by an error: that is an answer too.
                return sock.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        process.wait()
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.kill()
            watcher.communicate()

    @property
    def _log_path(self) -> str:
        return os.path.join(self.folder, "server.log")

    def _printed(self) -> str:
        with open(self._log_path, encoding="utf-8", errors="replace") as log:
            return log.read()[-2000:]


class RedisServer(StoreServer):
    """A real redis-server, on TCP and on a Unix socket. It writes nothing to disk.

    For one that does, give it arguments: `RedisServer("--appendonly", "yes")`.
    """

    scheme = "redis"

    @property
    def unix_path(self) -> str:
        """The path of its Unix socket."""
        return os.path.join(self.folder, "redis.sock")

    @property
    def unix_url(self) -> str:
        """The URL by which `connect` reaches the server over its Unix socket."""
        return f"redis+unix://{self.unix_path}"

    def _prepare(self) -> None:
        self.port = self.port or free_port()

    def _command(self) -> list[str]:
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "unixsocket": self.unix_path,
            "dir": self.folder,
            "save": "",
        }
        pairs = [word for name, value in options.items() for word in (f"--{name}", value)]
        return [find_redis_server() or "redis-server", *pairs, *self.arguments]


class BuiltInServer(StoreServer):
    """The built-in server, as a process that serves TCP."""

    scheme = "server"

    @property
    def _port_path(self) -> str:
        return os.path.join(self.folder, "port")

    def _prepare(self) -> None:
        if os.path.exists(self._port_path):
            os.unlink(self._port_path)

    def _bound_port(self) -> int:
        try:
            with open(self._port_path, encoding="ascii") as file:
                return int(file.read() or 0)
        except FileNotFoundError:
            return 0

    def _command(self) -> list[str]:
        server = [sys.executable, "-m", "sharedstate_server"]
        port = ["--port", str(self.port), "--port-file", self._port_path]
        return [*server, *port, *self.arguments]


def find_redis_server() -> str | None:
    """The path of redis-server (or valkey-server), if there is one."""
    return shutil.which("redis-server") or shutil.which("valkey-server")


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _watch_over(pid: int) -> subprocess.Popen[bytes]:
    """A process that kills `pid` when this process ends, however it ends.

    Its standard input is a pipe that only this process can write to, and never does:
    the read returns when the pipe's end here is gone.
    """
    return subprocess.Popen(
        ["/bin/sh", "-c", 'read nothing; kill -9 "$1" 2>/dev/null', "watcher", str(pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
