"""Sessions over sockets: whose end of a connection it was, and what comes first."""

from __future__ import annotations

import ctypes
import gc
import os
import re
import signal
import socket
import struct
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import sharedstate
from sharedstate.backend import Capability, Script
from sharedstate.errors import BackendError, BackendTimeout, NotSupported
from sharedstate.testing.background import (
    SECONDS,
    Interrupted,
    in_background,
    interrupted_in,
    main_thread_is_in,
    wait_until,
)
from sharedstate.testing.victims import Victim
from sharedstate_server.connection import Connection
from sharedstate_server.server import Server
from sharedstate_server.timeouts import PROBE_SECONDS, PROBES
from sharedstate_server.wire import Wire, pack, pack_all
from sharedstate_server.wire_session import WireSession
from tests.unit.server.joined import server_of
from tests.unit.server.logged import Logging

if TYPE_CHECKING:
    from multiprocessing.connection import Connection as Pipe

    from sharedstate.backend import Argument, BackendSession, Command
    from sharedstate.state import State
    from sharedstate.testing.servers import BuiltInServer, RedisServer

END = Script(
    "end",
    "redis.call('DEL', KEYS[1]) redis.call('RPUSH', 'ended', ARGV[1])"
    " redis.call('PUBLISH', 'gone', ARGV[1])",
)
KEEP = Script("keep", "redis.call('INCR', 'kept')")


class Client:
    """A bare connection to the server of a test: a path, or a port."""

    def __init__(self, target: Path | int) -> None:
        self.target = target
        if isinstance(target, int):
            self.sock = socket.create_connection(("127.0.0.1", target))
        else:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.connect(str(target))
        self._wire = Wire(self.sock, SECONDS)

    def __call__(self, *words: Argument) -> Any:
        return self._wire.call(*words)

    def send(self, *words: Argument) -> None:
        """Send a command, and do not read its reply."""
        self.sock.sendall(pack(words))

    def send_many(self, commands: list[Command]) -> None:
        """Send commands, and read their replies, which are all OK."""
        replies = self._wire.exchange(pack_all(commands), len(commands))
        assert set(replies) == {b"OK"}

    def read(self) -> Any:
        return self._wire.read_reply()

    def load(self, body: str) -> bytes:
        sha: bytes = self("SCRIPT", "LOAD", body)
        return sha

    def bind(self, name: str, key: str = "k", *, keep_ms: int = 0) -> None:
        """Bind END and KEEP; the argument is the name."""
        keep_sha = self.load(KEEP.body) if keep_ms else ""
        words = (name, keep_ms, self.load(END.body), keep_sha, 1, key, name)
        assert self("SESSION", "BIND", *words) == b"OK"

    def close(self) -> None:
        self.sock.close()


Open = Callable[[], Client]


@pytest.fixture
def open_client(server: Server, tmp_path: Path) -> Iterator[Open]:
    opened: list[Client] = []

    def open_one() -> Client:
        opened.append(Client(tmp_path / "s"))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


@pytest.fixture
def holder(open_client: Open) -> Client:
    """Who binds something, and goes."""
    return open_client()


@pytest.fixture
def observer(open_client: Open) -> Client:
    return open_client()


def ended(observer: Client) -> list[str]:
    """The names whose end has run."""
    names: list[bytes] = observer("LRANGE", "ended", 0, -1)
    return [name.decode() for name in names]


def wait_for_departure(observer: Client) -> None:
    """Wait until a client that bound something after this one has gone, and ended."""
    other = Client(observer.target)
    other.bind("later")
    other.close()
    wait_until(lambda: "later" in ended(observer))


def connected(observer: Client) -> int:
    listed: bytes = observer("CLIENT", "LIST")
    return len(listed.splitlines())


def fact(observer: Client, name: str) -> int:
    """A number that INFO tells."""
    lines: list[bytes] = observer("INFO").splitlines()
    facts = dict(line.split(b":", 1) for line in lines if b":" in line)
    return int(facts[name.encode()])


@pytest.fixture
def port(server: Server) -> int:
    """A TCP port of the server."""
    ports: list[int] = []
    # It is for the thread of the loop to listen.
    server.loop.soon(lambda: ports.append(server.listen_tcp("127.0.0.1", 0)))
    wait_until(lambda: bool(ports))
    return ports[0]


# Which end of a connection is the client's.


def test_a_client_that_closes_has_gone(holder: Client, observer: Client) -> None:
    holder.bind("a")
    holder.close()
    wait_until(lambda: ended(observer) == ["a"])


def test_a_client_that_closes_half_has_gone(holder: Client, observer: Client) -> None:
    holder.bind("a")
    holder.sock.shutdown(socket.SHUT_WR)
    wait_until(lambda: ended(observer) == ["a"])


def test_a_client_that_says_quit_has_gone(holder: Client, observer: Client) -> None:
    holder.bind("a")
    holder("QUIT")
    wait_until(lambda: ended(observer) == ["a"])


def test_a_client_that_dies_before_it_has_read_its_reply_has_gone(
    holder: Client, observer: Client
) -> None:
    """On a Unix socket, that breaks the connection."""
    holder.bind("a")
    holder.send("PING")
    assert holder.sock.recv(1, socket.MSG_PEEK) == b"+"
    holder.close()
    wait_until(lambda: ended(observer) == ["a"])


def test_a_client_that_dies_while_replies_are_on_their_way_has_gone(
    holder: Client, observer: Client
) -> None:
    observer("SET", "big", "x" * 4_000_000)
    holder.bind("a")
    holder.send("GET", "big")
    assert holder.sock.recv(1) == b"$"
    holder.close()
    wait_until(lambda: ended(observer) == ["a"])


def test_a_client_that_waits_and_dies_has_gone(holder: Client, observer: Client) -> None:
    holder.bind("a")
    holder.sock.sendall(pack_all((("BLPOP", "nothing", 0), ("PING",))))
    wait_until(lambda: fact(observer, "blocked_clients") == 1)
    holder.close()
    wait_until(lambda: ended(observer) == ["a"])


@pytest.mark.parametrize("is_busy", [False, True])
def test_a_client_that_was_killed_may_be_alive(
    holder: Client, observer: Client, is_busy: bool
) -> None:
    holder.bind("a")
    number = holder("CLIENT", "ID")
    if is_busy:
        holder.send("BLPOP", "nothing", 0)
        wait_until(lambda: fact(observer, "blocked_clients") == 1)
    observer("CLIENT", "KILL", "ID", number)
    wait_until(lambda: connected(observer) == 1)
    holder.close()
    wait_for_departure(observer)
    assert ended(observer) == ["later"]


def test_a_connection_that_broke_between_machines_ends_nothing(
    port: int, observer: Client
) -> None:
    remote = Client(port)
    remote.bind("a")
    # With this, closing resets the connection.
    linger = struct.pack("ii", 1, 0)
    remote.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    remote.close()
    wait_until(lambda: connected(observer) == 1)
    wait_for_departure(observer)
    assert ended(observer) == ["later"]


def test_a_connection_that_is_closed_between_machines_is_the_clients(
    port: int, observer: Client
) -> None:
    remote, waiting = Client(port), Client(port)
    remote.bind("a")
    waiting.bind("b")
    waiting.send("BLPOP", "nothing", 0)
    wait_until(lambda: fact(observer, "blocked_clients") == 1)
    remote.close()
    wait_until(lambda: ended(observer) == ["a"])
    waiting.close()
    wait_until(lambda: ended(observer) == ["a", "b"])


def test_the_kernel_asks_for_signs_of_life_where_something_is_bound(
    server: Server, port: int
) -> None:
    remote = Client(port)
    sha = remote.load(END.body)
    names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    asked_for = [PROBE_SECONDS, PROBE_SECONDS, PROBES]

    def options() -> list[int]:
        (client,) = server.clients()
        get = client._socket.getsockopt
        return [get(socket.IPPROTO_TCP, name) for name in names]

    assert options() != asked_for
    remote("SESSION", "BIND", "a", 0, sha, "", 0)
    assert options() == asked_for
    remote.close()


# What comes first.


def test_what_was_sent_before_comes_before_the_end(
    server: Server, open_client: Open, holder: Client, observer: Client
) -> None:
    """A process that is killed has other connections, with commands on their way."""
    others = [open_client() for _ in range(300)]
    wait_until(lambda: connected(observer) == 302)
    sha = holder.load("redis.call('SET', 'seen', redis.call('LLEN', 'list'))")
    holder("SESSION", "BIND", "a", 0, sha, "", 0)
    is_stalled, may_go_on = threading.Event(), threading.Event()

    def stall() -> None:
        is_stalled.set()
        may_go_on.wait(SECONDS)

    server.loop.soon(stall)
    observer.send("PING")  # The loop turns.
    assert is_stalled.wait(SECONDS)
    holder.close()
    for each in others:
        each.send("RPUSH", "list", "x")
        each.close()
    may_go_on.set()
    assert observer.read() == b"PONG"
    wait_until(lambda: observer("EXISTS", "seen") == 1)
    assert observer("GET", "seen") == b"300"


def test_an_end_comes_though_others_never_fall_silent() -> None:
    server = Server()  # It does not run: the turns of its loop are this test's.
    session = server.engine.open_session(lambda reply: None)
    sha = session.execute([b"SCRIPT", b"LOAD", b"redis.call('INCR', KEYS[1])"])
    assert isinstance(sha, bytes)
    session.execute([b"SESSION", b"BIND", b"a", b"0", sha, b"", b"1", b"n"])
    assert session.bound is not None
    session.bound.is_left = True
    server.expect_departures()
    server.engine.close_session(session)
    here, there = socket.socketpair()
    here.setblocking(False)
    talker = Connection(server, here, b"", b"")
    turns = 0
    while b"n" not in server.engine.databases[0].data:
        server.arrivals.append((talker, b"PING\r\n"))
        server.loop._run_soon()
        server._process_arrivals()
        turns += 1
        assert turns < 10
    assert turns == 3
    talker.close()
    there.close()
    server._close()


def test_others_are_served_while_ten_thousand_ends_run(
    holder: Client, observer: Client
) -> None:
    sha = holder.load("redis.call('INCR', KEYS[1])")
    holder.send_many([("SESSION", "BIND", at, 0, sha, "", 1, "n") for at in range(10_000)])
    holder.close()
    seen = set()

    def have_all_run() -> bool:
        seen.add(int(observer("GET", "n") or 0))
        return 10_000 in seen

    wait_until(have_all_run)
    assert len(seen - {0, 10_000}) >= 3


def test_others_are_served_while_ten_thousand_are_kept(
    holder: Client, observer: Client
) -> None:
    sha = holder.load("redis.call('SET', KEYS[1], 'x')")
    holder.send_many(
        [("SESSION", "BIND", at, 1000, sha, sha, 1, f"k{at}") for at in range(10_000)]
    )
    seen = set()

    def are_all_kept() -> bool:
        seen.add(observer("DBSIZE"))
        return 10_000 in seen

    wait_until(are_all_kept)
    assert len(seen - {0, 10_000}) >= 3


def test_a_keep_is_heard(holder: Client, observer: Client) -> None:
    sha = holder.load("redis.call('PUBLISH', 'kept', 'x')")
    observer("SUBSCRIBE", "kept")
    holder("SESSION", "BIND", "a", 100, sha, sha, 0)
    assert observer.read() == [b"message", b"kept", b"x"]


def test_what_is_bound_is_listed(holder: Client) -> None:
    holder.bind("a", "lock")
    (facts,) = holder("SESSION", "LIST")
    assert facts[:4] == [b"name", b"a", b"keep-ms", 0]
    assert facts[-4:] == [b"keys", [b"lock"], b"arguments", [b"a"]]


# Limits.


def test_what_is_bound_counts_as_the_clients_memory(
    holder: Client, observer: Client
) -> None:
    sha = holder.load(END.body)
    holder("SESSION", "BIND", "a", 0, sha, "", 1, "k", "x" * 100_000)
    shown = re.findall(rb"tot-mem=(\d+)", observer("CLIENT", "LIST"))
    assert max(map(int, shown)) > 100_000
    wait_until(lambda: fact(observer, "mem_clients_normal") > 100_000)


def test_who_has_bound_something_may_be_silent(
    open_client: Open, holder: Client, observer: Client
) -> None:
    holder.bind("a")
    open_client()
    wait_until(lambda: connected(observer) == 3)
    observer("CONFIG", "SET", "timeout", 1)
    # The other one, which has bound nothing, has to go.
    wait_until(lambda: connected(observer) == 2)
    assert holder("PING") == b"PONG"
    assert ended(observer) == []


# The log, and the server's end.


def test_effects_are_in_the_log(tmp_path: Path) -> None:
    with Logging(tmp_path) as started:
        holder, observer = Client(tmp_path / "s"), Client(tmp_path / "s")
        observer("SET", "lock", "x")
        holder.bind("a", "lock", keep_ms=100)
        wait_until(lambda: observer("GET", "kept") is not None)
        holder.close()
        wait_until(lambda: ended(observer) == ["a"])
        kept = observer("GET", "kept").decode()
        started.end(signal.SIGKILL)
    with Logging(tmp_path) as started:
        assert sorted(started.client.keys()) == ["ended", "kept"]
        assert started.client.get("kept") == kept


def test_the_end_of_the_server_ends_no_client(tmp_path: Path) -> None:
    with Logging(tmp_path) as started:
        holder = Client(tmp_path / "s")
        holder.bind("a", "lock")
        holder("SET", "lock", "x")
        assert started.end() == 0
        holder.close()
    with Logging(tmp_path) as started:
        assert started.client.keys() == ["lock"]


# The client's side.


@pytest.fixture
def state() -> Iterator[State]:
    """A state on a server of its own."""
    with sharedstate.connect("local://") as opened:
        yield opened


@pytest.fixture
def url(state: State) -> str:
    """The URL of that server."""
    return state.backend.settings.url


@contextmanager
def standing_still(state: State) -> Iterator[None]:
    """Let the server of a state stand still (SIGSTOP)."""
    process = server_of(state)
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


@pytest.fixture
def session(state: State) -> Iterator[BackendSession]:
    opened = state.backend.open_session()  # type: ignore[attr-defined]
    assert isinstance(opened, WireSession)
    yield opened
    opened.close()


def bind(session: BackendSession, name: str, *, keep_every: float | None = None) -> None:
    keep = None if keep_every is None else KEEP
    session.bind(
        name, end=END, keep=keep, keep_every=keep_every, keys=["lock"], arguments=[name]
    )


def names_ended(state: State) -> list[bytes]:
    names: list[bytes] = state.backend.execute(("LRANGE", "ended", 0, -1))
    return names


def test_scripts_are_loaded_when_they_are_bound(
    state: State, session: BackendSession
) -> None:
    state.backend.execute(("SCRIPT", "FLUSH"))
    bind(session, "a", keep_every=0.1)
    wait_until(lambda: state.backend.execute(("GET", "kept")) is not None)
    assert names_ended(state) == []
    session.close()
    wait_until(lambda: names_ended(state) == [b"a"])


def test_what_is_unbound_has_no_end(state: State, session: BackendSession) -> None:
    for name in "abcd":
        bind(session, name)
    session.unbind("a", "c", "nope")
    session.unbind()
    session.unbind("d")
    session.close()
    wait_until(lambda: names_ended(state) == [b"b"])


def test_a_session_knows_whether_it_is_open(state: State, session: BackendSession) -> None:
    assert session.is_open()
    assert session.check()
    state.backend.execute(("CLIENT", "KILL", "SKIPME", "yes", "TYPE", "normal"))
    wait_until(lambda: not session.is_open())
    assert not session.check()
    with pytest.raises(BackendError, match="has ended"):
        bind(session, "a")
    session.close()
    assert not session.is_open()


def test_a_session_that_was_closed_is_not_open(session: BackendSession) -> None:
    session.close()
    assert not session.is_open()
    assert not session.check()
    with pytest.raises(BackendError, match="has ended"):
        session.unbind("a")


def test_closing_the_backend_closes_its_sessions(state: State, url: str) -> None:
    with sharedstate.connect(url) as other:
        session = other.backend.open_session()  # type: ignore[attr-defined]
        bind(session, "a")
        other.close()
        assert not session.is_open()
        with pytest.raises(BackendError, match="closed"):
            other.backend.open_session()  # type: ignore[attr-defined]
    wait_until(lambda: names_ended(state) == [b"a"])


def test_a_session_is_beyond_the_bound_of_connections(state: State, url: str) -> None:
    with sharedstate.connect(url, max_connections=1) as bounded:
        bounded.backend.execute(("PING",))
        session = bounded.backend.open_session()  # type: ignore[attr-defined]
        bind(session, "a")
        assert session.check()


def test_a_session_keeps_no_backend_alive(state: State, url: str) -> None:
    other = sharedstate.connect(url)
    backend = weakref.ref(other.backend)
    session = other.backend.open_session("somebody")  # type: ignore[attr-defined]
    bind(session, "a")
    del other
    wait_until(lambda: gc.collect() >= 0 and backend() is None)
    state.backend.execute(("SCRIPT", "FLUSH"))
    # It loads scripts on its own connection.
    bind(session, "b")
    session.close()


def test_an_answer_that_is_late_does_not_end_a_session(state: State, url: str) -> None:
    with sharedstate.connect(url, timeout=0.2) as impatient:
        session = impatient.backend.open_session()  # type: ignore[attr-defined]
        bind(session, "a")
        with standing_still(state):
            with pytest.raises(BackendTimeout, match="goes on"):
                bind(session, "b")
            with pytest.raises(BackendTimeout, match="goes on"):
                session.check()
            assert session.is_open()
        bind(session, "c")
        session.unbind("b")
        assert session.check()
        assert names_ended(state) == []
    wait_until(lambda: names_ended(state) == [b"a", b"c"])


def test_late_answers_do_not_hide_the_end_of_a_session(state: State, url: str) -> None:
    with sharedstate.connect(url, timeout=0.2) as impatient:
        session = impatient.backend.open_session()  # type: ignore[attr-defined]
        with standing_still(state), pytest.raises(BackendTimeout):
            session.check()
        state.backend.execute(("CLIENT", "KILL", "SKIPME", "yes", "TYPE", "normal"))
        wait_until(lambda: not session.is_open())


def test_an_interrupt_does_not_end_a_session(state: State, session: BackendSession) -> None:
    bind(session, "a")
    with (
        standing_still(state),
        pytest.raises(Interrupted),
        interrupted_in("read_reply"),
    ):
        bind(session, "b")
    assert session.is_open()
    bind(session, "c")
    session.unbind("b")
    assert session.check()
    session.close()
    wait_until(lambda: names_ended(state) == [b"a", b"c"])


def test_a_signal_handler_in_the_middle_of_a_call_is_refused(
    state: State, session: BackendSession
) -> None:
    refused = []

    def handle(number: int, frame: object) -> None:
        with pytest.raises(BackendError, match="signal handler") as caught:
            bind(session, "handler")
        refused.append(caught.value)
        raise Interrupted

    with standing_still(state):
        asking = in_background(wait_until_main_thread_reads)
        former = signal.signal(signal.SIGUSR2, handle)
        try:
            with pytest.raises(Interrupted):
                session.check()
        finally:
            signal.signal(signal.SIGUSR2, former)
        asking.result(SECONDS)
    assert len(refused) == 1
    assert session.check()


def wait_until_main_thread_reads() -> None:
    """Send the signal when the main thread waits for an answer."""
    wait_until(lambda: main_thread_is_in("read_reply"))
    os.kill(os.getpid(), signal.SIGUSR2)


def test_a_forked_child_does_not_end_its_parents_session(
    state: State, session: BackendSession
) -> None:
    bind(session, "a")
    child = os.fork()
    if not child:
        ended_badly = session.is_open() or session.check()
        os._exit(int(ended_badly))
    assert os.waitpid(child, 0)[1] == 0
    assert session.check()
    assert names_ended(state) == []


def test_a_parents_end_is_noticed_though_its_child_lives(state: State) -> None:
    with Victim(hold_beside_a_child, state) as victim:
        parent, child = victim.receive()
        os.kill(parent, signal.SIGKILL)
        wait_until(lambda: names_ended(state) == [b"a"])
        os.kill(child, signal.SIGKILL)


def hold_beside_a_child(pipe: Pipe, state: State) -> None:
    session = state.backend.open_session()  # type: ignore[attr-defined]
    bind(session, "a")
    child = os.fork()
    if child:
        pipe.send((os.getpid(), child))
    signal.pause()


def test_programs_that_are_started_inherit_no_session(session: WireSession) -> None:
    assert session._wire is not None
    assert not os.get_inheritable(session._wire.sock.fileno())


# Processes.


def hold(pipe: Pipe, state: State) -> None:
    session = state.backend.open_session()  # type: ignore[attr-defined]
    bind(session, "a", keep_every=0.1)
    state.backend.execute(("SET", "lock", "x"))
    pipe.send("held")
    while pipe.recv() == "hold the interpreter":
        # A call of this kind does not let other threads run.
        ctypes.PyDLL(None).sleep(600)
    session.close()


def test_what_a_killed_process_holds_is_freed(state: State) -> None:
    with Victim(hold, state) as victim, state.backend.subscribe(["gone"]) as listener:
        assert victim.receive() == "held"
        assert state.backend.execute(("EXISTS", "lock")) == 1
        victim.kill()
        message = listener.get(SECONDS)
        assert message is not None
        assert message.data == b"a"
        assert state.backend.execute(("EXISTS", "lock")) == 0


def test_a_process_that_stands_still_is_kept(state: State) -> None:
    with Victim(hold, state) as victim:
        assert victim.receive() == "held"
        victim.stop()
        wait_until_kept_on(state)
        assert names_ended(state) == []
        victim.resume()


def test_a_process_that_holds_the_interpreter_is_kept(state: State) -> None:
    with Victim(hold, state) as victim:
        assert victim.receive() == "held"
        victim.pipe.send("hold the interpreter")
        wait_until_kept_on(state)
        assert names_ended(state) == []


def wait_until_kept_on(state: State) -> None:
    before = int(state.backend.execute(("GET", "kept")) or 0)
    wait_until(lambda: int(state.backend.execute(("GET", "kept")) or 0) > before + 3)


# Who has sessions.


def test_capabilities_of_servers(
    built_in_server: BuiltInServer, redis_server: RedisServer, url: str, tmp_path: Path
) -> None:
    for mine in (url, "local://", f"local://{tmp_path}/folder", built_in_server.url):
        with sharedstate.connect(mine) as ours:
            assert Capability.SESSIONS in ours.capabilities
    theirs = redis_server.unix_url.replace("redis+unix", "server+unix")
    for foreign in (theirs, redis_server.unix_url, "memory://"):
        with sharedstate.connect(foreign) as other:
            assert Capability.SESSIONS not in other.capabilities
    with sharedstate.connect(theirs) as other, pytest.raises(NotSupported, match="SESSION"):
        other.backend.open_session()  # type: ignore[attr-defined]


def test_a_user_who_may_not_bind_has_no_sessions(state: State, url: str) -> None:
    rules = ("on", ">pass", "~*", "&*", "+@all", "-session")
    state.backend.execute(("ACL", "SETUSER", "low", *rules))
    with sharedstate.connect(url, username="low", password="pass") as low:
        assert Capability.SESSIONS not in low.capabilities
