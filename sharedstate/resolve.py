"""Gathering settings: from a call, the environment and a file to one checked `Settings`.

Layers lie over one another, and the uppermost that has an option gives it:

    1  arguments of connect(), or the mapping in their place
    2  the environment: SHAREDSTATE_URL, SHAREDSTATE_<OPTION>
    3  the profile that was chosen, in the file
    4  the file
    5  the default of the option

What stands in a URL (user, password, the query) belongs to the layer that the URL came
from, just beneath the options of that layer. It is taken out of the URL, so that a
`Settings.url` holds no secret.

An option that only another backend has is an error in a call or a URL, which were
written for this one. In the environment or a file it is left aside: the same file may
serve a program that is given another URL today.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sharedstate.config import (
    COMMON_OPTIONS,
    OptionSpec,
    Settings,
    check_text,
    nearest,
    parse_url,
    redact,
)
from sharedstate.errors import ConfigError
from sharedstate.head_start import DEFAULT_URL
from sharedstate.options import Given, check_option
from sharedstate.sources import Layer, read_environment, read_file, read_mapping

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharedstate.registry import Registry

_PASSWORD_WAYS = frozenset({"password", "password_file"})

ARGUMENT = "argument"
"""The origin of what the call itself gave."""


def gather(
    url: object = None,
    options: Mapping[str, object] | None = None,
    *,
    file: str | os.PathLike[str] | None = None,
    profile: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """One checked `Settings`. Reads the environment and at most one file.

    Raises `ConfigError`, and `PluginError` where a broken plugin is in the way.
    """
    variables = os.environ if environment is None else environment
    layers = [
        *_read_call(url, options or {}),
        read_environment(variables),
        *read_file(file, profile, variables),
    ]
    where = next(
        (layer.url for layer in layers if layer.url), Given(DEFAULT_URL, "default")
    )
    bare_url, layers = _take_apart(where, layers)
    # Not before: this imports pluggy and the plugins, some 15 ms.
    from sharedstate.registry import get_registry

    given = _merge(layers)
    specs = _Specs(get_registry(), bare_url, given)
    values, origins = {}, {"url": where.origin}
    for name, each in given.items():
        spec = specs.find(name, each)
        if spec is not None:
            values[name] = check_option(name, spec, each)
            origins[name] = each.origin
    _read_password_file(values, origins)
    settings = _build(bare_url, values, origins, specs.own)
    _check_names(settings)
    return settings


def _read_call(url: object, options: Mapping[str, object]) -> list[Layer]:
    """The layers of the call: its arguments, and the mapping if it was given one."""
    layer = read_mapping(options, ARGUMENT)
    if url is None:
        return [layer]
    if hasattr(url, "items"):
        mapping: Any = url
        return [layer, read_mapping(mapping, "mapping")]
    layer.url = Given(url, ARGUMENT)
    return [layer]


def _take_apart(where: Given, layers: list[Layer]) -> tuple[str, list[Layer]]:
    """The URL without credentials and query, and the layers with one for these two."""
    url = where.value
    if not isinstance(url, str):
        raise ConfigError(f"url ({where.origin}): expected a str, got {url!r:.100}")
    try:
        address = parse_url(url)
    except ConfigError as error:
        raise ConfigError(f"url ({where.origin}): {error}") from None
    origin = f"URL of {where.origin}"
    parts = {
        name: Given(text, origin, is_text=True, folder=where.folder)
        for name, text in address.query.items()
    }
    if address.username:
        parts["username"] = Given(address.username, origin)
    if address.password:
        parts["password"] = Given(address.password, origin)
    if not parts:
        return url, layers
    index = next(
        (i + 1 for i, layer in enumerate(layers) if layer.url is where), len(layers)
    )
    below = Layer(None, parts)
    rest = url.partition("://")[2].partition("?")[0]
    netloc, slash, path = rest.partition("/")
    bare = f"{address.scheme}://{netloc.rpartition('@')[2]}{slash}{path}"
    return bare, [*layers[:index], below, *layers[index:]]


def _merge(layers: list[Layer]) -> dict[str, Given]:
    merged: dict[str, Given] = {}
    for layer in layers:
        options = layer.options
        if options.keys() >= _PASSWORD_WAYS:
            origin = options["password"].origin
            raise ConfigError(f"'password' and 'password_file' ({origin}): give only one")
        if not _PASSWORD_WAYS.isdisjoint(merged):
            # One secret, given in two ways: the upper layer's hides the lower one's.
            options = {
                name: options[name] for name in options if name not in _PASSWORD_WAYS
            }
        merged = {**options, **merged}
    return merged


class _Specs:
    """Which options there are, for the backend, serializers and level that were chosen.

    Every serializer's options are welcome, for each structure may choose its own.
    """

    def __init__(self, registry: Registry, url: str, given: dict[str, Given]) -> None:
        self._registry = registry
        self._url = url
        self.own: dict[str, OptionSpec] = {}
        for record in registry.records("serializer"):
            self.own.update(record.options)
        level = given.get("consistency")
        chosen = str(level.value) if level else str(COMMON_OPTIONS["consistency"].default)
        self.own.update(registry.consistency(chosen).options)
        self.own.update(registry.backend(parse_url(url).scheme).options)

    def find(self, name: str, given: Given) -> OptionSpec | None:
        """The spec of an option; None for one to leave aside. Raises if it is unknown."""
        spec = COMMON_OPTIONS.get(name) or self.own.get(name)
        if spec is not None:
            return spec
        owners = [
            each
            for what in ("backend", "consistency level")
            for each in self._registry.records(what)
            if name in each.options
        ]
        if owners and given.origin.startswith(("environment", "file")):
            return None
        if owners:
            names = ", ".join(each.name for each in owners)
            message = f"option {name!r} ({given.origin}) is of {names}, which "
            summary = owners[0].options[name].summary
            raise ConfigError(f"{message}{redact(self._url)} does not use: {summary}")
        known = ["url", *COMMON_OPTIONS, *self.own]
        message = f"unknown option {name!r} ({given.origin}); {nearest(name, known)}"
        raise self._registry.blame_broken(message) or ConfigError(message)


def _read_password_file(values: dict[str, object], origins: dict[str, str]) -> None:
    """Replace `password_file` by the password that it holds."""
    path = values.pop("password_file", None)
    if path is None:
        return
    origin = origins.pop("password_file")
    try:
        with open(str(path), encoding="utf-8") as file:
            values["password"] = file.read().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"option 'password_file' ({origin}): {error}") from error
    origins["password"] = f"{path} ({origin})"


def _build(
    url: str,
    values: dict[str, object],
    origins: dict[str, str],
    own: Mapping[str, OptionSpec],
) -> Settings:
    common: dict[str, Any] = {
        name: values.pop(name) for name in list(values) if name in COMMON_OPTIONS
    }
    options = {
        name: values.get(name, spec.default)
        for name, spec in own.items()
        if name in values or spec.default is not None
    }
    return Settings(
        url=url,
        options=tuple(sorted(options.items())),
        origins=tuple(sorted(origins.items())),
        **common,
    )


def _check_names(settings: Settings) -> None:
    """Raise at once for what could only fail later: names that nobody provides."""
    from sharedstate.registry import get_registry

    registry = get_registry()
    registry.serializer(settings.serializer)
    registry.lock(settings.lock)
    check_text(settings.namespace, "namespace")
    if any(brace in settings.namespace for brace in "{}"):
        raise ConfigError(
            f"option 'namespace' ({settings.origin('namespace')}): braces have a meaning "
            f"in the names of keys, got {settings.namespace!r}"
        )
    if settings.require:
        from sharedstate.backend import Capability

        known = [capability.value for capability in Capability]
        for word in settings.require.difference(known):
            raise ConfigError(
                f"unknown capability {word!r} in 'require'; {nearest(word, known)}"
            )
