"""The locks that are compared, the stores that they are on, and processes that use them.

All locks of one store are on the same server: that is what makes the ratios fair. Each is
made in the process that uses it, as its users would make it, and with the options that its
own documentation gives first; where another one is quicker, it stands beside it.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Self

from compare import pin
from subjects import RedisServer

import sharedstate

REDIS, LOCAL, MANAGER, PROCESS = "Redis", "local://", "Manager", "one process"

FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Addresses:
    """What a process needs to reach the stores. Inherited by fork."""

    redis: str
    local: str
    manager_lock: Any


class Stores:
    """A redis-server, a server of local://, and a Manager, for as long as it is entered."""

    def __enter__(self) -> Self:
        self._redis = RedisServer()
        self._state = sharedstate.connect("local://")
        self._state.ping()
        self._manager = FORK.Manager()
        launched = getattr(self._state.backend, "_launched", None)
        self.pids: dict[str, int] = {
            REDIS: self._redis.process.pid,
            LOCAL: launched.pid if launched else os.getpid(),
            MANAGER: self._manager._process.pid,  # type: ignore[attr-defined]
        }
        local = self._state.backend.settings.url
        self.addresses = Addresses(self._redis.path, local, self._manager.Lock())
        return self

    def pin(self, cores: set[int]) -> None:
        """Keep the stores on these cores."""
        pin(list(self.pids.values()), cores)

    def __exit__(self, *_error: object) -> None:
        self._manager.shutdown()
        self._state.close()
        self._redis.stop()


def cpu_ns(pid: int) -> int:
    """The processor time of a process so far: exact, unlike that of `resource`."""
    spent = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
            spent += int(file.read().split()[0])
    return spent


# Makes a lock of a name, with a lease of so many seconds.
Make = Callable[[Addresses, str, float], Any]


@dataclass(frozen=True)
class Subject:
    """A kind of lock on a store."""

    name: str
    store: str
    make: Make


def _client(addresses: Addresses) -> Any:
    import redis

    # redis-py's own limit of 5 s ends the blocking wait of python-redis-lock.
    return redis.Redis(unix_socket_path=addresses.redis, socket_timeout=None)


def _redis_py(**options: float) -> Make:
    return lambda at, name, ttl: _client(at).lock(name, timeout=ttl, **options)


def _python_redis_lock(at: Addresses, name: str, ttl: float) -> Any:
    module = importlib.import_module("redis_lock")
    return module.Lock(_client(at), name, expire=round(ttl))


def _pottery(at: Addresses, name: str, ttl: float) -> Any:
    module = importlib.import_module("pottery")
    return module.Redlock(key=name, masters={_client(at)}, auto_release_time=ttl)


def url_of(at: Addresses, store: str) -> str:
    """What to connect to for one of our stores."""
    urls = {REDIS: f"redis+unix://{at.redis}", LOCAL: at.local, PROCESS: "memory://"}
    return urls[store]


def _ours(store: str, strategy: str) -> Make:
    def make(at: Addresses, name: str, ttl: float) -> Any:
        # The handle keeps its state alive.
        state = sharedstate.connect(url_of(at, store), max_connections=4096)
        return state.lock(name, strategy=strategy, ttl=ttl)

    return make


def _of_manager(at: Addresses, _name: str, _ttl: float) -> Any:
    return at.manager_lock


def _of_threading(_at: Addresses, _name: str, _ttl: float) -> Any:
    import threading

    return threading.Lock()


REDIS_PY = Subject("redis-py Lock", REDIS, _redis_py())
REDIS_PY_EAGER = Subject("redis-py Lock, sleep=0.001", REDIS, _redis_py(sleep=0.001))
PYTHON_REDIS_LOCK = Subject("python-redis-lock", REDIS, _python_redis_lock)
POTTERY = Subject("pottery Redlock, 1 master", REDIS, _pottery)
MANAGER_LOCK = Subject("Manager().Lock()", MANAGER, _of_manager)
THREADING_LOCK = Subject("threading.Lock", PROCESS, _of_threading)


def ours(store: str, strategy: str = "token") -> Subject:
    """A lock of sharedstate."""
    return Subject(f"sharedstate {strategy}", store, _ours(store, strategy))


class _Pings:
    """No lock: what two empty round trips of our client cost, below which none can come."""

    def __init__(self, url: str) -> None:
        self._state = sharedstate.connect(url)
        self.acquire = self.release = self._state.ping


def pings(store: str) -> Subject:
    """Two round trips that do nothing."""
    return Subject("(two PINGs)", store, lambda at, name, ttl: _Pings(url_of(at, store)))


class Child:
    """A process that runs `work(pipe, …)` and talks to us over the pipe."""

    def __init__(self, work: Callable[..., None], *arguments: object) -> None:
        self.pipe, theirs = FORK.Pipe()
        self._process = FORK.Process(
            target=_run, args=(work, theirs, arguments), daemon=True
        )
        self._process.start()
        theirs.close()

    def kill(self) -> None:
        """End it as a crash would, and wait until it has ended."""
        self._process.kill()
        self._process.join()


def _run(
    work: Callable[..., None], pipe: Connection, arguments: tuple[object, ...]
) -> None:
    try:
        work(pipe, *arguments)
    except EOFError:
        pass  # The benchmark itself was ended.
    except BaseException:
        sys.excepthook(*sys.exc_info())
    sys.stderr.flush()
    # Threads that wait for locks for ever keep nobody.
    os._exit(0)
