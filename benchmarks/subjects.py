"""What is compared: each subject does the same operations, the way its users would.

A subject starts its store (`start`), gives an address that travels to worker processes,
and connects in a worker (`connect`), which returns the operations by name. An operation
takes a number of repetitions, so that the loop around it costs everyone the same.
"""

from __future__ import annotations

import multiprocessing
import os
import select
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import Any

Operations = dict[str, Callable[[int], None]]

# What `counter.add(1)` puts on the wire, so that the echo carries as many bytes.
ECHO_BYTES = b"*3\r\n$6\r\nINCRBY\r\n$23\r\nss:{counter:hits}:value\r\n$1\r\n1\r\n"

BATCH = [f"key:{number}" for number in range(100)]


def repeat(action: Callable[[], object]) -> Callable[[int], None]:
    """The same loop around everyone's operation."""

    def run(times: int) -> None:
        for _ in range(times):
            action()

    return run


def acquire_and_release(lock: Any) -> None:
    """One uncontended use of a lock."""
    lock.acquire()
    lock.release()


class Subject:
    """One way to share state."""

    name = ""

    def start(self) -> Any:
        """Start the store; returns an address that can be pickled."""

    def pids(self) -> list[int]:
        """The processes of the store, to be pinned."""
        return []

    def connect(self, address: Any) -> Operations:
        """In a worker: connect, and return the operations."""
        raise NotImplementedError

    def stop(self) -> None:
        """End the store."""


class Echo(Subject):
    """The yardstick: a bare epoll loop in Python that sends back what it receives."""

    name = "echo"

    def start(self) -> str:
        self.folder = tempfile.mkdtemp()
        path = os.path.join(self.folder, "echo")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(64)
        self.pid = os.fork()
        if self.pid == 0:
            _echo_for_ever(listener)
        listener.close()
        return path

    def pids(self) -> list[int]:
        return [self.pid]

    def connect(self, address: str) -> Operations:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(address)

        def echo() -> None:
            sock.send(ECHO_BYTES)
            sock.recv(65536)

        return {"echo": repeat(echo)}

    def stop(self) -> None:
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        shutil.rmtree(self.folder)


def _echo_for_ever(listener: socket.socket) -> None:
    poller = select.epoll()
    poller.register(listener.fileno(), select.EPOLLIN)
    clients: dict[int, socket.socket] = {}
    while True:
        for descriptor, _mask in poller.poll():
            if descriptor == listener.fileno():
                client, _address = listener.accept()
                clients[client.fileno()] = client
                poller.register(client.fileno(), select.EPOLLIN)
                continue
            data = clients[descriptor].recv(65536)
            if data:
                clients[descriptor].send(data)
            else:
                poller.unregister(descriptor)
                clients.pop(descriptor).close()


class SharedState(Subject):
    """sharedstate over a URL."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.url = url

    def start(self) -> str:
        import sharedstate

        self.state = sharedstate.connect(self.url)
        self.state.ping()
        return self.state.backend.settings.url

    def pids(self) -> list[int]:
        launched = getattr(self.state.backend, "_launched", None)
        return [launched.pid] if launched else []

    def connect(self, address: str) -> Operations:
        import sharedstate

        state = sharedstate.connect(address)
        numbers = state.map("prices")
        hits = state.counter("hits")
        jobs = state.queue("jobs")
        lock = state.lock("report")
        numbers.set_many(dict.fromkeys([*BATCH, "apple"], 1))

        def map_set() -> None:
            numbers["apple"] = 1

        def put_and_get() -> None:
            jobs.put("job")
            jobs.get()

        return {
            "map_get": repeat(lambda: numbers["apple"]),
            "map_set": repeat(map_set),
            "counter_add": repeat(lambda: hits.add(1)),
            "queue_put_get": repeat(put_and_get),
            "lock_cycle": repeat(lambda: acquire_and_release(lock)),
            "get_100": repeat(lambda: numbers.get_many(BATCH)),
        }

    def stop(self) -> None:
        self.state.close()


class RedisServer:
    """A redis-server on a Unix socket, without disk."""

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp()
        self.path = os.path.join(self.folder, "redis.sock")
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.path, "--save", ""],
            stdout=subprocess.DEVNULL,
        )
        while socket.socket(socket.AF_UNIX).connect_ex(self.path):
            if self.process.poll() is not None:
                raise RuntimeError("redis-server did not start")
            time.sleep(0.01)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)


class SharedStateOnRedis(SharedState):
    """sharedstate over a redis-server of its own."""

    def __init__(self) -> None:
        super().__init__("redis via sharedstate", "")

    def start(self) -> str:
        self.server = RedisServer()
        self.url = f"redis+unix://{self.server.path}"
        return super().start()

    def pids(self) -> list[int]:
        return [self.server.process.pid]

    def stop(self) -> None:
        super().stop()
        self.server.stop()


class RedisByHand(Subject):
    """redis-py with hiredis, the commands written by hand."""

    name = "redis-py by hand"

    def start(self) -> str:
        self.server = RedisServer()
        return self.server.path

    def pids(self) -> list[int]:
        return [self.server.process.pid]

    def connect(self, address: str) -> Operations:
        import redis

        client = redis.Redis(unix_socket_path=address)
        client.hset("prices", mapping=dict.fromkeys(BATCH, 1))
        lock = client.lock("report", timeout=30)

        def push_and_pop() -> None:
            client.rpush("jobs", "job")
            client.blpop(["jobs"], timeout=5)

        return {
            "map_get": repeat(lambda: client.hget("prices", "apple")),
            "map_set": repeat(lambda: client.hset("prices", "apple", 1)),
            "counter_add": repeat(lambda: client.incrby("hits", 1)),
            "queue_put_get": repeat(push_and_pop),
            "lock_cycle": repeat(lambda: acquire_and_release(lock)),
            "get_100": repeat(lambda: client.hmget("prices", BATCH)),
        }

    def stop(self) -> None:
        self.server.stop()


class Manager(Subject):
    """`multiprocessing.Manager`: a dict, a counter under its lock, a queue, a lock."""

    name = "multiprocessing.Manager"

    def start(self) -> Any:
        self.manager = multiprocessing.get_context("fork").Manager()
        prices = self.manager.dict(dict.fromkeys([*BATCH, "apple"], 1))
        return (
            prices,
            self.manager.Value("q", 0),
            self.manager.Lock(),
            self.manager.Queue(),
            self.manager.Lock(),
        )

    def pids(self) -> list[int]:
        return [self.manager._process.pid]  # type: ignore[attr-defined]

    def connect(self, address: Any) -> Operations:
        prices, hits, hits_lock, jobs, lock = address

        def map_set() -> None:
            prices["apple"] = 1

        def count() -> None:
            with hits_lock:
                hits.value += 1

        def put_and_get() -> None:
            jobs.put("job")
            jobs.get()

        return {
            "map_get": repeat(lambda: prices["apple"]),
            "map_set": repeat(map_set),
            "counter_add": repeat(count),
            "queue_put_get": repeat(put_and_get),
            "lock_cycle": repeat(lambda: acquire_and_release(lock)),
            "get_100": repeat(lambda: [prices[key] for key in BATCH]),
        }

    def stop(self) -> None:
        self.manager.shutdown()


class Primitives(Subject):
    """`multiprocessing.Value`, `Queue` and `Lock`: of one program only, and inherited."""

    name = "multiprocessing primitives"

    def start(self) -> Any:
        context = multiprocessing.get_context("fork")
        self.objects = (context.Value("q", 0), context.Queue(), context.Lock())
        return self.objects

    def connect(self, address: Any) -> Operations:
        hits, jobs, lock = address

        def count() -> None:
            with hits.get_lock():
                hits.value += 1

        def put_and_get() -> None:
            jobs.put("job")
            jobs.get()

        return {
            "counter_add": repeat(count),
            "queue_put_get": repeat(put_and_get),
            "lock_cycle": repeat(lambda: acquire_and_release(lock)),
        }
