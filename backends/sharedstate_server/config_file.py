"""Reading configuration: files of lines, what they include, and the command line's lines.

A line is a directive's name and its words, quoted as in inline commands; an empty line or
one that starts with `#` says nothing. Lines are followed in their order, so the last one
that sets a directive wins.

Some lines are no settings: `include` reads another file in its place, `user` defines a
user (kept here until there is an engine to have users), and what would change the program
itself (`loadmodule`, `rename-command`) is refused.
"""

from __future__ import annotations

from sharedstate_memory.directive_kinds import SettingError
from sharedstate_memory.settings import UnknownSettingError
from sharedstate_server.inline import split_inline
from sharedstate_server.resp import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sharedstate_memory.settings import Settings

# Around a line; what else is a space to Unicode may be part of a word.
BLANKS = " \t\r\n"

# A file that includes itself must not read for ever.
MOST_NESTED_FILES = 16

_BAD_DIRECTIVE = "Bad directive or wrong number of arguments"

# Names of old files that Redis 7 passes over.
_OBSOLETE = frozenset(("list-max-ziplist-entries", "list-max-ziplist-value"))

_REFUSED = {
    "loadmodule": "modules of Redis cannot be loaded into this server",
    "rename-command": "commands cannot be renamed: take them from users by ACL rules",
    "sentinel": "sentinel directive while not in sentinel mode",
}


class ConfigError(Exception):
    """Configuration that cannot be followed. Its text is what to tell the caller."""


class ConfigLineError(ConfigError):
    """A line that cannot be followed: where it is, what it says, and why not."""

    def __init__(self, place: str, line: str, reason: str) -> None:
        super().__init__(
            f"Reading the configuration file, at {place}\n>>> '{line}'\n{reason}"
        )
        self.reason = reason


class ConfigLoader:
    """Follows lines into settings, and keeps what the engine's users are to be."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._nested = 0
        self.users: list[list[str]] = []
        """The words of each `user` line, without the first."""

    def load_file(self, path: str) -> None:
        """Follow a file. Raises `ConfigError`."""
        if self._nested == MOST_NESTED_FILES:
            raise ConfigError(f"Fatal error, config file '{path}' includes itself")
        try:
            text = read_text(path)
        except OSError as error:
            raise ConfigError(
                f"Fatal error, can't open config file '{path}': {error.strerror}"
            ) from error
        self._nested += 1
        self.load_lines(text.split("\n"), of=path)
        self._nested -= 1

    def load_lines(self, lines: Iterable[str], *, of: str) -> None:
        """Follow lines. `of` says in errors where they are from. Raises `ConfigError`."""
        for number, raw in enumerate(lines, start=1):
            line = raw.strip(BLANKS)
            if not line or line.startswith("#"):
                continue
            try:
                self._follow(words_of(line))
            except UnknownSettingError as error:
                place = f"line {number} of {of}"
                raise ConfigLineError(place, line, _BAD_DIRECTIVE) from error
            except (SettingError, ProtocolError) as error:
                place = f"line {number} of {of}"
                raise ConfigLineError(place, line, _reason(error)) from error

    def _follow(self, words: list[str]) -> None:
        name = words[0].lower()
        if name == "include" and len(words) == 2:
            self.load_file(words[1])
        elif name == "user" and len(words) > 1:
            self.users.append(words[1:])
        elif name in _REFUSED and len(words) > 1:
            raise SettingError(_REFUSED[name])
        elif name not in _OBSOLETE:
            self.settings.load(name, words[1:])


def _reason(error: Exception) -> str:
    if isinstance(error, ProtocolError):
        return "Unbalanced quotes in configuration line"
    return str(error)


def read_text(path: str) -> str:
    """A file's text; bytes that are no UTF-8 survive as surrogates. Raises `OSError`."""
    with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        return file.read()


def words_of(line: str) -> list[str]:
    """The words of a line. Raises `ProtocolError` for quotes that are not closed."""
    words = split_inline(line.encode("utf-8", "surrogateescape"))
    return [word.decode("utf-8", "surrogateescape") for word in words]


def check_users(loader: ConfigLoader) -> None:
    """Users come from lines or from an ACL file. Raises `ConfigError` for both."""
    path: str = loader.settings["aclfile"]
    if loader.users and path:
        raise ConfigError(
            f"users are defined by lines, and by the ACL file {path} as well: choose one"
        )
