"""Users: logging in, being changed and deleted, and where they are kept."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from sharedstate_memory.acl import UserLinesError
from sharedstate_memory.acl_delays import LONGEST_DELAY_MS, LoginDelays, delay_ms
from sharedstate_memory.engine import Engine
from sharedstate_memory.replies import BLOCKED, ErrorReply
from tests.unit.memory.conftest import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.unit.memory.conftest import Clock

WRONG = b"WRONGPASS invalid username-password pair or user is disabled."


class Wire:
    """A connection that only remembers that it was to be closed."""

    def __init__(self) -> None:
        self.output_bytes = 0
        self.is_closing = False

    def facts(self) -> dict[str, int | str]:
        return {}

    def close_soon(self) -> None:
        self.is_closing = True

    def watch_peer(self) -> None:
        return


class Lines:
    """A file of users, in memory."""

    path = "/users.acl"

    def __init__(self, *lines: bytes) -> None:
        self.lines = [*lines]

    def load(self) -> list[bytes]:
        return self.lines

    def save(self, lines: Sequence[bytes]) -> None:
        self.lines = [*lines]


class BrokenDisk(Lines):
    """A file that can be neither read nor written."""

    def load(self) -> list[bytes]:
        raise FileNotFoundError(2, "No such file or directory")

    def save(self, lines: Sequence[bytes]) -> None:
        raise OSError(28, "No space left on device")


@pytest.fixture
def ann(client: Client, connect: Callable[[], Client]) -> Client:
    """A client that is the user ann."""
    client("ACL SETUSER ann on >pw +@all allkeys allchannels")
    other = connect()
    assert other("AUTH ann pw") == b"OK"
    return other


# -- logging in


def test_passwords_are_kept_as_hashes(client: Client) -> None:
    client("ACL SETUSER ann on >one >two")
    told = dict(client("ACL GETUSER ann"))
    assert [len(digest) for digest in told[b"passwords"]] == [64, 64]
    for password in ("one", "two"):
        assert client(f"AUTH ann {password}") == b"OK"
    client("RESET")
    client("ACL SETUSER ann <one")
    assert client.refusal("AUTH ann one").startswith("WRONGPASS")


def test_a_user_that_is_off_cannot_log_in_and_stays_who_it_is(
    client: Client, ann: Client
) -> None:
    client("ACL SETUSER ann off")
    assert ann("ACL WHOAMI") == b"ann"
    assert ann.refusal("AUTH ann pw").startswith("WRONGPASS")


def test_a_login_that_fails_changes_nothing(ann: Client) -> None:
    assert ann.refusal("AUTH default2 x").startswith("WRONGPASS")
    assert ann("ACL WHOAMI") == b"ann"


def test_the_password_of_the_settings_is_the_default_users(
    client: Client, connect: Callable[[], Client]
) -> None:
    client("CONFIG SET requirepass secret")
    assert client("GET a") is None
    stranger = connect()
    assert stranger.refusal("GET a") == "NOAUTH Authentication required."
    assert stranger("AUTH secret") == b"OK"
    client.session.execute([b"CONFIG", b"SET", b"requirepass", b""])
    assert connect()("GET a") is None


def test_hello_does_what_its_options_say_as_they_come(client: Client, ann: Client) -> None:
    assert client.refusal("HELLO 3 SETNAME me AUTH ann bad").startswith("WRONGPASS")
    assert client("CLIENT GETNAME") == b"me"
    assert client.session.protocol == 2
    assert client("HELLO 3 AUTH ann pw")[b"proto"] == 3
    assert client("ACL WHOAMI") == b"ann"


def test_reset_makes_the_default_user_of_a_session(ann: Client) -> None:
    ann("RESET")
    assert ann("ACL WHOAMI") == b"default"


def test_exec_of_a_stranger_is_refused_in_its_own_words(stranger: Client) -> None:
    assert stranger.refusal("EXEC") == (
        "EXECABORT Transaction discarded because of: NOAUTH Authentication required."
    )


# -- failures cost time


def test_a_failed_login_is_answered_late(client: Client, clock: Clock) -> None:
    client.session.transport = Wire()
    assert client("AUTH ann x") is BLOCKED
    clock.advance(99)
    client.engine.expire_waits()
    assert client.delivered == []
    clock.advance(1)
    client.engine.expire_waits()
    assert client.delivered == [ErrorReply(WRONG)]
    assert client("PING") == b"PONG"


def test_each_failure_from_an_address_costs_more(
    client: Client, connect: Callable[[], Client], clock: Clock
) -> None:
    waited = []
    for number in range(8):
        other = connect()
        other.session.transport = Wire()
        other.session.address = b"10.0.0.1:%d" % number
        assert other("AUTH ann x") is BLOCKED
        before = clock.now_ms
        deadline_ms = client.engine.next_wait_deadline_ms()
        assert deadline_ms is not None
        clock.now_ms = deadline_ms
        client.engine.expire_waits()
        waited.append(clock.now_ms - before)
    assert waited == [100, 200, 400, 800, 1600, 3200, 3200, 3200]


def test_delays_have_a_bound_and_end() -> None:
    assert delay_ms(10**6) == LONGEST_DELAY_MS
    delays = LoginDelays()
    assert [delays.note(b"a", now) for now in (0, 1, 2)] == [1, 2, 3]
    assert delays.note(b"a", 60_003) == 1
    for number in range(2000):
        delays.note(b"%d" % number, 60_004)
    assert delays.note(b"a", 60_005) == 1


def test_the_owner_hears_of_failed_logins_and_not_of_each(client: Client) -> None:
    heard: list[str] = []
    client.engine.on_warning = heard.append
    client.session.address = b"10.0.0.1:5555"
    for _ in range(9):
        client("AUTH", b"a" * 100, "x")
    assert len(heard) == 4
    assert heard[0] == f"login as '{'a' * 64}' failed, from 10.0.0.1:5555"
    assert heard[3].endswith("8 times from there of late")


# -- changes and what follows


def test_a_change_of_rules_is_felt_at_once(client: Client, ann: Client) -> None:
    assert ann("SET a 1") == b"OK"
    client("ACL SETUSER ann -set")
    assert ann.refusal("SET a 1").startswith("NOPERM")
    client("ACL SETUSER ann +set")
    assert ann("SET a 1") == b"OK"


@pytest.mark.parametrize(
    ("subscribe", "rules", "is_closed"),
    [
        ("SUBSCRIBE news", "resetchannels &other", True),
        ("SUBSCRIBE news", "resetchannels &new*", False),
        ("SUBSCRIBE news", "resetchannels (&news)", False),
        ("SUBSCRIBE news", "-subscribe", False),
        ("PSUBSCRIBE new*", "resetchannels &new*", False),
        ("PSUBSCRIBE new*", "resetchannels &news", True),
        ("SSUBSCRIBE news", "resetchannels &other", True),
    ],
)
def test_who_loses_a_channel_it_listens_to_is_disconnected(
    client: Client, ann: Client, subscribe: str, rules: str, is_closed: bool
) -> None:
    wire = ann.session.transport = Wire()
    ann(subscribe)
    client(f"ACL SETUSER ann {rules}")
    assert wire.is_closing == is_closed


def test_who_is_deleted_is_disconnected_and_can_do_nothing(
    client: Client, ann: Client
) -> None:
    wire = ann.session.transport = Wire()
    assert client("ACL DELUSER ann bob ann") == 1
    assert wire.is_closing
    assert ann.refusal("GET a").startswith("NOPERM")
    assert client("ACL USERS") == [b"default"]
    assert client("ACL GETUSER ann") is None


def test_the_default_user_cannot_be_deleted(client: Client, ann: Client) -> None:
    assert client.refusal("ACL DELUSER ann default") == (
        "ERR The 'default' user cannot be removed"
    )
    assert client("ACL USERS") == [b"ann", b"default"]


def test_the_default_user_can_be_restricted(client: Client, ann: Client) -> None:
    client("ACL SETUSER default -@all")
    assert client.refusal("GET a").startswith("NOPERM")
    assert ann("ACL SETUSER default reset on nopass +@all allkeys allchannels") == b"OK"
    assert client("GET a") is None


# -- where users are kept


def test_users_are_loaded_all_or_none(client: Client, ann: Client) -> None:
    client.engine.acl_file = Lines(b"user bob on", b"usr x", b"user eve +nope", b"user bob")
    text = client.refusal("ACL LOAD")
    assert "/users.acl:2: should start with user keyword" in text
    assert "/users.acl:3: Error in applying operation '+nope'" in text
    assert "/users.acl:4: Duplicate user" in text
    assert client("ACL USERS") == [b"ann", b"default"]


def test_loading_replaces_the_users(
    client: Client, ann: Client, connect: Callable[[], Client]
) -> None:
    client("ACL SETUSER bob on nopass +@all")
    bob = connect()
    bob("AUTH bob x")
    wires = [Wire(), Wire()]
    ann.session.transport, bob.session.transport = wires
    (line, *_) = client("ACL LIST")
    client.engine.acl_file = Lines(line, b"", b"  user eve on ( +get  ~a )  ")
    assert client("ACL LOAD") == b"OK"
    assert client("ACL USERS") == [b"ann", b"default", b"eve"]
    assert [wire.is_closing for wire in wires] == [False, True]
    assert ann("ACL WHOAMI") == b"ann"
    assert bob.refusal("PING").startswith("NOPERM")


def test_users_whose_rules_have_changed_log_in_anew(client: Client, ann: Client) -> None:
    wire = ann.session.transport = Wire()
    client.engine.acl_file = Lines(b"user ann on >pw +@read allkeys")
    client("ACL LOAD")
    assert wire.is_closing
    assert ann.refusal("GET a").startswith("NOPERM")


def test_the_default_user_may_be_in_the_file(client: Client) -> None:
    client.engine.acl_file = Lines(b"user default on nopass +acl +ping ~a")
    client("ACL LOAD")
    assert client.refusal("GET a").startswith("NOPERM")
    client.engine.acl_file = Lines()
    client("ACL LOAD")
    assert client("GET a") is None


def test_a_default_user_that_is_not_loaded_keeps_its_password(stranger: Client) -> None:
    stranger("AUTH secret")
    stranger.engine.acl_file = Lines(b"user ann on")
    stranger("ACL LOAD")
    assert Client(stranger.engine).refusal("GET a").startswith("NOAUTH")


def test_what_was_saved_can_be_loaded(client: Client, clock: Clock) -> None:
    client("ACL SETUSER ann on >pw ~a %R~b &c +@all -get (+get ~d)")
    file = client.engine.acl_file = Lines()
    assert client("ACL SAVE") == b"OK"
    engine = Engine(clock_ms=clock, random=Random(1))
    engine.users.load_lines(file.lines, "saved")
    assert engine.users.lines() == client.engine.users.lines() == file.lines


def test_without_a_file_there_is_nothing_to_load_or_save(client: Client) -> None:
    for line in ("ACL LOAD", "ACL SAVE"):
        assert "not configured to use an ACL file" in client.refusal(line)


def test_a_disk_that_fails_is_told(client: Client) -> None:
    client.engine.acl_file = BrokenDisk()
    assert client.refusal("ACL LOAD") == (
        "ERR Error loading ACLs, opening file '/users.acl': No such file or directory"
    )
    assert "error trying to save" in client.refusal("ACL SAVE")


def test_lines_that_are_none_are_told_with_their_numbers(engine: Engine) -> None:
    with pytest.raises(UserLinesError) as caught:
        engine.users.load_lines([b"user ann (on", b"", b"user"], "the file")
    assert caught.value.errors == [
        "the file:1: Unmatched parenthesis in selector '(on'.",
        "the file:3: should start with user keyword followed by the username.",
    ]


# -- the log


def entries(client: Client) -> list[dict[bytes, Any]]:
    found: list[dict[bytes, Any]] = client("ACL LOG")
    return found


def test_refusals_are_logged_newest_first_and_grouped(
    client: Client, ann: Client, clock: Clock
) -> None:
    client("ACL SETUSER ann reset on +@all -set ~a &c")
    for line in ("SET a 1", "GET b", "SET c 1", "PUBLISH d m"):
        ann(line)
    clock.advance(1500)
    ann("GET b")
    ann("AUTH bob x")
    shown = [
        (e[b"count"], e[b"reason"], e[b"object"], e[b"username"]) for e in entries(client)
    ]
    assert shown == [
        (1, b"auth", b"AUTH", b"bob"),
        (2, b"key", b"b", b"ann"),
        (1, b"channel", b"d", b"ann"),
        (2, b"command", b"set", b"ann"),
    ]
    newest, key, *_ = entries(client)
    assert b"id=%d " % ann.session.id in newest[b"client-info"]
    assert key[b"timestamp-last-updated"] - key[b"timestamp-created"] == 1500


def test_refusals_more_than_a_minute_apart_are_two(
    client: Client, ann: Client, clock: Clock
) -> None:
    client("ACL SETUSER ann -get")
    ann("GET a")
    clock.advance(60_001)
    ann("GET a")
    newer, older = entries(client)
    assert (newer[b"count"], older[b"count"]) == (1, 1)
    assert older[b"age-seconds"] == 60.001
    assert newer[b"entry-id"] == older[b"entry-id"] + 1


def test_the_log_tells_where_a_refusal_came_from(client: Client, ann: Client) -> None:
    client("ACL SETUSER ann -get")
    ann("MULTI")
    ann("GET a")
    assert entries(client)[0][b"context"] == b"multi"
    ann("DISCARD")
    ann("GET a")
    assert entries(client)[0][b"context"] == b"toplevel"


def test_the_log_has_a_length(client: Client) -> None:
    client("CONFIG SET acllog-max-len 3")
    for name in "abcde":
        client(f"AUTH {name} x")
    assert [entry[b"username"] for entry in entries(client)] == [b"e", b"d", b"c"]
    assert len(client("ACL LOG 2")) == 2
    assert client("ACL LOG RESET") == b"OK"
    assert entries(client) == []


def test_passwords_are_made_that_nobody_can_guess(client: Client) -> None:
    assert len({client("ACL GENPASS") for _ in range(10)}) == 10
    assert [len(client(f"ACL GENPASS {bits}")) for bits in (1, 4, 5, 4096)] == [
        1,
        1,
        2,
        1024,
    ]


def test_a_script_sorts_by_the_keys_that_its_caller_may_read(
    client: Client, connect: Callable[[], Client]
) -> None:
    client("ACL SETUSER bob on >pw +@all ~mine")
    client("RPUSH mine 1")
    client("SET secret1 hidden")
    bob = connect()
    assert bob("AUTH bob pw") == b"OK"
    script = "return redis.call('sort', 'mine', 'by', 'nosort', 'get', 'secret*')"
    assert "denied" in bob.refusal("EVAL", script, 0)
