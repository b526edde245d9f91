"""Users, as unmodified clients meet them: over the wire, in both protocols."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sharedstate.testing.servers import BuiltInServer


@pytest.fixture(scope="module")
def server() -> Iterator[BuiltInServer]:
    """A server of this module's own, whose users nobody else changes."""
    with BuiltInServer() as server:
        yield server


def connect(
    server: BuiltInServer, user: str | None = None, password: str | None = None
) -> redis.Redis:
    return redis.Redis(
        port=server.port,
        username=user,
        password=password,
        protocol=3,
        decode_responses=True,
        retry=Retry(NoBackoff(), 0),
    )


@pytest.fixture
def admin(server: BuiltInServer) -> Iterator[redis.Redis]:
    with connect(server) as client:
        yield client
        client.acl_deluser("ann")


def test_redis_py_makes_users_and_reads_them_back(admin: redis.Redis) -> None:
    assert admin.acl_setuser(
        "ann",
        enabled=True,
        passwords=["+pw"],
        categories=["+@read"],
        commands=["-get", "+client|id"],
        keys=["a*"],
        channels=["news:*"],
        selectors=[("+set", "%W~b*")],
    )
    told = admin.acl_getuser("ann")
    assert told is not None
    assert told["enabled"]
    assert told["keys"] == ["~a*"]
    assert told["channels"] == ["&news:*"]
    assert told["categories"] == ["-@all", "+@read"]
    assert told["commands"] == ["-get", "+client|id"]
    assert "ann" in admin.acl_users()
    assert admin.acl_whoami() == "default"


def test_a_user_of_redis_py_is_refused_what_it_may_not_do(
    server: BuiltInServer, admin: redis.Redis
) -> None:
    admin.acl_setuser(
        "ann", enabled=True, passwords=["+pw"], categories=["+@all"], keys=["a*"]
    )
    with connect(server, "ann", "pw") as ann:
        assert ann.set("a1", "v")
        with pytest.raises(redis.exceptions.NoPermissionError):
            ann.get("b")
        with pytest.raises(redis.exceptions.NoPermissionError):
            ann.pipeline().get("a1").get("b").execute()
    newest, *_ = admin.acl_log(5)
    assert (newest["reason"], newest["object"]) == ("key", "b")
    assert "user=ann" in str(newest["client-info"])


def test_a_deleted_user_is_disconnected(server: BuiltInServer, admin: redis.Redis) -> None:
    admin.acl_setuser("ann", enabled=True, nopass=True, categories=["+@all"])
    with connect(server, "ann", "x") as ann:
        assert ann.ping()
        admin.acl_deluser("ann")
        with pytest.raises(redis.exceptions.ConnectionError):
            ann.ping()


def test_who_fails_to_log_in_waits_and_nobody_else_does(
    server: BuiltInServer, admin: redis.Redis
) -> None:
    started = time.monotonic()
    stranger = connect(server, "ann", "wrong")
    with pytest.raises(redis.exceptions.AuthenticationError):
        stranger.ping()
    stranger.close()
    assert time.monotonic() - started >= 0.1
    started = time.monotonic()
    assert admin.ping()
    assert time.monotonic() - started < 0.1


def test_redis_cli_logs_in(
    server: BuiltInServer, admin: redis.Redis, redis_is_installed: None
) -> None:
    admin.acl_setuser(
        "ann", enabled=True, passwords=["+pw"], commands=["+acl|whoami"], keys=["*"]
    )
    program = shutil.which("redis-cli") or "valkey-cli"
    command = [program, "-p", str(server.port), "--user", "ann", "--pass", "pw"]
    ended = subprocess.run(
        [*command, "--no-auth-warning", "ACL", "WHOAMI"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (ended.stdout.strip(), ended.stderr) == ("ann", "")


def test_redis_py_reads_the_command_table(admin: redis.Redis) -> None:
    table = admin.command()
    assert table["get"]["arity"] == 2
    assert set(table["get"]["flags"]) == {"readonly", "fast"}
    assert admin.command_count() == len(table)
    assert admin.command_getkeys("EVAL", "x", "2", "a", "b", "c") == ["a", "b"]
    assert "getex" in admin.command_list(pattern="get*")
