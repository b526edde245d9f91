"""Taking URLs apart, and showing them without their secrets."""

from __future__ import annotations

import pytest

from sharedstate.config import nearest, parse_url, redact
from sharedstate.errors import ConfigError


def test_a_url_is_taken_apart() -> None:
    address = parse_url("Redis://ann:s%40cret@host:7000/2?timeout=3&db=")
    assert (address.scheme, address.host, address.path) == ("redis", "host:7000", "/2")
    assert (address.username, address.password) == ("ann", "s@cret")
    assert address.query == {"timeout": "3", "db": ""}


def test_a_url_may_be_a_scheme_only() -> None:
    address = parse_url("local://")
    assert (address.scheme, address.host, address.path) == ("local", "", "")


def test_an_option_stands_in_a_url_once() -> None:
    with pytest.raises(ConfigError, match="'durability' more than once"):
        parse_url("local:///x?durability=always&linger=1&durability=none")


def test_a_repeated_password_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_url("redis://h?password=abc&password=def")
    assert "abc" not in str(caught.value)
    assert "def" not in str(caught.value)


@pytest.mark.parametrize("url", ["local:///a\0b", "local:///a%00b", "server://h\0:1"])
def test_a_zero_character_is_in_no_address(url: str) -> None:
    with pytest.raises(ConfigError, match="zero character"):
        parse_url(url)


def test_a_password_needs_no_user() -> None:
    address = parse_url("redis://:pw@host")
    assert (address.username, address.password) == (None, "pw")


def test_several_hosts_stay_together() -> None:
    assert parse_url("redis+sentinel://a:1,b:2/main/0").host == "a:1,b:2"


@pytest.mark.parametrize("url", ["", "host:6379", "redis:host", "://host"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="expected a URL"):
        parse_url(url)


def test_a_hash_sign_has_to_be_escaped() -> None:
    with pytest.raises(ConfigError, match="%23"):
        parse_url("redis://user:p#w@host")


def test_a_slash_in_a_password_has_to_be_escaped_and_is_not_shown() -> None:
    with pytest.raises(ConfigError, match="%2F") as caught:
        parse_url("redis://user:abc/def@host")
    assert "abc" not in str(caught.value)
    assert "def" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host", ("host", 6379)),
        ("host:1", ("host", 1)),
        ("", ("127.0.0.1", 6379)),
        ("[::1]:70", ("::1", 70)),
        ("[::1]", ("::1", 6379)),
    ],
)
def test_a_port_has_a_default(text: str, expected: tuple[str, int]) -> None:
    assert parse_url(f"redis://{text}").host_and_port(6379) == expected


@pytest.mark.parametrize("port", ["0", "65536", "x", "-1"])
def test_a_port_out_of_range_is_refused(port: str) -> None:
    with pytest.raises(ConfigError, match="port"):
        parse_url(f"redis://host:{port}").host_and_port(6379)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://host/0", "redis://host/0"),
        ("redis://ann:pw@host/0", "redis://ann:***@host/0"),
        ("redis://:pw@host", "redis://:***@host"),
        ("redis://ann:p/w@host", "redis://ann:***@host"),
        ("redis://h?password=pw&db=1", "redis://h?password=***&db=1"),
        ("server+unix:///run/a@b", "server+unix:///run/a@b"),
    ],
)
def test_a_shown_url_has_no_password(url: str, shown: str) -> None:
    assert redact(url) == shown


def test_an_address_does_not_show_its_password() -> None:
    assert "secret" not in repr(parse_url("redis://ann:secret@host"))


def test_a_bad_name_is_answered_with_the_nearest_and_all_known() -> None:
    assert (
        nearest("reids", ["redis", "local"]) == "did you mean 'redis'? known: local, redis"
    )
    assert nearest("zzz", ["redis"]) == "known: redis"
    assert nearest("zzz", []) == "known: none"
