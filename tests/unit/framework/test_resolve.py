"""From a call, the environment and a file to one checked `Settings`."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import pytest

from sharedstate.backend import Capability
from sharedstate.config import Settings
from sharedstate.errors import ConfigError
from sharedstate.resolve import gather

NO_FILE = {"SHAREDSTATE_CONFIG": ""}


def settings_of(
    url: object = "memory://", environment: Mapping[str, str] = NO_FILE, **options: object
) -> Settings:
    return gather(url, options, environment=NO_FILE | dict(environment))


def test_the_default_is_local() -> None:
    settings = settings_of(None)
    assert settings.url == "local://"
    assert settings.origin("url") == "default"
    assert settings.origin("timeout") == "default"


def test_arguments_come_before_environment_before_profile_before_file(
    tmp_path: Path,
) -> None:
    file = tmp_path / "s.toml"
    file.write_text(
        'url = "memory://"\nnamespace = "file"\ntimeout = 4\nconnect_timeout = 4\n'
        'max_connections = 4\n[profiles.p]\ntimeout = 3\nnamespace = "profile"\n'
        "connect_timeout = 3\n"
    )
    environment = {"SHAREDSTATE_TIMEOUT": "2", "SHAREDSTATE_NAMESPACE": "environment"}
    settings = gather(
        None, {"namespace": "call"}, file=file, profile="p", environment=environment
    )
    assert settings.url == "memory://"
    assert settings.namespace == "call"
    assert settings.timeout == 2
    assert settings.connect_timeout == 3
    assert settings.max_connections == 4


def test_every_value_knows_its_origin(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text("max_connections = 4\n")
    settings = gather(
        "memory://?connect_timeout=1s",
        {"namespace": "n"},
        file=file,
        environment={"SHAREDSTATE_TIMEOUT": "2"},
    )
    assert dict(settings.origins) == {
        "url": "argument",
        "namespace": "argument",
        "connect_timeout": "URL of argument",
        "timeout": "environment SHAREDSTATE_TIMEOUT",
        "max_connections": f"file {file}",
    }


def test_the_query_of_a_url_belongs_to_where_the_url_came_from() -> None:
    environment = {"SHAREDSTATE_URL": "memory://?timeout=3", "SHAREDSTATE_NAMESPACE": "e"}
    assert settings_of(None, environment).timeout == 3
    assert settings_of(None, environment, timeout=1).timeout == 1
    explicit = {"SHAREDSTATE_URL": "memory://?timeout=3", "SHAREDSTATE_TIMEOUT": "4"}
    assert settings_of(None, explicit).timeout == 4
    assert settings_of("memory://?namespace=u", environment).namespace == "u"


def test_a_mapping_may_take_the_place_of_the_url() -> None:
    settings = settings_of({"url": "memory://", "namespace": "m", "timeout": 2}, timeout=1)
    assert (settings.url, settings.namespace, settings.timeout) == ("memory://", "m", 1)


def test_an_option_that_is_none_counts_as_not_given() -> None:
    assert settings_of(None, {"SHAREDSTATE_TIMEOUT": "2"}, timeout=None).timeout == 2


def test_credentials_and_query_are_taken_out_of_the_url() -> None:
    settings = settings_of("redis://ann:s%40cret@host:1/2?timeout=3")
    assert settings.url == "redis://host:1/2"
    assert (settings.username, settings.password) == ("ann", "s@cret")
    assert "cret" not in repr(settings) + str(settings)


def test_a_password_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("s3cret\n")
    settings = settings_of("redis://host", password_file=file)
    assert settings.password == "s3cret"
    assert settings.origin("password") == f"{file} (argument)"


def test_a_password_of_an_upper_layer_hides_the_password_file_of_a_lower() -> None:
    environment = {"SHAREDSTATE_PASSWORD_FILE": "/nowhere"}
    assert settings_of("redis://host", environment, password="pw").password == "pw"


def test_a_password_and_a_password_file_in_one_place_are_an_error() -> None:
    with pytest.raises(ConfigError, match="give only one"):
        settings_of("redis://host", password="pw", password_file="/nowhere")


def test_a_password_file_that_is_missing_is_told() -> None:
    with pytest.raises(ConfigError, match=r"'password_file'.*nowhere"):
        settings_of("redis://host", password_file="/nowhere")


def test_an_unknown_option_is_an_error_with_the_nearest_and_all_known() -> None:
    with pytest.raises(ConfigError, match=r"'timout' \(argument\).*'timeout'.*namespace"):
        settings_of(timout=3)


@pytest.mark.parametrize(
    ("url", "environment"),
    [("memory://?timout=3", {}), ("memory://", {"SHAREDSTATE_TIMOUT": "3"})],
)
def test_an_unknown_option_is_an_error_wherever_it_stands(
    url: str, environment: dict[str, str]
) -> None:
    with pytest.raises(ConfigError, match="unknown option 'timout'"):
        settings_of(url, environment)


def test_an_option_of_another_backend_is_an_error_in_a_call() -> None:
    with pytest.raises(ConfigError, match=r"'check_hostname'.*is of redis"):
        settings_of("memory://", check_hostname=True)
    with pytest.raises(ConfigError, match=r"'check_hostname'.*is of redis"):
        settings_of("memory://?check_hostname=true")


def test_an_option_of_another_backend_is_left_aside_in_environment_and_file(
    tmp_path: Path,
) -> None:
    file = tmp_path / "s.toml"
    file.write_text("check_hostname = true\n")
    environment = {"SHAREDSTATE_CA_FILE": "/x"}
    settings = gather("memory://", {}, file=file, environment=environment)
    assert settings.option("check_hostname") is None
    assert settings.option("ca_file") is None


def test_options_of_the_backend_have_their_defaults() -> None:
    assert settings_of("redis://host").option("check_hostname") is True
    assert settings_of("redis://host?check_hostname=no").option("check_hostname") is False


def test_options_of_any_serializer_are_welcome() -> None:
    assert settings_of(pickle_key="k" * 16).option("pickle_key") == "k" * 16


def test_an_unknown_scheme_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(ConfigError, match=r"URL scheme 'reids'.*'redis'.*local, memory"):
        settings_of("reids://host")


@pytest.mark.parametrize("option", ["serializer", "lock", "consistency"])
def test_an_unknown_name_is_an_error_that_lists_the_known(option: str) -> None:
    with pytest.raises(ConfigError, match=r"unknown .*'nothing'.*known: "):
        gather("memory://", {option: "nothing"}, environment=NO_FILE)


@pytest.mark.parametrize("url", [3, b"memory://"])
def test_a_url_of_a_wrong_type_is_an_error(url: object) -> None:
    with pytest.raises(ConfigError, match="expected a str"):
        settings_of(url)


def test_a_bad_url_tells_where_it_came_from() -> None:
    with pytest.raises(ConfigError, match=r"environment SHAREDSTATE_URL.*expected a URL"):
        settings_of(None, {"SHAREDSTATE_URL": "host"})


def test_braces_in_a_namespace_are_refused() -> None:
    with pytest.raises(ConfigError, match="braces"):
        settings_of(namespace="a{b}")


def test_required_capabilities_are_words_or_members() -> None:
    assert settings_of(require="processes,machines").require == {"processes", "machines"}
    (word,) = settings_of(require={Capability.PROCESSES}).require
    assert word == "processes"
    assert type(word) is str  # and so travels without the enum


def test_an_unknown_capability_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"'machine'.*did you mean 'machines'"):
        settings_of(require="machine")


def test_settings_are_hashable_and_pickle_small() -> None:
    settings = settings_of("redis://ann:pw@host", namespace="n", timeout=1)
    data = pickle.dumps(settings)
    assert pickle.loads(data) == settings
    assert hash(pickle.loads(data)) == hash(settings)
    assert len(data) < 500


def test_where_values_came_from_does_not_make_settings_differ() -> None:
    given = settings_of("memory://", timeout=5.0)
    assert given == settings_of("memory://")
    assert hash(given) == hash(settings_of("memory://"))
