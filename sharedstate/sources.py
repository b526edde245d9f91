"""Where settings come from besides the call: the environment, and TOML files.

Each source gives a `Layer`: a URL perhaps, and options by name, each with its origin.
`resolve.py` puts the layers over one another.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sharedstate.config import nearest
from sharedstate.errors import ConfigError
from sharedstate.options import Given

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "SHAREDSTATE_"
FILE_NAME = "sharedstate.toml"

# Variables that are read elsewhere, and those that are left to test suites.
_RESERVED = frozenset({"CONFIG", "PROFILE", "DISABLE_PLUGINS"})
_RESERVED_PREFIX = "TEST_"


class Layer:
    """What one source gives."""

    __slots__ = ("options", "url")

    def __init__(self, url: Given | None, options: dict[str, Given]) -> None:
        self.url = url
        self.options = options


def read_mapping(mapping: Mapping[str, object], origin: str, *, folder: str = "") -> Layer:
    """The layer of a mapping of `url` and options. What is None is not given."""
    options = {}
    for name, value in mapping.items():
        if not isinstance(name, str):
            raise ConfigError(f"the name of an option must be a str, got {name!r:.100}")
        if value is not None:
            options[name] = Given(value, origin, folder=folder)
    return Layer(options.pop("url", None), options)


def read_environment(environment: Mapping[str, str]) -> Layer:
    """The layer of the environment: `SHAREDSTATE_URL`, `SHAREDSTATE_<OPTION>`.

    An empty variable is not given.
    """
    options = {}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or not text:
            continue
        name = variable[len(PREFIX) :]
        if name in _RESERVED or name.startswith(_RESERVED_PREFIX):
            continue
        options[name.lower()] = Given(text, f"environment {variable}", is_text=True)
    return Layer(options.pop("url", None), options)


def read_file(
    file: str | os.PathLike[str] | None,
    profile: str | None,
    environment: Mapping[str, str],
) -> list[Layer]:
    """The layers of the configuration file: its profile, if one is chosen, and the rest.

    Raises `ConfigError` for a file that is named and cannot be read, a file that is not
    TOML, and a profile that is not there.
    """
    profile = profile or environment.get(f"{PREFIX}PROFILE") or None
    path, table = _load(file, environment)
    if path is None:
        if profile:
            raise ConfigError(f"profile {profile!r}: found no {FILE_NAME} that has it")
        return []
    folder = os.path.dirname(path)
    profiles = table.pop("profiles", {})
    layers = [read_mapping(table, f"file {path}", folder=folder)]
    if profile:
        if not isinstance(profiles, dict) or not isinstance(profiles.get(profile), dict):
            known = list(profiles) if isinstance(profiles, dict) else []
            raise ConfigError(
                f"{path}: unknown profile {profile!r}; {nearest(profile, known)}"
            )
        origin = f"file {path} [profiles.{profile}]"
        layers.insert(0, read_mapping(profiles[profile], origin, folder=folder))
    return layers


def _load(
    file: str | os.PathLike[str] | None, environment: Mapping[str, str]
) -> tuple[str | None, dict[str, object]]:
    named = os.fspath(file) if file is not None else environment.get(f"{PREFIX}CONFIG")
    if named:
        path = os.path.abspath(os.path.expanduser(named))
        return path, _parse(path, _read(path))
    if named is not None:  # named, and empty: no file is wanted
        return None, {}
    try:
        folder = os.getcwd()
    except OSError:
        return None, {}  # The folder was removed: there is no file, in it or above it.
    return _search(folder)


def _search(start: str) -> tuple[str | None, dict[str, object]]:
    """The nearest file of this folder and its parents that holds settings."""
    folder = start
    while True:
        for name in (FILE_NAME, "pyproject.toml"):
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                text = _read(path)
                if name == FILE_NAME or _may_hold_settings(text):
                    table = _parse(path, text)
                    if table or name == FILE_NAME:
                        _check_trust(folder, path)
                        return path, table
        parent = os.path.dirname(folder)
        if parent == folder:
            return None, {}
        folder = parent


def _may_hold_settings(text: bytes) -> bool:
    """Whether parsing a pyproject.toml is worth its 5 ms: few have a table for us."""
    packed = text.translate(None, b" \t\"'")
    return b"tool.sharedstate" in packed or b"[tool]" in packed or b"tool={" in packed


def _check_trust(folder: str, path: str) -> None:
    """Refuse a file that a stranger put where everybody may write, such as /tmp.

    It was found and not named, and could send this program's data anywhere.
    """
    anybody_may_write = os.stat(folder).st_mode & 0o002
    if anybody_may_write and os.stat(path).st_uid not in (0, os.geteuid()):
        raise ConfigError(
            f"{path} belongs to another user, in a folder that everybody may write to; "
            f"name it with {PREFIX}CONFIG if it is meant"
        )


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error}") from error


def _parse(path: str, text: bytes) -> dict[str, object]:
    import tomllib

    try:
        table: object = tomllib.loads(text.decode())
    except ValueError as error:  # not TOML, or not UTF-8
        raise ConfigError(f"cannot read the configuration {path}: {error}") from error
    if os.path.basename(path) == "pyproject.toml":
        for name in ("tool", "sharedstate"):
            table = table.get(name, {}) if isinstance(table, dict) else table
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: tool.sharedstate must be a table")
    return table
