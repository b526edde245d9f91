"""Lua scripts, kept in a `.lua` file beside the structure they belong to.

A file holds several scripts, so that one structure's data model stands in one place. It
opens with a comment that explains that model key by key. What follows up to the first
mark is shared: it is put in front of every script of the file. A mark names a script,
and says whether it may be repeated because it changes nothing:

    -- @script pop
    -- @script peek repeatable
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from sharedstate.backend import Script

_MARK = re.compile(r"^-- @script (\w+)( repeatable)?[ ]*$", re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*(--[^\[\n].*)?\n", re.MULTILINE)


@cache
def load_scripts(path: str) -> dict[str, Script]:
    """The scripts of a file, by name. Read once a process.

    Whole-line comments and blank lines stay behind: they would only be sent and hashed.
    """
    file = Path(path)
    shared, *parts = _MARK.split(file.read_text(encoding="utf-8"))
    prelude = _COMMENT.sub("", shared)
    scripts = {}
    for name, repeatable, body in zip(parts[0::3], parts[1::3], parts[2::3], strict=True):
        scripts[name] = Script(
            f"{file.stem}.{name}",
            prelude + _COMMENT.sub("", body),
            repeatable=bool(repeatable),
        )
    return scripts
