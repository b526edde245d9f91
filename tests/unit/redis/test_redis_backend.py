"""What only the Redis backend has: its connections, its options, its server's replicas."""

from __future__ import annotations

import gc
import os
import pickle
import stat
import threading
import time
from collections.abc import Callable, Iterator

import pytest

import sharedstate
from sharedstate.backend import Backend, Capability
from sharedstate.errors import BackendError, CommandError, ConfigError
from sharedstate.testing.fault_fixtures import wait_until
from sharedstate.testing.plugin import fresh_namespace
from sharedstate.testing.processes import run_in_workers
from sharedstate.testing.proxy import Proxy
from sharedstate.testing.servers import RedisServer
from sharedstate.testing.waiting_suite import LONG_SECONDS, background
from sharedstate_redis.backend import RedisBackend

Opener = Callable[..., RedisBackend]


@pytest.fixture
def open_redis(redis_server: RedisServer) -> Iterator[Opener]:
    """Opens Redis backends, on the session's server unless told otherwise."""
    opened: list[Backend] = []

    def open_one(url: str = redis_server.url, **options: object) -> RedisBackend:
        backend = sharedstate.connect({"url": url, **options}).backend
        assert isinstance(backend, RedisBackend)
        opened.append(backend)
        return backend

    yield open_one
    for backend in opened:
        backend.close()


@pytest.fixture
def key() -> str:
    """A name that no other test uses."""
    return fresh_namespace()


def client_id(backend: Backend) -> int:
    """The server's number for the calling thread's connection."""
    number: int = backend.execute(("CLIENT", "ID"))
    return number


class TestConnections:
    """One a thread, bounded, and gone when they should be."""

    def test_one_thread_keeps_one_connection(self, open_redis: Opener, key: str) -> None:
        backend = open_redis()
        first = client_id(backend)
        backend.wait_for(("BLPOP", key), 0)
        backend.execute_many([("GET", key)])
        backend.transact([("GET", key)])
        assert client_id(backend) == first

    def test_waiting_connections_are_used_again(self, open_redis: Opener, key: str) -> None:
        backend = open_redis()
        for _ in range(5):
            backend.wait_for(("BLPOP", key), 0.001)
            with backend.watch([key]):
                pass
        assert len(backend._connections._all) == 2

    def test_a_watch_that_was_closed_watches_no_more_when_used_again(
        self, open_redis: Opener, key: str
    ) -> None:
        backend = open_redis()
        with backend.watch([key]) as watch:
            before = watch.execute(("CLIENT", "ID"))
        backend.execute(("SET", key, "1"))
        with backend.watch([key]) as watch:
            assert watch.execute(("CLIENT", "ID")) == before
            assert backend.transact([("SET", key, "2")], watching=watch) == [b"OK"]

    def test_a_thread_s_connection_ends_with_it(self, open_redis: Opener) -> None:
        backend = open_redis()
        thread = threading.Thread(target=lambda: backend.execute(("PING",)))
        thread.start()
        thread.join()
        gc.collect()
        assert len(backend._connections._all) == 1

    def test_more_connections_than_allowed_are_refused(
        self, open_redis: Opener, key: str
    ) -> None:
        backend = open_redis(max_connections=2)
        with (
            backend.subscribe([key]),
            pytest.raises(BackendError, match="max_connections=2"),
        ):
            backend.wait_for(("BLPOP", key), 0.01)
        assert backend.wait_for(("BLPOP", key), 0.01) is None

    def test_idle_connections_make_room_for_threads(
        self, open_redis: Opener, key: str
    ) -> None:
        backend = open_redis(max_connections=2)
        backend.wait_for(("BLPOP", key), 0.001)
        with background(lambda: backend.execute(("PING",))):
            pass

    def test_an_idle_connection_that_the_server_closed_is_replaced_before_a_write(
        self, open_redis: Opener, redis_server: RedisServer, key: str
    ) -> None:
        with Proxy(("127.0.0.1", redis_server.port)) as proxy:
            backend = open_redis(f"redis://127.0.0.1:{proxy.port}")
            proxy.hang_up()
            # As if it had been idle for long: not a thing to wait for in a test.
            backend._connections.own().used_at -= 3600
            assert backend.execute(("INCRBY", key, 1)) == 1
            assert len(proxy.commands("INCRBY")) == 1

    def test_closing_ends_the_wait_of_another_thread(
        self, open_redis: Opener, key: str
    ) -> None:
        backend = open_redis()
        other = open_redis()

        def close_when_it_waits() -> None:
            wait_until(lambda: b"cmd=blpop" in other.execute(("CLIENT", "LIST")))
            backend.close()

        started = time.monotonic()
        with background(close_when_it_waits), pytest.raises(BackendError):
            backend.wait_for(("BLPOP", key), LONG_SECONDS)
        assert time.monotonic() - started < LONG_SECONDS / 2

    def test_a_closed_backend_says_so(self, open_redis: Opener) -> None:
        backend = open_redis()
        backend.close()
        with pytest.raises(BackendError, match="closed"):
            backend.execute(("PING",))

    def test_a_subscription_closed_by_another_thread_ends_its_wait(
        self, open_redis: Opener, key: str
    ) -> None:
        subscription = open_redis().subscribe([key])
        threading.Timer(0.05, subscription.close).start()
        with pytest.raises(BackendError, match="closed"):
            subscription.get(LONG_SECONDS)


class TestOptions:
    """What URL and options do."""

    def test_the_path_is_the_database(
        self, open_redis: Opener, redis_server: RedisServer, key: str
    ) -> None:
        third = open_redis(f"{redis_server.url}/3")
        third.execute(("SET", key, "1"))
        assert open_redis().execute(("GET", key)) is None
        assert open_redis(database=3).execute(("GET", key)) == b"1"
        by_socket = open_redis(f"{redis_server.unix_url}?database=3")
        assert by_socket.execute(("GET", key)) == b"1"

    @pytest.mark.parametrize(
        ("path", "options"), [("/x", {}), ("/1", {"database": 2}), ("/1/2", {})]
    )
    def test_a_database_that_makes_no_sense_is_an_error(
        self,
        open_redis: Opener,
        redis_server: RedisServer,
        path: str,
        options: dict[str, object],
    ) -> None:
        with pytest.raises(ConfigError, match="database"):
            open_redis(redis_server.url + path, **options)

    def test_a_database_that_the_server_does_not_have_is_refused(
        self, open_redis: Opener, redis_server: RedisServer
    ) -> None:
        with pytest.raises(CommandError, match="index is out of range"):
            open_redis(f"{redis_server.url}/12345")

    def test_a_missing_certificate_file_is_named(self, open_redis: Opener) -> None:
        with pytest.raises(ConfigError, match="no-such-file"):
            open_redis("rediss://127.0.0.1:1", ca_file="/no-such-file.pem")

    def test_passwords_let_in_and_are_not_shown(self, open_redis: Opener) -> None:
        with RedisServer("--requirepass", "secret") as server:
            host = f"127.0.0.1:{server.port}"
            backend = open_redis(f"redis://:secret@{host}")
            assert backend.execute(("PING",)) == b"PONG"
            assert pickle.loads(pickle.dumps(backend.settings)).password == "secret"
            with pytest.raises(CommandError, match="NOAUTH"):
                open_redis(server.url)
            with pytest.raises(CommandError, match="WRONGPASS") as caught:
                open_redis(f"redis://:mistake@{host}")
            assert "mistake" not in str(caught.value)

    def test_acl_users_log_in_by_name(
        self, open_redis: Opener, redis_server: RedisServer
    ) -> None:
        admin = open_redis()
        admin.execute(("ACL", "SETUSER", "ann", "on", ">word", "+@all", "~*", "&*"))
        backend = open_redis(username="ann", password="word")
        assert backend.execute(("ACL", "WHOAMI")) == b"ann"

    def test_a_user_who_may_not_ping_is_let_in(self, open_redis: Opener, key: str) -> None:
        rights = ("resetkeys", f"~{key}", "-@all", "+get")
        open_redis().execute(("ACL", "SETUSER", "bob", "on", ">word", *rights))
        backend = open_redis(username="bob", password="word")
        assert backend.execute(("GET", key)) is None
        with pytest.raises(CommandError, match="NOPERM"):
            backend.execute(("SET", key, "1"))

    def test_persistence_is_what_the_server_says(self, open_redis: Opener) -> None:
        assert Capability.PERSISTENCE not in open_redis().capabilities
        for options in (("--appendonly", "yes"), ("--save", "60 1")):
            with RedisServer(*options) as server:
                assert Capability.PERSISTENCE in open_redis(server.url).capabilities

    def test_a_full_server_is_a_backend_error(self, open_redis: Opener) -> None:
        with RedisServer("--maxclients", "1") as server:
            open_redis(server.url)
            with pytest.raises(BackendError, match="max number of clients"):
                open_redis(server.url)


class TestReplication:
    """WAIT speaks of the writes of the calling thread."""

    @pytest.fixture(scope="class")
    @classmethod
    def pair(cls, redis_is_installed: None) -> Iterator[tuple[RedisServer, RedisServer]]:
        """A primary and its replica."""
        with RedisServer("--repl-diskless-sync-delay", "0") as primary:
            follow = ("--replicaof", "127.0.0.1", str(primary.port))
            with RedisServer(*follow) as replica:
                yield primary, replica

    @pytest.fixture
    def backend(
        self, pair: tuple[RedisServer, RedisServer], open_redis: Opener
    ) -> RedisBackend:
        """A backend on the primary, with the replica in step."""
        backend = open_redis(pair[0].url)
        wait_until(lambda: b"state=online" in backend.execute(("INFO", "replication")))
        return backend

    def test_a_write_is_counted(self, backend: RedisBackend, key: str) -> None:
        backend.execute(("SET", key, "1"))
        assert backend.execute(("WAIT", 1, 5000)) == 1

    @pytest.mark.parametrize("way", ["execute", "transact", "watch"])
    def test_a_write_that_the_replica_lacks_is_not_counted(
        self,
        backend: RedisBackend,
        pair: tuple[RedisServer, RedisServer],
        key: str,
        way: str,
    ) -> None:
        backend.execute(("SET", key, "1"))
        assert backend.execute(("WAIT", 1, 5000)) == 1
        pair[1].pause()
        try:
            if way == "execute":
                backend.execute(("SET", key, "2"))
            elif way == "transact":
                backend.transact([("SET", key, "2")])
            else:
                with backend.watch([key]) as watch:
                    backend.transact([("SET", key, "2")], watching=watch)
            assert backend.execute(("WAIT", 1, 100)) == 0
        finally:
            pair[1].resume()


class TestForks:
    """What a fork does to the connections of both sides."""

    def test_the_parent_keeps_its_connections_and_the_child_opens_its_own(
        self, open_redis: Opener, key: str
    ) -> None:
        backend = open_redis()
        backend.wait_for(("BLPOP", key), 0.001)
        before = client_id(backend)
        (inherited,) = run_in_workers(client_id, backend, method="fork")
        assert client_id(backend) == before
        assert inherited != before
        assert len(backend._connections._all) == 2

    def test_the_child_has_none_of_its_parent_s_descriptors(
        self, open_redis: Opener, key: str
    ) -> None:
        backend = open_redis()
        backend.wait_for(("BLPOP", key), 0.001)
        sockets = [one._socket.fileno() for one in backend._connections._all]
        open_in_child = run_in_workers(list_open, sockets, method="fork")
        assert open_in_child == [[]]

    def test_a_fork_while_a_thread_waits_leaves_the_lock_usable(
        self, open_redis: Opener
    ) -> None:
        backend = open_redis()
        with backend._connections._lock:
            pid = os.fork()
            if not pid:
                # The child's lock is a new one: this must not wait for ever.
                os._exit(0 if backend.execute(("PING",)) == b"PONG" else 1)
        assert os.waitpid(pid, 0)[1] == 0


def list_open(descriptors: list[int]) -> list[int]:
    """Which of these descriptors are open in this process, and are sockets."""
    found = []
    for descriptor in descriptors:
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                found.append(descriptor)
        except OSError:
            continue
    return found
