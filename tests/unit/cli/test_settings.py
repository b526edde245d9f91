"""`config show` and `plugins`: what the command tells of its surroundings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sharedstate.config import COMMON_OPTIONS

Command = Callable[..., Any]


def test_every_option_is_shown_with_its_origin(
    run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHAREDSTATE_TIMEOUT", "250ms")
    shown = run("config", "show", "--json", "--url", "redis://cache:6379/1").data
    assert COMMON_OPTIONS.keys() - {"password_file"} <= shown.keys()
    assert shown["url"] == {"value": "redis://cache:6379/1", "origin": "argument"}
    assert shown["timeout"] == {"value": 0.25, "origin": "environment SHAREDSTATE_TIMEOUT"}
    assert shown["serializer"] == {"value": "msgpack", "origin": "default"}


def test_secrets_are_never_shown(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHAREDSTATE_PICKLE_KEY", "sesame-two")
    for style in ([], ["--json"]):
        ended = run("config", "show", "--url", "redis://:sesame@cache:6379", *style)
        assert ended.code == 0
        assert "sesame" not in ended.out + ended.err
        assert "***" in ended.out


def test_a_profile_is_chosen_by_name(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sharedstate.toml").write_text(
        'namespace = "plain"\n[profiles.staging]\nnamespace = "staged"\n'
    )
    monkeypatch.chdir(tmp_path)
    assert run("config", "show", "--json").data["namespace"]["value"] == "plain"
    staged = run("--profile", "staging", "config", "show", "--json").data
    assert staged["namespace"]["value"] == "staged"


def test_all_plugins_are_listed_with_their_origin(run: Command) -> None:
    listed = run("plugins", "--json").data
    provided = {
        (kind["kind"], kind["name"]): (plugin["distribution"], plugin["version"])
        for plugin in listed
        for kind in plugin["provides"]
    }
    assert ("backend", "redis") in provided
    assert ("structure", "map") in provided
    assert all(distribution and version for distribution, version in provided.values())


def test_a_broken_plugin_is_listed_with_its_error(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install_broken_plugin(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("sharedstate.registry._registry", None)
    try:
        ended = run("plugins")
        listed = run("plugins", "--json").data
    finally:
        monkeypatch.undo()
    assert ended.code == 1
    assert "acme\tacme-state 7.1\tbroken\t\tRuntimeError: out of order\n" in ended.out
    (acme,) = (plugin for plugin in listed if plugin["plugin"] == "acme")
    assert acme["error"] == "RuntimeError: out of order"


def _install_broken_plugin(folder: Path) -> None:
    (folder / "acme_state.py").write_text("raise RuntimeError('out of order')")
    info = folder / "acme_state-7.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: acme-state\nVersion: 7.1\n"
    )
    (info / "entry_points.txt").write_text("[sharedstate]\nacme = acme_state\n")
