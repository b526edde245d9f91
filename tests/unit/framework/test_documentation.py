"""The pages on plugins and configuration say all there is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from sharedstate import hookspecs
from sharedstate.backend import Capability
from sharedstate.config import COMMON_OPTIONS
from sharedstate.registry import HOOKS, get_registry
from sharedstate.resolve import gather

ROOT = Path(__file__).parents[3]
PLUGINS = (ROOT / "docs" / "plugins.md").read_text()
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_described(hook: str) -> None:
    assert (getattr(hookspecs, hook).__doc__ or "").strip()
    assert f"| `{hook}` |" in PLUGINS
    assert f"**`{hook}`**" in PLUGINS


@pytest.mark.parametrize("record", [kind for _, kind in HOOKS.values()])
def test_every_record_is_described(record: type) -> None:
    assert f"`{record.__name__}`" in PLUGINS
    assert "`create`" in (record.__doc__ or "")


def test_every_common_option_is_described_with_its_default() -> None:
    for name, spec in COMMON_OPTIONS.items():
        assert f"| `{name}` |" in CONFIGURATION
        assert spec.summary in CONFIGURATION.replace("`", "")
    assert {f"`{each}`" for each in Capability} <= set(re.findall(r"`\w+`", CONFIGURATION))


@pytest.mark.parametrize("what", ["serializer", "consistency level"])
def test_every_option_of_serializers_and_levels_is_described(what: str) -> None:
    for record in get_registry().records(what):
        for name in record.options:
            assert f"`{name}`" in CONFIGURATION


def test_the_example_file_is_what_a_program_without_it_gets(tmp_path: Path) -> None:
    file = ROOT / "sharedstate.example.toml"
    written = gather(None, {}, file=file, environment={})
    assert written == gather(None, {}, environment={"SHAREDSTATE_CONFIG": ""})
    assert set(tomllib.loads(file.read_text())["profiles"]) == {"live"}


@pytest.mark.parametrize("page", [PLUGINS, CONFIGURATION], ids=["plugins", "configuration"])
def test_code_on_the_pages_is_python_and_toml(page: str) -> None:
    for language, code in re.findall(r"```(\w+)\n(.*?)```", page, re.DOTALL):
        if language == "python":
            compile(code, "page", "exec")
        else:
            tomllib.loads(code)
