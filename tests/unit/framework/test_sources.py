"""Where settings come from: the environment and TOML files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sharedstate.errors import ConfigError
from sharedstate.sources import Layer, read_environment, read_file, read_mapping


def values(layer: Layer) -> dict[str, object]:
    return {name: given.value for name, given in layer.options.items()}


def url(layer: Layer) -> object:
    return layer.url.value if layer.url else None


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_environment_gives_the_url_and_options() -> None:
    layer = read_environment({"SHAREDSTATE_URL": "memory://", "SHAREDSTATE_TIMEOUT": "3"})
    assert url(layer) == "memory://"
    assert values(layer) == {"timeout": "3"}
    assert layer.options["timeout"].origin == "environment SHAREDSTATE_TIMEOUT"


def test_variables_of_other_uses_are_left_alone() -> None:
    layer = read_environment(
        {
            "SHAREDSTATE_CONFIG": "x",
            "SHAREDSTATE_PROFILE": "x",
            "SHAREDSTATE_DISABLE_PLUGINS": "x",
            "SHAREDSTATE_TEST_REDIS": "x",
            "SHAREDSTATE_TIMEOUT": "",
            "PATH": "/bin",
        }
    )
    assert (url(layer), values(layer)) == (None, {})


def test_none_in_a_mapping_is_not_given() -> None:
    assert values(read_mapping({"timeout": None, "lock": "token"}, "argument")) == {
        "lock": "token"
    }


def test_the_nearest_file_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "sharedstate.toml").write_text('url = "memory://"\ntimeout = 2\n')
    inner = folder / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    (layer,) = read_file(None, None, {})
    assert url(layer) == "memory://"
    assert values(layer) == {"timeout": 2}
    assert layer.options["timeout"].origin == f"file {folder / 'sharedstate.toml'}"


@pytest.mark.parametrize(
    "text",
    [
        '[tool.sharedstate]\nnamespace = "n"\n',
        '[ tool . "sharedstate" ]\nnamespace = "n"\n',
        '[tool]\nsharedstate = {namespace = "n"}\n',
        'tool = {sharedstate = {namespace = "n"}}\n',
    ],
)
def test_pyproject_may_hold_the_settings(folder: Path, text: str) -> None:
    (folder / "pyproject.toml").write_text(text)
    (layer,) = read_file(None, None, {})
    assert values(layer) == {"namespace": "n"}


def test_a_pyproject_without_settings_does_not_end_the_search(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "sharedstate.toml").write_text('namespace = "outer"\n')
    inner = folder / "package"
    inner.mkdir()
    (inner / "pyproject.toml").write_text('[project]\ndependencies = ["sharedstate"]\n')
    monkeypatch.chdir(inner)
    (layer,) = read_file(None, None, {})
    assert values(layer) == {"namespace": "outer"}


def test_sharedstate_toml_comes_before_pyproject(folder: Path) -> None:
    (folder / "sharedstate.toml").write_text('namespace = "own"\n')
    (folder / "pyproject.toml").write_text('[tool.sharedstate]\nnamespace = "shared"\n')
    (layer,) = read_file(None, None, {})
    assert values(layer) == {"namespace": "own"}


def test_a_profile_lies_over_the_rest_of_its_file(folder: Path) -> None:
    file = folder / "any.toml"
    file.write_text('namespace = "n"\n[profiles.test]\nurl = "memory://"\n')
    upper, lower = read_file(file, "test", {})
    assert url(upper) == "memory://"
    assert upper.url is not None
    assert upper.url.origin == f"file {file} [profiles.test]"
    assert values(lower) == {"namespace": "n"}


def test_file_and_profile_may_come_from_the_environment(folder: Path) -> None:
    file = folder / "any.toml"
    file.write_text('[profiles.test]\nurl = "memory://"\n')
    environment = {"SHAREDSTATE_CONFIG": str(file), "SHAREDSTATE_PROFILE": "test"}
    assert url(read_file(None, None, environment)[0]) == "memory://"


def test_an_empty_config_variable_means_no_file(folder: Path) -> None:
    (folder / "sharedstate.toml").write_text('namespace = "n"\n')
    assert read_file(None, None, {"SHAREDSTATE_CONFIG": ""}) == []


def test_an_unknown_profile_is_an_error_that_lists_the_known(folder: Path) -> None:
    (folder / "sharedstate.toml").write_text("[profiles.test]\n[profiles.live]\n")
    with pytest.raises(ConfigError, match=r"'tset'.*mean 'test'.*known: live, test"):
        read_file(None, "tset", {})


def test_a_profile_without_any_file_is_an_error(folder: Path) -> None:
    with pytest.raises(ConfigError, match="profile 'test'"):
        read_file(None, "test", {"SHAREDSTATE_CONFIG": ""})


def test_a_named_file_that_is_missing_is_an_error(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.toml"):
        read_file("missing.toml", None, {})


@pytest.mark.parametrize("text", [b"url = ", b"\xff", b"tool = 3"])
def test_a_file_that_cannot_be_read_is_named(folder: Path, text: bytes) -> None:
    file = folder / "pyproject.toml"
    file.write_bytes(text)
    with pytest.raises(ConfigError, match=r"pyproject\.toml"):
        read_file(file, None, {})


def test_a_file_that_a_stranger_put_in_a_public_folder_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder / "sharedstate.toml"
    file.write_text('url = "redis://evil"\n')
    folder.chmod(0o1777)
    owner = os.geteuid() or 12345
    os.chown(file, owner, -1)
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(ConfigError, match="belongs to another user"):
        read_file(None, None, {})
    assert len(read_file(file, None, {})) == 1  # named, and so meant
