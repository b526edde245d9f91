"""What users may do: rules, and the commands, keys and channels that they permit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sharedstate_memory.replies import ErrorReply

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.memory.conftest import Client

NO_KEY = "NOPERM this user has no permissions to access one of the keys used as arguments"
NO_CHANNEL = (
    "NOPERM this user has no permissions to access one of the channels used as arguments"
)


class Ann:
    """A user, made by an administrator, and a client that is this user."""

    def __init__(self, admin: Client, client: Client) -> None:
        self.admin = admin
        self.client = client
        self.become("nopass")

    def become(self, rules: str) -> None:
        """Have these rules, the user being on and its client logged in."""
        assert self.admin(f"ACL SETUSER ann reset on nopass {rules}") == b"OK"
        assert self.client("AUTH ann x") == b"OK"

    def may(self, line: str) -> bool:
        reply = self.client(line)
        return not (isinstance(reply, ErrorReply) and reply.text.startswith(b"NOPERM"))


@pytest.fixture
def ann(client: Client, connect: Callable[[], Client]) -> Ann:
    return Ann(client, connect())


def test_a_new_user_may_do_nothing_but_log_in(ann: Ann) -> None:
    assert ann.client.refusal("GET a") == (
        "NOPERM this user has no permissions to run the 'get' command"
    )
    assert ann.client("AUTH ann x") == b"OK"
    assert ann.client("HELLO 2")
    assert ann.client("RESET") == b"RESET"
    assert ann.client("ACL WHOAMI") == b"default"


@pytest.mark.parametrize(
    ("rules", "allowed", "refused"),
    [
        ("+@all", "GET a", ""),
        ("+get", "GET a", "SET a 1"),
        ("+@read", "GET a", "SET a 1"),
        ("+@read -get", "MGET a", "GET a"),
        ("+@all -@dangerous", "GET a", "KEYS *"),
        ("+@all -@dangerous +keys", "KEYS *", "FLUSHALL"),
        ("+client|id", "CLIENT ID", "CLIENT LIST"),
        ("+client -client|list", "CLIENT ID", "CLIENT LIST"),
        ("+@connection", "CLIENT ID", "GET a"),
        ("+select|0", "SELECT 0", "SELECT 1"),
        ("+select|0 -select", "", "SELECT 0"),
        ("+select|0 -@connection", "", "SELECT 0"),
        ("-select +select|ABC", "SELECT abc", "SELECT 0"),
        ("+get -@all +set", "SET a 1", "GET a"),
        ("allcommands nocommands +get", "GET a", "SET a 1"),
    ],
)
def test_commands_are_permitted_by_the_last_rule_about_them(
    ann: Ann, rules: str, allowed: str, refused: str
) -> None:
    ann.become(f"allkeys {rules}")
    assert not allowed or ann.may(allowed)
    assert not refused or not ann.may(refused)


@pytest.mark.parametrize(
    ("rules", "allowed", "refused"),
    [
        ("~a*", "GET ab", "GET b"),
        ("~a ~b", "MGET a b", "MGET a b c"),
        ("~*", "GET anything", ""),
        ("%R~a", "GET a", "SET a 1"),
        ("%W~a", "SET a 1", "GET a"),
        ("%W~a", "SET a 1", "SET a 1 GET"),
        ("%W~a", "STRLEN a", "GETRANGE a 0 1"),
        ("%R~a", "EXISTS a", "INCR a"),
        ("%R~a %W~a", "INCR a", "INCR b"),
        ("%R~a* %W~*b", "COPY aa bb", "INCR ab"),
        ("%R~a %W~b", "SORT a STORE b", "SORT b STORE a"),
        ("%R~a %W~b", "ZUNIONSTORE b 1 a", "ZUNIONSTORE a 1 b"),
        ("%R~a", "BITFIELD a GET u8 0", "BITFIELD a SET u8 0 1"),
        ("~a", "LMPOP 1 a LEFT", "LMPOP 1 b LEFT"),
        ("~a", "OBJECT ENCODING a", "OBJECT ENCODING b"),
        ("~a", "PING", "WATCH b"),
    ],
)
def test_keys_are_permitted_by_what_becomes_of_them(
    ann: Ann, rules: str, allowed: str, refused: str
) -> None:
    ann.become(f"+@all {rules}")
    assert not allowed or ann.may(allowed)
    assert not refused or ann.client.refusal(refused) == NO_KEY


@pytest.mark.parametrize(
    ("rules", "allowed", "refused"),
    [
        ("&news:*", "PUBLISH news:a m", "PUBLISH other m"),
        ("&news:*", "SUBSCRIBE news:a", "SUBSCRIBE news:a other"),
        ("&news:*", "PSUBSCRIBE news:*", "PSUBSCRIBE news:a*"),
        ("&news", "SPUBLISH news m", "SPUBLISH other m"),
        ("allchannels", "PSUBSCRIBE *", ""),
        ("", "UNSUBSCRIBE other", "SSUBSCRIBE other"),
    ],
)
def test_channels_are_permitted(ann: Ann, rules: str, allowed: str, refused: str) -> None:
    ann.become(f"+@all {rules}")
    assert not refused or ann.client.refusal(refused) == NO_CHANNEL
    assert not allowed or ann.may(allowed)


def test_one_of_the_selectors_has_to_permit_all_of_a_command(ann: Ann) -> None:
    ann.become("+get ~a (+set ~b) (+mget %R~*)")
    assert ann.may("GET a")
    assert ann.may("SET b 1")
    assert ann.may("MGET a b c")
    assert ann.client.refusal("GET b") == NO_KEY
    assert ann.client.refusal("SET a 1") == NO_KEY
    ann.become("+get ~a (+set ~b) clearselectors")
    assert not ann.may("SET b 1")


def test_sort_looks_up_other_keys_only_for_those_who_may_read_all(ann: Ann) -> None:
    ann.become("+@all ~a (+get ~*)")
    assert ann.client.refusal("SORT a BY w_*").startswith("ERR BY option of SORT denied")
    ann.become("+@all ~a (+sort %R~*)")
    assert ann.client("SORT a BY w_*") == []


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("nope", "Syntax error"),
        ("+nope", "Unknown command or category name in ACL"),
        ("+@nope", "Unknown command or category name in ACL"),
        ("-get|x", "Unknown command or category name in ACL"),
        ("+client|nope", "Unknown command or category name in ACL"),
        ("+client|id|x", "Allowing first-arg of a subcommand is not supported"),
        ("%X~a", "Syntax error"),
        ("(on)", "Syntax error"),
        ("#abc", "The password hash must be exactly 64 characters"),
        ("<unknown", "The password you are trying to remove from the user does not exist"),
    ],
)
def test_a_rule_that_is_none_changes_nothing(
    client: Client, rule: str, reason: str
) -> None:
    client("ACL SETUSER ann on +get ~a")
    before = client("ACL GETUSER ann")
    text = client.refusal(f"ACL SETUSER ann off +set {rule}")
    assert text.startswith(f"ERR Error in ACL SETUSER modifier '{rule}': {reason}")
    assert client("ACL GETUSER ann") == before


def test_a_pattern_beside_all_is_a_mistake(client: Client) -> None:
    assert "Adding a pattern after the *" in client.refusal("ACL SETUSER ann ~* ~a")
    assert "'resetchannels'" in client.refusal("ACL SETUSER ann &* &a")


def test_a_parenthesis_that_nobody_closes_is_a_mistake(client: Client) -> None:
    assert client.refusal("ACL SETUSER ann (+get ~a") == (
        "ERR Unmatched parenthesis in acl selector starting at '(+get'."
    )


@pytest.mark.parametrize(
    "rules",
    [
        "on nopass ~* &* +@all",
        "off resetchannels -@all",
        "on ~a %R~b %W~c resetchannels &d +@all -@dangerous +config|get",
        "on nopass resetchannels -@all +select|0 (~b &* +@all) (resetchannels &d -@all)",
    ],
)
def test_a_user_is_told_as_the_rules_that_make_it_again(client: Client, rules: str) -> None:
    client(f"ACL SETUSER ann resetchannels {rules}")
    (line, _) = client("ACL LIST")
    assert line.decode() == f"user ann {rules}"


def test_rules_that_later_ones_replace_are_forgotten(client: Client) -> None:
    for _ in range(100):
        client("ACL SETUSER ann +get -get +@read -@read +client|id -client +select|1")
        client("ACL SETUSER ann +select")
    told = dict(client("ACL GETUSER ann"))
    assert told[b"commands"] == b"-@all -get -@read -client +select"


def test_what_a_user_would_be_refused_can_be_asked(client: Client) -> None:
    client("ACL SETUSER ann +get +publish ~a &c")
    assert client("ACL DRYRUN ann GET a") == b"OK"
    assert client("ACL DRYRUN ann GET b").endswith(b"access the 'b' key")
    assert client("ACL DRYRUN ann PUBLISH d m").endswith(b"access the 'd' channel")
    assert client("ACL DRYRUN ann CLIENT LIST").endswith(b"run the 'client|list' command")
    assert client.refusal("ACL DRYRUN bob GET a") == "ERR User 'bob' not found"
    assert client.refusal("ACL DRYRUN ann NOPE") == "ERR Command 'NOPE' not found"
    assert client("ACL LOG") == []


def test_a_transaction_is_checked_when_it_is_queued(ann: Ann) -> None:
    ann.become("+@all -set allkeys")
    ann.client("MULTI")
    assert not ann.may("SET a 1")
    assert ann.client.refusal("EXEC").startswith("EXECABORT")


def test_a_transaction_is_checked_again_when_it_is_executed(ann: Ann) -> None:
    ann.become("+@all allkeys allchannels")
    ann.client("MULTI")
    for line in ("SET a 1", "GET b", "PUBLISH c m", "PING"):
        ann.client(line)
    ann.admin("ACL SETUSER ann -set resetkeys ~a resetchannels")
    no_command, no_key, no_channel, pong = ann.client("EXEC")
    assert no_command.text.endswith(b"no permission to execute the command or subcommand")
    assert no_key.text.endswith(b"no permission to touch the specified keys")
    assert b"one of the channels" in no_channel.text
    assert no_channel.text.startswith(b"NOPERM ACLs rules changed")
    assert pong == b"PONG"


def test_who_becomes_another_in_a_transaction_is_checked_as_that_one(ann: Ann) -> None:
    ann.become("+@all allkeys")
    ann.admin("ACL SETUSER bob on nopass")
    ann.client("MULTI")
    ann.client("AUTH bob x")
    ann.client("SET a 1")
    ok, refused = ann.client("EXEC")
    assert ok == b"OK"
    assert refused.text.startswith(b"NOPERM")


def test_exec_itself_may_be_refused(ann: Ann) -> None:
    ann.become("+@all -exec")
    ann.client("MULTI")
    assert ann.client.refusal("EXEC") == (
        "EXECABORT Transaction discarded because of: "
        "NOPERM this user has no permissions to run the 'exec' command"
    )
    assert ann.client("PING") == b"PONG"


def test_a_user_that_may_do_everything_is_not_asked(ann: Ann) -> None:
    ann.become("+@all allkeys allchannels")
    assert ann.client.session.user.is_unrestricted
    ann.become("+@all allkeys allchannels -get")
    assert not ann.client.session.user.is_unrestricted
    ann.become("+@all %RW~* allchannels")
    assert not ann.client.session.user.is_unrestricted


def test_new_users_have_the_channels_of_the_setting(client: Client) -> None:
    client("CONFIG SET acl-pubsub-default allchannels")
    client("ACL SETUSER ann (~a)")
    told: dict[bytes, Any] = dict(client("ACL GETUSER ann"))
    assert told[b"channels"] == told[b"selectors"][0][b"channels"] == b"&*"
