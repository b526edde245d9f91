"""Lua scripts, kept in a `.lua` file beside the structure they belong to.

A file holds several scripts, so that one structure's data model stands in one place. It
opens with a comment that explains that model key by key. What follows up to the first
mark is shared: it is put in front of every script of the file. A mark names a script,
says whether it may be repeated because it changes nothing, and whether it is run
unchecked where writes carry fencing tokens (`Script.fenced`):

    -- @script pop
    -- @script peek repeatable unfenced
    -- @script give_back unfenced

What several files share stands in a file of its own, without marks, and is put in front of
them when they are loaded.

Of the shared functions, a script gets those that it uses: a store makes each anew in every
run, and that takes a good part of the time of a short script. Where most runs end early,
`-- @shared` says after which line the functions are put that were not needed before:

    -- @script take
    if redis.call('set', KEYS[1], ARGV[1], 'nx') then return 1 end
    -- @shared
    return refuse(ARGV[1])

Shared functions begin with `local function` and end with `end`, both at the margin.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from sharedstate.backend import Script

_MARK = re.compile(r"^-- @script (\w+)( repeatable)?( unfenced)?[ ]*$", re.MULTILINE)
_SHARED = re.compile(r"^-- @shared[ ]*$", re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*(--([^\[\n].*)?)?\n", re.MULTILINE)
# One of a single line ends on it; any other at the next `end` that is not indented.
_FUNCTION = re.compile(
    r"^local function (\w+)(?:.*\bend[ ]*\n|(?s:.*?)^end[ ]*\n)", re.MULTILINE
)
_WORD = re.compile(r"\w+")


LINE = str(Path(__file__).with_name("line.lua"))
"""The functions by which scripts let their callers wait in a line; see the file."""


@cache
def load_scripts(path: str, *shared_files: str) -> dict[str, Script]:
    """The scripts of a file, by name, with what `shared_files` hold. Read once a process.

    Whole-line comments and blank lines stay behind: they would only be sent and hashed.
    """
    file = Path(path)
    shared, *parts = _MARK.split(file.read_text(encoding="utf-8"))
    before = [Path(name).read_text(encoding="utf-8") for name in shared_files]
    prelude = _Prelude(_COMMENT.sub("", "".join((*before, shared))))
    scripts = {}
    columns = (parts[column::4] for column in range(4))
    for name, repeatable, unfenced, body in zip(*columns, strict=True):
        scripts[name] = Script(
            f"{file.stem}.{name}",
            prelude.with_body(*(_COMMENT.sub("", part) for part in _SHARED.split(body))),
            repeatable=bool(repeatable),
            fenced=not unfenced,
        )
    return scripts


class _Prelude:
    """What the scripts of a file share: functions, and the lines between them."""

    def __init__(self, text: str) -> None:
        # In their order: a name and the function's text; no name for the lines between.
        self._parts: list[tuple[str, str]] = []
        end = 0
        for found in _FUNCTION.finditer(text):
            self._parts += [("", text[end : found.start()]), (found[1], found[0])]
            end = found.end()
        self._parts.append(("", text[end:]))
        self._functions = {name: body for name, body in self._parts if name}

    def with_body(self, body: str, rest: str = "") -> str:
        """A script. What only `rest` uses stands right before it."""
        lines = "".join(text for name, text in self._parts if not name)
        early = self._used_by(lines + body)
        late = self._used_by(rest) - early
        before = (text for name, text in self._parts if not name or name in early)
        between = (text for name, text in self._parts if name in late)
        return "".join((*before, body, *between, rest))

    def _used_by(self, text: str) -> set[str]:
        """The functions that a text uses, and those that they use."""
        used: set[str] = set()
        unread = [text]
        while unread:
            named = self._functions.keys() & set(_WORD.findall(unread.pop()))
            unread += (self._functions[name] for name in named - used)
            used |= named
        return used
