"""What the server tells of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sharedstate.commands import COMMANDS
from sharedstate_memory.commands.registry import lookup
from sharedstate_memory.replies import NO_REPLY, Status, as_resp2

if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client, Clock


def test_every_command_of_the_table_has_a_handler() -> None:
    assert [name for name in COMMANDS if lookup(name.encode()) is None] == []


def test_every_handler_says_what_it_does() -> None:
    bound = [lookup(name.encode()) for name in COMMANDS]
    assert [entry for entry in bound if entry is None or not entry[0].__doc__] == []


def test_time_is_the_clocks(client: Client, clock: Clock) -> None:
    clock.advance(123)
    assert client("TIME") == [b"1700000000", b"123000"]


def test_info_has_sections(client: Client, engine: Engine) -> None:
    client("SET k v EX 10")
    engine.info["connected_clients"] = 7
    engine.info["tcp_port"] = 1234
    text = client("INFO").decode()
    for line in (
        "# Server",
        f"redis_version:{engine.redis_version}",
        "tcp_port:1234",
        "connected_clients:7",
        "role:master",
        "db0:keys=1,expires=1,avg_ttl=10000",
    ):
        assert line in text.split("\r\n")
    assert client("INFO replication").startswith(b"# Replication\r\n")
    assert b"# Server" not in client("INFO keyspace clients")
    assert client("INFO nothing") == b""


def test_commands_describe_themselves(client: Client) -> None:
    assert client("COMMAND COUNT") == len(COMMANDS) == len(client("COMMAND"))
    get, nothing = client("COMMAND INFO get nothing")
    assert get[:2] == [b"get", 2]
    assert set(get[2]) == {Status(b"readonly"), Status(b"fast")}
    assert get[3:6] == [1, 1, 1]
    assert nothing is None
    assert b"zadd" in client("COMMAND LIST")
    assert client("COMMAND DOCS get")[b"get"][b"summary"].startswith(b"The value")
    assert client("COMMAND GETKEYS mset a 1 b 2") == [b"a", b"b"]


def test_configuration_is_read_by_pattern(client: Client, engine: Engine) -> None:
    assert client("CONFIG GET databases save") == {b"databases": b"16", b"save": b""}
    assert b"maxmemory-policy" in client("CONFIG GET maxmem*")
    client("CONFIG RESETSTAT")
    assert engine.processed < 2


def test_role(client: Client) -> None:
    assert client("ROLE") == [b"master", 0, []]


def test_shutdown_asks_the_owner(client: Client, engine: Engine) -> None:
    assert client.refusal("SHUTDOWN").startswith("ERR Errors trying to SHUTDOWN")
    calls: list[Any] = []

    def shut_down(words: frozenset[bytes]) -> bool:
        calls.append(words)
        return True

    engine.on_shutdown = shut_down
    assert client("SHUTDOWN nosave") is NO_REPLY
    assert calls == [{b"NOSAVE"}]
    engine.on_shutdown = lambda words: False
    assert client.refusal("SHUTDOWN").startswith("ERR Errors trying to SHUTDOWN")
    assert client.refusal("SHUTDOWN PLEASE") == "ERR syntax error"


def test_replies_have_resp2_shapes_when_asked(client: Client) -> None:
    client("ZADD z 0.1 m")
    client("HSET h f v")
    assert as_resp2(client("ZSCORE z m")) == b"0.10000000000000001"
    assert as_resp2(client("ZRANGE z 0 -1 WITHSCORES"))[1] == b"0.10000000000000001"  # type: ignore[index]
    assert as_resp2(client("HGETALL h")) == [b"f", b"v"]
    assert type(as_resp2(client("PING"))) is bytes
    assert as_resp2([True, 1e20, {b"x"}]) == [1, b"1e+20", [b"x"]]
