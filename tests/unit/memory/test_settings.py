"""The settings of an engine: reading, changing, and who is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharedstate_memory.directive_kinds import SettingError, quote
from sharedstate_memory.settings import ChangeError, Settings, UnknownSettingError

if TYPE_CHECKING:
    from sharedstate_memory.engine import Engine
    from tests.unit.memory.conftest import Client


@pytest.fixture
def settings() -> Settings:
    return Settings()


def shown(settings: Settings, name: str, value: str) -> str:
    """What is shown after a change to a value."""
    settings.change([(name, value)])
    return settings.show(name)


def refusal(settings: Settings, name: str, value: str) -> str:
    """Why a change is refused."""
    with pytest.raises(ChangeError) as caught:
        settings.change([(name, value)])
    assert caught.value.name == name
    return caught.value.reason


def test_everything_starts_with_its_default(settings: Settings) -> None:
    assert settings["maxmemory"] == 0
    assert settings["latency-tracking"] is True
    assert settings["maxmemory-policy"] == "noeviction"
    assert all(settings.is_default(name) for name in settings)


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("100", 100),
        ("1b", 1),
        ("1k", 1000),
        ("1KB", 1024),
        ("3mb", 3 * 1024**2),
        ("2m", 2_000_000),
        ("1gb", 1024**3),
        ("1g", 10**9),
        ("", 0),
        ("mb", 0),
    ],
)
def test_memory_is_written_in_units(settings: Settings, written: str, size: int) -> None:
    settings.change([("maxmemory", written)])
    assert settings["maxmemory"] == size


@pytest.mark.parametrize("written", ["1.5mb", " 1mb", "-1", "1tb", "x", "1kk", "१mb"])
def test_what_is_no_amount_of_memory_is_refused(settings: Settings, written: str) -> None:
    assert refusal(settings, "maxmemory", written) == "argument must be a memory value"


def test_memory_for_clients_may_be_a_percentage(settings: Settings) -> None:
    assert shown(settings, "maxmemory-clients", "50%") == "50%"
    assert settings["maxmemory-clients"] == -50
    assert shown(settings, "maxmemory-clients", "1kb") == "1024"
    reason = "percentage argument must be less or equal to 100"
    assert refusal(settings, "maxmemory-clients", "101%") == reason
    reason = "argument must be a memory or percent value"
    assert refusal(settings, "maxmemory-clients", "5.5%") == reason


@pytest.mark.parametrize("written", ["+1", "01", "0x1", "1kb", "", "1.0", "१", "9" * 30])
def test_what_is_no_whole_number_is_refused(settings: Settings, written: str) -> None:
    reason = "argument couldn't be parsed into an integer"
    assert refusal(settings, "maxmemory-samples", written) == reason


def test_a_number_out_of_range_is_refused_with_the_range(settings: Settings) -> None:
    reason = "argument must be between 1 and 10 inclusive"
    assert refusal(settings, "active-expire-effort", "11") == reason
    assert settings["active-expire-effort"] == 1


def test_words_of_a_choice_may_have_any_case(settings: Settings) -> None:
    assert shown(settings, "maxmemory-policy", "AllKeys-LRU") == "allkeys-lru"
    assert shown(settings, "latency-tracking", "NO") == "no"
    assert refusal(settings, "latency-tracking", "1") == "argument must be 'yes' or 'no'"
    assert refusal(settings, "maxmemory-policy", "lru").startswith(
        "argument(s) must be one of the following: volatile-lru, volatile-lfu, "
    )


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("KEA", "AKE"),
        ("nKdt", "tdnK"),
        ("An", "A"),
        ("g$lshzxetd", "A"),
        ("mKg", "gKm"),
        ("", ""),
    ],
)
def test_classes_of_events_are_shown_in_order(
    settings: Settings, written: str, expected: str
) -> None:
    assert shown(settings, "notify-keyspace-events", written) == expected


def test_a_class_of_events_that_is_not_shown_is_kept(settings: Settings) -> None:
    settings.change([("notify-keyspace-events", "KAn")])
    assert settings["notify-keyspace-events"] == "g$lshzxetdnK"
    assert settings.lines("notify-keyspace-events") == ["notify-keyspace-events AnK"]


def test_an_unknown_class_of_events_is_refused(settings: Settings) -> None:
    reason = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."
    assert refusal(settings, "notify-keyspace-events", "K?") == reason


def test_percentiles_are_numbers_up_to_100(settings: Settings) -> None:
    name = "latency-tracking-info-percentiles"
    assert settings.show(name) == "50 99 99.9"
    assert shown(settings, name, "1 99.999") == "1 99.999"
    assert shown(settings, name, "") == ""
    assert refusal(settings, name, "x") == f"Invalid {name} parameters"
    assert refusal(settings, name, "101").startswith(f"{name} parameters should sit")


def test_what_needs_a_disk_is_refused_and_its_absence_is_not(settings: Settings) -> None:
    assert shown(settings, "save", "") == ""
    assert shown(settings, "appendonly", "no") == "no"
    assert "nothing on disk" in refusal(settings, "save", "900 1")
    assert "nothing on disk" in refusal(settings, "appendonly", "yes")
    assert refusal(settings, "save", "900 1 x") == "Invalid save parameters"


def test_an_alias_is_another_name_of_the_same_value(settings: Settings) -> None:
    settings.change([("lua-time-limit", "7")])
    assert settings["busy-reply-threshold"] == 7
    found = settings.matching([b"*-time-limit", b"busy*"])
    assert found == {b"lua-time-limit": b"7", b"busy-reply-threshold": b"7"}


def test_a_plain_name_is_shown_as_it_was_asked_for(settings: Settings) -> None:
    assert settings.matching([b"MaxMemory"]) == {b"MaxMemory": b"0"}
    assert settings.matching([b"MAXMEMORY-S*"]) == {b"maxmemory-samples": b"5"}
    assert settings.matching([b"nothing", b"[x"]) == {}


def test_bytes_that_are_no_text_survive(settings: Settings) -> None:
    password = b"\xff\x00p".decode("utf-8", "surrogateescape")
    settings.change([("requirepass", password)])
    assert settings.matching([b"requirepass"]) == {b"requirepass": b"\xff\x00p"}
    assert settings.lines("requirepass") == ['requirepass "\\xff\\x00p"']


def test_a_change_is_all_or_nothing(settings: Settings) -> None:
    with pytest.raises(ChangeError):
        settings.change([("maxmemory", "1mb"), ("maxmemory-samples", "x")])
    with pytest.raises(UnknownSettingError):
        settings.change([("maxmemory", "1mb"), ("nothing", "1")])
    assert settings["maxmemory"] == 0


def test_what_cannot_change_is_refused(settings: Settings) -> None:
    assert refusal(settings, "databases", "4") == "can't set immutable config"
    with pytest.raises(ChangeError, match="duplicate parameter"):
        settings.change([("maxmemory", "1"), ("MAXMEMORY", "2")])


def test_who_depends_on_settings_is_told_once_for_a_change(settings: Settings) -> None:
    told: list[int] = []

    def listen() -> None:
        told.append(settings["maxmemory"])

    settings.on_change("maxmemory", listen)
    settings.on_change("maxmemory-samples", listen)
    settings.change([("maxmemory", "1kb"), ("maxmemory-samples", "6")])
    assert told == [1024]


def test_nobody_is_told_of_a_change_to_the_same_value(settings: Settings) -> None:
    told: list[int] = []
    settings.on_change("maxmemory", lambda: told.append(1))
    settings.change([("maxmemory", "0")])
    assert told == []


def test_who_cannot_follow_takes_the_change_back_for_all(settings: Settings) -> None:
    seen: list[int] = []

    def refuse() -> None:
        if settings["maxmemory-samples"] > 5:
            raise SettingError("too many for me")

    settings.on_change("maxmemory", lambda: seen.append(settings["maxmemory"]))
    settings.on_change("maxmemory-samples", refuse)
    with pytest.raises(ChangeError, match="too many for me"):
        settings.change([("maxmemory", "1kb"), ("maxmemory-samples", "6")])
    assert (settings["maxmemory"], settings["maxmemory-samples"]) == (0, 5)
    assert seen == [1024, 0]


def test_a_line_sets_what_a_change_cannot(settings: Settings) -> None:
    settings.load("databases", ["4"])
    assert settings["databases"] == 4
    with pytest.raises(SettingError, match="wrong number of arguments"):
        settings.load("databases", ["4", "5"])
    with pytest.raises(SettingError, match="wrong number of arguments"):
        settings.load("databases", [])


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain", "plain"),
        ("", '""'),
        ("two words", '"two words"'),
        ('q"\\', '"q\\"\\\\"'),
        ("#x", '"#x"'),
        ("a\nb\x01", '"a\\nb\\x01"'),
        ("é", "é"),
    ],
)
def test_words_are_quoted_when_they_must_be(text: str, written: str) -> None:
    assert quote(text) == written


def test_config_get_takes_several_patterns(client: Client) -> None:
    assert client("CONFIG GET maxmemory databases maxmemory") == {
        b"maxmemory": b"0",
        b"databases": b"16",
    }
    assert len(client("CONFIG GET *")) > 40


def test_config_set_answers_as_redis(client: Client) -> None:
    assert client("CONFIG SET maxmemory 1mb maxmemory-samples 7") == b"OK"
    assert client("CONFIG GET maxmemory") == {b"maxmemory": b"1048576"}
    assert client.refusal("CONFIG SET maxmemory 1 x") == "ERR syntax error"
    assert client.refusal("CONFIG SET maxmemory 1 Nope 2") == (
        "ERR Unknown option or number of arguments for CONFIG SET - 'Nope'"
    )
    assert client.refusal("CONFIG SET MaxMemory abc") == (
        "ERR CONFIG SET failed (possibly related to argument 'maxmemory') - "
        "argument must be a memory value"
    )
    assert client("CONFIG GET maxmemory") == {b"maxmemory": b"1048576"}


def test_a_new_password_is_for_those_who_come(client: Client, engine: Engine) -> None:
    client("CONFIG SET requirepass secret")
    assert client("PING") == b"PONG"
    stranger = engine.open_session(lambda reply: None)
    assert b"NOAUTH" in stranger.execute([b"PING"]).text  # type: ignore[attr-defined]


def test_counters_begin_again(client: Client, engine: Engine) -> None:
    client("GET k")
    engine.expired_keys = engine.evicted_keys = 5
    assert client("CONFIG RESETSTAT") == b"OK"
    assert engine.expired_keys == engine.evicted_keys == 0
    assert sum(database.misses for database in engine.databases) == 0
    # The command itself is counted after it has run.
    assert engine.processed <= 1


def test_settings_from_nowhere_cannot_be_written(client: Client, engine: Engine) -> None:
    assert client.refusal("CONFIG REWRITE") == (
        "ERR The server is running without a config file"
    )
    calls: list[int] = []
    engine.settings.rewrite = lambda: calls.append(1)
    assert client("CONFIG REWRITE") == b"OK"
    assert calls == [1]


def test_a_file_that_cannot_be_written_is_told(client: Client, engine: Engine) -> None:
    def fail() -> None:
        raise PermissionError(13, "Permission denied")

    engine.settings.rewrite = fail
    reason = "ERR Rewriting config file: Permission denied"
    assert client.refusal("CONFIG REWRITE") == reason


def test_what_cannot_be_taken_back_is_told(settings: Settings) -> None:
    def refuse() -> None:
        raise SettingError("no way")

    settings.on_change("maxmemory", refuse)
    assert "taken back either: no way" in refusal(settings, "maxmemory", "1kb")
