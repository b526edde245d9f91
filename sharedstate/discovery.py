"""Finding plugins: the entry points of the group `sharedstate`, read in a light way.

`importlib.metadata.entry_points()` answers the same question, but imports email, csv,
zipfile and a dozen more on the way, and opens the files of every installed
distribution: about 35 ms, more than all the rest of a first `connect` together. What is
needed is little: for each folder on the path, the folders beside the packages that end
in `.dist-info` or `.egg-info`, and in them one small file, `entry_points.txt`. Reading
those takes about a millisecond.

What is not a plain folder (a zip, an egg) is left to `importlib.metadata`. Invariant:
both ways find the same plugins; a test compares them.

Source: https://packaging.python.org/specifications/entry-points/
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GROUP = "sharedstate"


class FoundPlugin:
    """One entry point: its name, what it names, and who installed it."""

    __slots__ = ("distribution", "name", "value", "version")

    def __init__(self, name: str, value: str, distribution: str, version: str) -> None:
        self.name = name
        self.value = value
        """`module` or `module:attribute`."""
        self.distribution = distribution
        self.version = version

    def load(self) -> object:
        """Import the plugin. Raises whatever its import raises."""
        from importlib import import_module

        module, _, attributes = self.value.partition(":")
        plugin: object = import_module(module.strip())
        for attribute in filter(None, attributes.strip().split(".")):
            plugin = getattr(plugin, attribute)
        return plugin

    def __repr__(self) -> str:
        return f"<FoundPlugin {self.name}={self.value} of {self.distribution}>"


def find_plugins(
    path: Sequence[str] | None = None, *, group: str = GROUP
) -> list[FoundPlugin]:
    """The plugins that are installed on `path` (default: `sys.path`), in its order.

    Where a distribution is there twice, the first on the path counts, as it does for
    imports. A distribution whose files cannot be read is passed over, as
    `importlib.metadata` does: what cannot be read cannot be imported either.
    """
    found: list[FoundPlugin] = []
    seen: set[str] = set()
    for entry in sys.path if path is None else path:
        folder = entry or "."
        if os.path.isdir(folder) and not folder.endswith(".egg"):
            found += _read_folder(folder, group, seen)
        elif os.path.exists(folder):
            found += _read_slowly(folder, group, seen)
    return found


def _read_folder(folder: str, group: str, seen: set[str]) -> Iterator[FoundPlugin]:
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        if not name.endswith((".dist-info", ".egg-info")):
            continue
        stem = normalize(name.rpartition(".")[0].partition("-")[0])
        if stem not in seen:
            seen.add(stem)
            yield from _read_distribution(os.path.join(folder, name), group)


def _read_distribution(folder: str, group: str) -> Iterator[FoundPlugin]:
    text = _read(folder, "entry_points.txt")
    if group not in text:
        return
    lines = list(_section(text, group))
    if not lines:
        return
    headers = _headers(_read(folder, "METADATA") or _read(folder, "PKG-INFO"))
    for name, value in lines:
        yield FoundPlugin(name, value, headers.get("name", ""), headers.get("version", ""))


def _section(text: str, group: str) -> Iterator[tuple[str, str]]:
    """The names and values of one section of an entry_points.txt."""
    section = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
        elif section == group and "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            # `module:attribute [extra]`: extras in entry points are history.
            yield name.strip(), value.partition("[")[0].strip()


def _headers(text: str) -> dict[str, str]:
    """The header fields of a metadata file: up to the first empty line."""
    headers: dict[str, str] = {}
    for line in text.splitlines():
        if not line:
            break
        name, colon, value = line.partition(":")
        if colon and not name[:1].isspace():
            headers.setdefault(name.lower(), value.strip())
    return headers


def _read(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def normalize(name: str) -> str:
    """A distribution's name as the names of its folders have it."""
    return name.lower().replace("-", "_").replace(".", "_")


def _read_slowly(path: str, group: str, seen: set[str]) -> Iterator[FoundPlugin]:
    from importlib import metadata

    for distribution in metadata.distributions(path=[path]):
        name = distribution.metadata["Name"] or ""
        if normalize(name) in seen:
            continue
        seen.add(normalize(name))
        for point in distribution.entry_points.select(group=group):
            value = point.value.partition("[")[0].strip()
            yield FoundPlugin(point.name, value, name, distribution.version)
