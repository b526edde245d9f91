"""The scripts beside a structure's Python, read when the first of them is needed.

Many a program never runs one: a counter without bounds, a map without lifetimes. And
what reads the file imports more than the structure itself does.
"""

from __future__ import annotations

import os

from sharedstate.backend import Script


class ScriptFile(dict[str, Script]):
    """The scripts of a `.lua` file beside a Python file, by name."""

    def __init__(self, beside: str, name: str) -> None:
        super().__init__()
        self._path = os.path.join(os.path.dirname(beside), name)

    def __missing__(self, name: str) -> Script:
        from sharedstate.scripts import load_scripts

        self.update(load_scripts(self._path))
        if name not in self:
            raise KeyError(f"no script {name!r} in {self._path}")
        return self[name]
