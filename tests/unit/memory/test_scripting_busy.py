"""Scripts that do not end: others are served meanwhile, and may kill them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from sharedstate_memory.replies import BLOCKED, ErrorReply

if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from sharedstate_memory.replies import Reply
    from tests.unit.memory.conftest import Client

Connect = Callable[[], "Client"]

LIMIT_MS = 5

LIBRARY = """#!lua name=mine
redis.register_function('loop', function() while true do end end)
redis.register_function('write', function() redis.call('set', 'a', 1) while true do end end)
"""

BUSY_SCRIPT = (
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
)
BUSY_FUNCTION = BUSY_SCRIPT.replace("SCRIPT KILL", "FUNCTION KILL")


class Server:
    """What an owner does while a script is busy: a turn for each of some commands of
    another client, and then the script is killed.
    """

    def __init__(self, engine: Engine, other: Client) -> None:
        self._engine = engine
        self._other = other
        self._lines: list[str] = []
        self.replies: list[Reply] = []
        self.turns = 0
        self.kills = True
        engine.on_busy = self._turn

    def ask(self, *lines: str) -> None:
        """Let the other client say so, a line a turn."""
        self._lines = [*lines]
        self.replies = []

    def _turn(self) -> None:
        self.turns += 1
        busy = self._engine.busy
        assert busy is not None
        if self._lines:
            self.replies.append(self._other(self._lines.pop(0)))
        elif self.kills:
            busy.killed = True


@pytest.fixture
def other(connect: Connect) -> Client:
    return connect()


@pytest.fixture
def server(engine: Engine, other: Client) -> Server:
    engine.script_time_limit_ms = LIMIT_MS
    return Server(engine, other)


def text_of(reply: Reply) -> str:
    assert isinstance(reply, ErrorReply), reply
    return reply.text.decode()


def test_others_are_refused_meanwhile(client: Client, server: Server) -> None:
    server.ask("GET a", "PING", "EVAL return(1) 0", "FUNCTION STATS", "FUNCTION KILL")
    client("EVAL", "while true do end", 0)
    assert [text_of(reply) for reply in server.replies] == [BUSY_SCRIPT] * 5


def test_who_uses_a_transaction_may_begin_one_but_not_end_it(
    client: Client, server: Server
) -> None:
    server.ask("WATCH a", "MULTI", "SET a 1", "EXEC", "UNWATCH")
    client("EVAL", "while true do end", 0)
    watched, begun, queued, ended, unwatched = server.replies
    assert watched == begun == unwatched == b"OK"
    assert text_of(queued) == BUSY_SCRIPT
    assert text_of(ended).startswith("EXECABORT")


def test_everything_is_allowed_again_afterwards(
    engine: Engine, client: Client, other: Client, server: Server
) -> None:
    server.ask("GET a")
    client("EVAL", "while true do end", 0)
    assert engine.busy is None
    assert other("SET a 1") == b"OK"
    assert client("EVAL", "return redis.call('get', 'a')", 0) == b"1"


def test_a_script_is_killed(client: Client, server: Server) -> None:
    server.ask("SCRIPT KILL")
    refusal = client.refusal("EVAL", "local a = 1\nwhile true do end", 0)
    assert server.replies == [b"OK"]
    assert server.turns == 1
    assert refusal.startswith("ERR Script killed by user with SCRIPT KILL... script: ")
    assert refusal.endswith(", on @user_script:2.")


@pytest.mark.parametrize(
    "body",
    [
        "while true do pcall(function() while true do end end) end",
        "while true do xpcall(function() while true do end end, tostring) end",
        "while true do redis.pcall('get', 'a') end",
        "while true do pcall(coroutine.wrap(function() while true do end end)) end",
        "while true do pcall(error, 'x') end",
    ],
)
def test_nothing_catches_being_killed(client: Client, server: Server, body: str) -> None:
    server.ask("SCRIPT KILL")
    assert "killed by user" in client.refusal("EVAL", body, 0)
    assert client("EVAL", "return 1", 0) == 1


@pytest.mark.parametrize("call", ["'set', 'a', 1", "'del', 'nothing'", "'lpush', 'k', 1"])
def test_a_script_that_has_written_is_not_killed(
    client: Client, server: Server, call: str
) -> None:
    client("SET k v")
    server.ask("SCRIPT KILL", "FUNCTION KILL")
    client("EVAL", f"redis.pcall({call}) while true do end", 0)
    assert [text_of(reply).partition(" ")[0] for reply in server.replies] == [
        "UNKILLABLE",
        "UNKILLABLE",
    ]


def test_nor_is_one_that_is_watched(
    client: Client, connect: Connect, server: Server
) -> None:
    connect()("MONITOR")
    server.ask("SCRIPT KILL")
    client("EVAL", "redis.call('set', 'a', 1) while true do end", 0)
    assert text_of(server.replies[0]).startswith("UNKILLABLE ")
    server.ask("SCRIPT KILL")
    client("EVAL", "redis.call('get', 'a') while true do end", 0)
    assert server.replies == [b"OK"]


def test_a_script_may_end_by_itself(client: Client, engine: Engine) -> None:
    engine.script_time_limit_ms = LIMIT_MS
    turns: list[bool] = []
    engine.on_busy = lambda: turns.append(engine.busy is not None)
    body = "for i = 1, 1e6 do redis.call('get', 'a') end return 'done'"
    assert client("EVAL", body, 0) == b"done"
    assert turns
    assert all(turns)
    assert engine.busy is None


def test_a_unit_stays_whole_while_others_are_served(
    client: Client, connect: Connect, server: Server, engine: Engine
) -> None:
    effects: list[bytes] = []
    engine.on_effect = lambda database, argv: effects.append(argv[0].upper())
    waiting = connect()
    assert waiting("BLPOP l 0") is BLOCKED
    server.ask("WATCH l", "HELLO 3", "MULTI", "DISCARD")
    server.kills = False
    body = """
        redis.call('rpush', 'l', 1, 2)
        for i = 1, 1e6 do redis.call('get', 'a') end
        return redis.call('lpop', 'l')
    """
    assert client("EVAL", body, 0) == b"1"
    assert len(server.replies) == 4
    assert waiting.delivered == [[b"l", b"2"]]
    assert effects == [b"MULTI", b"RPUSH", b"LPOP", b"EXEC", b"LPOP"]


def test_there_is_nothing_to_kill(client: Client, server: Server) -> None:
    text = "NOTBUSY No scripts in execution right now."
    assert client.refusal("SCRIPT KILL") == text
    assert client.refusal("FUNCTION KILL") == text


def test_without_a_limit_nobody_is_told(engine: Engine, client: Client) -> None:
    engine.script_time_limit_ms = 0
    engine.on_busy = lambda: pytest.fail("the script is said to be busy")
    assert client("EVAL", "for i = 1, 1e6 do end return 1", 0) == 1


# -- functions


def test_others_are_told_of_the_function(client: Client, server: Server) -> None:
    client("FUNCTION LOAD", LIBRARY)
    server.ask("GET a", "SCRIPT KILL", "FCALL loop 0", "FUNCTION STATS")
    client("FCALL loop 1 key argument")
    *refusals, stats = server.replies
    assert [text_of(reply) for reply in refusals] == [BUSY_FUNCTION] * 3
    assert isinstance(stats, dict)
    running = stats[b"running_script"]
    assert running[b"name"] == b"loop"
    assert running[b"command"] == [b"FCALL", b"loop", b"1", b"key", b"argument"]
    assert running[b"duration_ms"] >= LIMIT_MS


def test_a_function_is_killed(client: Client, server: Server) -> None:
    client("FUNCTION LOAD", LIBRARY)
    server.ask("FUNCTION KILL")
    refusal = client.refusal("FCALL loop 0")
    assert server.replies == [b"OK"]
    assert refusal == (
        "ERR Script killed by user with SCRIPT KILL... script: loop, on @user_function:2."
    )


def test_a_function_that_has_written_is_not_killed(client: Client, server: Server) -> None:
    client("FUNCTION LOAD", LIBRARY)
    server.ask("FUNCTION KILL")
    client("FCALL write 0")
    assert text_of(server.replies[0]).startswith("UNKILLABLE ")


def test_a_library_that_does_not_end_is_not_loaded(client: Client, server: Server) -> None:
    endless = "#!lua name=endless\nwhile true do end"
    text = "ERR Error registering functions: ERR FUNCTION LOAD timeout"
    assert client.refusal("FUNCTION LOAD", endless) == text
    assert server.turns == 0
    assert client("FUNCTION LOAD", LIBRARY) == b"mine"
