"""The lock of a majority, while servers are down, hang, lose their memory or come back."""

from __future__ import annotations

import logging
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import pairwise
from typing import Any

import pytest

import sharedstate
from sharedstate.backend import Script
from sharedstate.errors import BackendError, ConfigError, LockLost
from sharedstate.state import State
from sharedstate.structures.lock import Lock
from sharedstate.testing.background import SECONDS, in_background, wait_until
from sharedstate.testing.plugin import fresh_namespace
from sharedstate.testing.processes import run_in_workers
from sharedstate.testing.proxy import Proxy
from sharedstate.testing.redlock_state import connect_with_servers
from sharedstate.testing.servers import BuiltInServer, RedisServer, StoreServer
from sharedstate.testing.victims import Victim
from sharedstate_locks.voters import voter_for

MIXED: tuple[type[StoreServer], ...] = (
    RedisServer,
    BuiltInServer,
    RedisServer,
    BuiltInServer,
    RedisServer,
)
TIMEOUT = 0.3
"""How long one server may take."""


@pytest.fixture
def servers(redis_is_installed: None) -> Iterator[list[StoreServer]]:
    """Five servers, of both kinds, that a test may stop."""
    with ExitStack() as running:
        yield [running.enter_context(kind()) for kind in MIXED]


@pytest.fixture
def namespace() -> str:
    """One that no other test uses."""
    return fresh_namespace()


@pytest.fixture
def state(servers: list[StoreServer], namespace: str) -> Iterator[State]:
    """A state whose locks are asked of the five servers; its own has no part in it."""
    urls = [server.url for server in servers]
    with connect_with_servers(
        "memory://", urls, namespace=namespace, server_timeout=TIMEOUT, retry_delay=0.02
    ) as state:
        yield state


def votes(server: StoreServer, namespace: str, name: str = "a") -> bytes | None:
    """Who has the vote of a server."""
    with sharedstate.connect(server.url) as there:
        owner: bytes | None = there.backend.execute(
            ("GET", f"{namespace}:ss:{{lock:{name}}}:vote")
        )
        return owner


def count_of_votes(servers: list[StoreServer], namespace: str) -> int:
    """How many of some servers have given their vote to anybody."""
    return sum(votes(server, namespace) is not None for server in servers)


def forget(server: StoreServer) -> None:
    """Let a server lose its memory, as one does that is restarted and kept nothing."""
    with sharedstate.connect(server.url) as there:
        there.backend.execute(("FLUSHALL",))


class TestMinority:
    """A minority of the servers does not matter."""

    def test_a_lock_is_granted_while_two_of_five_are_down(
        self, servers: list[StoreServer], state: State, namespace: str
    ) -> None:
        tokens = []
        for server in (*servers[:2], None):
            with state.lock("a") as lock:
                tokens.append(lock.token)
                assert not state.lock("a").acquire(blocking=False)
                assert state.lock("a").info().holders[0].pid == os.getpid()
            if server is not None:
                server.kill()
        assert tokens == sorted(set(tokens))
        assert count_of_votes(servers[2:], namespace) == 0

    def test_it_is_refused_while_three_of_five_are_down(
        self, servers: list[StoreServer], state: State, namespace: str
    ) -> None:
        lock = state.lock("a")
        with lock:
            pass
        for server in servers[:3]:
            server.kill()
        started = time.monotonic()
        with pytest.raises(BackendError, match=r"^3 of 5 servers gave no answer .* 'a'"):
            lock.acquire()
        assert time.monotonic() - started < SECONDS
        assert count_of_votes(servers[3:], namespace) == 0
        with pytest.raises(BackendError, match="3 are needed"):
            lock.info()
        with pytest.raises(BackendError):
            lock.force_release()
        servers[0].start()
        assert lock.acquire()
        lock.release()

    def test_a_minority_that_voted_is_given_its_votes_back(
        self, servers: list[StoreServer], state: State, namespace: str
    ) -> None:
        with state.lock("a"):
            wait_until(lambda: count_of_votes(servers, namespace) == 5)
            # Two servers forget whom they voted for: they vote for another one, in vain.
            for server in servers[:2]:
                forget(server)
            assert not state.lock("a").acquire(blocking=False)
            assert count_of_votes(servers[:2], namespace) == 0
            assert count_of_votes(servers, namespace) == 3
        assert count_of_votes(servers, namespace) == 0

    def test_what_two_others_hold_is_nobodys(
        self, servers: list[StoreServer], state: State, namespace: str
    ) -> None:
        lock = state.lock("a")
        lock.acquire()
        wait_until(lambda: count_of_votes(servers, namespace) == 5)
        for server in servers[:3]:
            forget(server)
        info = state.lock("a").info()
        assert (info.holders, info.remaining) == ((), None)
        assert not lock.locked()
        with pytest.raises(LockLost, match="when it was released, its lease was over"):
            lock.release()
        wait_until(lambda: count_of_votes(servers, namespace) == 0)

    def test_the_wait_for_a_lock_outlives_a_short_failure(
        self, servers: list[StoreServer], state: State
    ) -> None:
        lock = state.lock("a")
        lock.acquire()
        waiting = in_background(state.lock("a").acquire)
        servers[0].restart()
        servers[3].kill()
        lock.release()
        assert waiting.result(SECONDS)


class TestHanging:
    """A server that does not answer holds nobody up."""

    @pytest.fixture
    def proxy(self, servers: list[StoreServer]) -> Iterator[Proxy]:
        """A proxy before the first server."""
        with Proxy(("127.0.0.1", servers[0].port)) as proxy:
            yield proxy

    @pytest.fixture
    def far(
        self, servers: list[StoreServer], proxy: Proxy, namespace: str
    ) -> Iterator[State]:
        """As `state`, with the first server behind the proxy. It may take its time."""
        urls = [server.url for server in servers[1:]]
        urls.insert(0, f"{servers[0].scheme}://127.0.0.1:{proxy.port}")
        with connect_with_servers(
            "memory://", urls, namespace=namespace, server_timeout=5.0
        ) as state:
            yield state

    def test_it_is_not_waited_for(self, far: State, proxy: Proxy) -> None:
        with far.lock("a"):
            pass
        proxy.stall()
        started = time.monotonic()
        lock = far.lock("a")
        for _ in range(20):
            with lock:
                lock.renew()
                assert lock.locked()
        assert time.monotonic() - started < 5.0

    def test_a_vote_that_nobody_waited_for_is_given_back(
        self, far: State, servers: list[StoreServer], proxy: Proxy, namespace: str
    ) -> None:
        lock = far.lock("a")
        with lock:
            pass
        proxy.stall()
        lock.acquire()
        wait_until(lambda: votes(servers[0], namespace) is not None)
        releasing = in_background(lock.release)
        proxy.resume()
        releasing.result(SECONDS)
        wait_until(lambda: count_of_votes(servers, namespace) == 0)

    def test_a_lost_answer_leaves_no_vote_behind(
        self, far: State, servers: list[StoreServer], proxy: Proxy, namespace: str
    ) -> None:
        lock = far.lock("a")
        with lock:
            pass
        proxy.cut_replies_after(1)
        with lock:
            pass
        wait_until(lambda: count_of_votes(servers, namespace) == 0)

    def test_a_majority_that_hangs_is_told_within_the_time_out(
        self, state: State, servers: list[StoreServer]
    ) -> None:
        lock = state.lock("a")
        with lock:
            pass
        for server in servers[:3]:
            server.pause()
        try:
            started = time.monotonic()
            with pytest.raises(BackendError, match="3 of 5 servers gave no answer"):
                lock.acquire(timeout=SECONDS)
            # Once for the question, once for giving back; and the machine is busy.
            assert time.monotonic() - started < 10 * TIMEOUT
        finally:
            for server in servers[:3]:
                server.resume()


class TestLeases:
    """A majority prolongs, and its loss is told in time."""

    def test_a_lease_is_kept_while_a_minority_is_down(
        self, servers: list[StoreServer], state: State
    ) -> None:
        with state.lock("a", ttl=1.5) as lock:
            servers[0].kill()
            servers[1].kill()
            started = time.monotonic()
            wait_until(lambda: time.monotonic() - started > 2.5)
            assert lock.owned()
            assert not state.lock("a").acquire(blocking=False)

    def test_the_loss_of_the_majority_is_told_before_the_lease_ends(
        self, servers: list[StoreServer], state: State, namespace: str
    ) -> None:
        lock = state.lock("a", ttl=2.0)
        lock.acquire()
        for server in servers[:3]:
            server.kill()
        deadline = time.monotonic() + lock.remaining
        assert lock.lost.wait(SECONDS)
        assert lock.remaining == 0.0
        with pytest.raises(LockLost, match=r"renewed by 2 of 5 servers, and 3 are needed"):
            lock.release()
        # The servers that are left have it for as long as we took it for ours, and longer.
        assert deadline < time.monotonic() + 2.0

    def test_a_majority_that_forgot_is_a_loss_at_once(
        self, servers: list[StoreServer], state: State, namespace: str
    ) -> None:
        lock = state.lock("a")
        lock.acquire()
        wait_until(lambda: count_of_votes(servers, namespace) == 5)
        for server in servers[:3]:
            forget(server)
        with pytest.raises(LockLost, match="the store says"):
            lock.renew()
        # What it had left stands in nobody's way.
        wait_until(lambda: count_of_votes(servers, namespace) == 0)

    def test_a_renewal_asks_for_the_votes_that_are_missing(
        self, servers: list[StoreServer], state: State, namespace: str
    ) -> None:
        lock = state.lock("a")
        lock.acquire()
        for pair in (servers[:2], servers[2:4], servers[3:]):
            for server in pair:
                forget(server)
            lock.renew()
            wait_until(lambda: count_of_votes(servers, namespace) == 5)
        lock.release()
        assert count_of_votes(servers, namespace) == 0


class TestRestarts:
    """A server that was restarted may have forgotten a vote, and gives none for a while."""

    def test_a_restarted_server_does_not_vote(
        self, servers: list[StoreServer], state: State, namespace: str
    ) -> None:
        assert not state.lock("a", restart_delay=1000).acquire(blocking=False)
        assert not state.lock("a", ttl=1000, restart_delay=None).acquire(blocking=False)
        assert count_of_votes(servers, namespace) == 0
        with state.lock("a", restart_delay=0) as lock:
            assert lock.owned()

    @pytest.fixture
    def careful(self, state: State) -> Callable[[], Lock]:
        """Makes locks that let a restarted server wait for three seconds."""
        return lambda: state.lock("a", restart_delay=3)

    def test_a_majority_cannot_be_had_twice_by_restarts(
        self, servers: list[StoreServer], careful: Callable[[], Lock], namespace: str
    ) -> None:
        # As soon as all have been up for long enough, they vote.
        lock, other = careful(), careful()
        assert lock.acquire(timeout=SECONDS)

        def all_have_voted() -> bool:
            lock.renew()
            return count_of_votes(servers, namespace) == 5

        wait_until(all_have_voted)
        for server in servers[:3]:
            server.restart()
        # Three servers know of no lock. Without the delay, they would grant a second one.
        assert not other.acquire(blocking=False)
        assert count_of_votes(servers[:3], namespace) == 0
        assert count_of_votes(servers[3:], namespace) == 2
        # Later they vote again.
        with suppress(LockLost):
            lock.release()
        assert other.acquire(timeout=SECONDS)
        other.release()


class TestTokens:
    """Fencing numbers, and a guarded resource."""

    def test_they_rise_whatever_minority_forgets(
        self, servers: list[StoreServer], state: State, namespace: str
    ) -> None:
        tokens = []
        for turn in range(10):
            with state.lock("a") as lock:
                tokens.append(lock.token)
                # The numbers of the future are known to those who took part.
                ahead = Script("ahead", "return redis.call('incrby', KEYS[1], ARGV[1])")
                key = f"{namespace}:ss:{{lock:a}}:number"
                for place in (turn, turn + 1, turn + 2):
                    with sharedstate.connect(servers[place % 5].url) as there:
                        there.backend.run_script(ahead, (key,), (10**10,))
        assert all(later - sooner >= 10**10 for sooner, later in pairwise(tokens))

    def test_they_rise_by_the_clocks_if_all_forget(
        self, servers: list[StoreServer], state: State
    ) -> None:
        with state.lock("a") as lock:
            first = lock.token
        for server in servers:
            forget(server)
        with state.lock("a") as lock:
            assert lock.token > first

    def test_a_number_is_noted_at_a_majority_before_it_is_used(
        self, servers: list[StoreServer], state: State, namespace: str
    ) -> None:
        with state.lock("a") as lock:
            key = f"{namespace}:ss:{{lock:a}}:number"
            noted = []
            for server in servers:
                with sharedstate.connect(server.url) as there:
                    noted.append(int(there.backend.execute(("GET", key)) or 0))
            assert noted.count(lock.token) >= 3
            assert lock.info().fencing == lock.token

    def test_many_processes_never_hold_it_together(
        self, servers: list[StoreServer], namespace: str
    ) -> None:
        urls = [server.url for server in servers]
        with connect_with_servers(
            servers[0].url, urls, namespace=namespace, server_timeout=5, retry_delay=0.02
        ) as shared:
            guarded = [Victim(use_guarded, shared) for _ in range(4)]
            with ExitStack() as stack:
                for victim in guarded:
                    stack.enter_context(victim)
                for victim in guarded:
                    assert victim.receive() == "ready"
                for victim in guarded:
                    victim.pipe.send("go")
                # A minority comes and goes meanwhile.
                servers[3].restart()
                servers[4].kill()
                tokens = [token for victim in guarded for token in victim.receive()]
            assert shared.map("guarded")["n"] == len(tokens) == 4 * 25
            assert len(set(tokens)) == len(tokens)


def use_guarded(pipe: Any, state: State) -> None:
    """Add one in two steps under the lock, often, fenced. The tokens."""
    lock, guarded = state.lock("a"), state.map("guarded")
    pipe.send("ready")
    pipe.recv()
    tokens = []
    for _ in range(25):
        with lock:
            guarded.set("n", guarded.get("n", 0) + 1, fence=lock)
            tokens.append(lock.token)
    assert tokens == sorted(tokens)
    pipe.send(tokens)


class TestProcesses:
    """Forks and pickles."""

    def test_a_forked_child_asks_over_its_own_connections(
        self, servers: list[StoreServer], state: State, namespace: str
    ) -> None:
        lock = state.lock("a")
        with lock:
            assert run_in_workers(is_refused, lock, method="fork") == [True]
            lock.renew()
        assert run_in_workers(can_have_it, lock, method="fork") == [True]
        with lock:
            assert lock.owned()

    def test_a_handle_travels(self, servers: list[StoreServer], namespace: str) -> None:
        urls = [server.url for server in servers]
        with sharedstate.connect(servers[0].url, namespace=namespace) as state:
            lock = state.lock("a", strategy="redlock", servers=urls, restart_delay=0)
            with lock:
                assert run_in_workers(is_refused, lock, method="spawn") == [True]
            assert run_in_workers(can_have_it, lock, method="spawn") == [True]

    def test_a_process_has_one_voter_for_each_server(self, state: State) -> None:
        first, second = state.lock("a"), state.lock("b")
        voters = [lock._strategy._panel.voters for lock in (first, second)]  # type: ignore[attr-defined]
        assert voters[0] == voters[1]
        assert voters[0][0] is voter_for(voters[0][0].settings)
        with first, second:
            names = [thread.name for thread in threading.enumerate()]
            assert names.count("sharedstate-voter") >= 5


def is_refused(lock: Lock) -> bool:
    """Whether a lock is held by another one."""
    return not lock.acquire(blocking=False)


def can_have_it(lock: Lock) -> bool:
    """Whether a lock can be acquired and released."""
    with lock:
        return lock.owned()


class TestOptions:
    """What is given is checked, and passwords are not shown."""

    URLS = ("redis://one:1", "redis://two:2", "server://three:3")

    @pytest.fixture
    def plain(self) -> Iterator[State]:
        """A state that knows of no servers."""
        with sharedstate.connect("memory://") as state:
            yield state

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({}, r"needs servers=\[…\].* got none"),
            ({"servers": "redis://one"}, "got a str"),
            ({"servers": [*URLS, 5]}, "expected the URL of a server as str, got int"),
            ({"servers": URLS[:1]}, "at least 3 servers.*'token'"),
            ({"servers": [*URLS, URLS[0]]}, "one vote, got redis://one:1 more than once"),
            ({"servers": [*URLS[:2], "memory://"]}, "memory:// cannot be reached"),
            ({"servers": [*URLS[:2], "nothing://x"]}, "'nothing'"),
            ({"servers": URLS, "server_timeout": 0}, "server_timeout above 0"),
            ({"servers": URLS, "server_timeout": 31}, "server_timeout from 0 s to 30 s"),
            ({"servers": URLS, "restart_delay": -1}, "restart_delay from 0 s"),
            ({"servers": URLS, "retry_delay": float("nan")}, "retry_delay from 0 s"),
            ({"servers": URLS, "restart_dela": 1}, "did you mean 'restart_delay'"),
        ],
    )
    def test_wrong_options_are_errors(
        self, plain: State, options: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(ConfigError, match=message):
            plain.lock("a", strategy="redlock", **options)

    def test_an_even_number_is_warned_of_once(
        self, plain: State, caplog: pytest.LogCaptureFixture
    ) -> None:
        urls = [*self.URLS, "redis://four:4"]
        with caplog.at_level(logging.WARNING, "sharedstate"):
            for _ in range(2):
                plain.lock("a", strategy="redlock", servers=urls)
        assert [record.message for record in caplog.records] == [
            "a redlock of 4 servers bears no more failures than one of 3: an odd number is "
            "better"
        ]

    def test_no_message_shows_a_password(self, plain: State) -> None:
        urls = [f"redis://me:hunter2@127.0.0.1:1/{n}" for n in range(3)]
        lock = plain.lock("a", strategy="redlock", servers=urls)
        with pytest.raises(BackendError, match=r"redis://127.0.0.1:1/0: ") as caught:
            lock.acquire()
        assert "hunter2" not in f"{caught.value!r} {lock!r} {lock._strategy!r}"
        with pytest.raises(ConfigError) as refused:
            plain.lock("a", strategy="redlock", servers=[*urls, urls[0]])
        assert "hunter2" not in str(refused.value)

    def test_the_environment_is_of_another_store(
        self, plain: State, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SHAREDSTATE_PASSWORD", "hunter2")
        lock = plain.lock("a", strategy="redlock", servers=self.URLS)
        voters = lock._strategy._panel.voters  # type: ignore[attr-defined]
        assert [voter.settings.password for voter in voters] == [None] * 3

    def test_options_travel(self) -> None:
        with sharedstate.connect("local://") as state:
            lock = state.lock("a", strategy="redlock", servers=self.URLS, ttl=5)
            copy: Lock = pickle.loads(pickle.dumps(lock))
            assert copy._options == lock._options
