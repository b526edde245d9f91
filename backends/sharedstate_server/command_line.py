"""The command line of `sharedstate-server`, which is that of redis-server.

    sharedstate-server [CONFIGFILE | -] [--name value …]… [-]

An option is a line of configuration in other clothes: its name without the dashes, and
the words up to the next option. So everything a file can say can be said here. A lone `-`
stands for lines on standard input. The file is followed first, and the options last.
"""

from __future__ import annotations

from sharedstate_memory.directive_kinds import quote_always

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE = """\
Usage: sharedstate-server [/path/to/redis.conf] [options] [-]
       sharedstate-server - (read configuration from standard input)
       sharedstate-server -v or --version
       sharedstate-server -h or --help

An option is a directive of redis.conf with two dashes in front:
       sharedstate-server --port 7777
       sharedstate-server /etc/redis/6379.conf --loglevel verbose
       sharedstate-server --unixsocket /run/app/redis.sock --port 0
       echo 'maxmemory 128mb' | sharedstate-server -
"""


class CommandLine:
    """What the words of a command line ask for."""

    __slots__ = ("lines", "path", "reads_input")

    def __init__(self, words: Sequence[str]) -> None:
        rest = list(words)
        self.reads_input = bool(rest) and rest[-1] == "-"
        """Whether lines come from standard input."""
        if self.reads_input:
            rest.pop()
        self.path: str | None = None
        """The configuration file, if there is one."""
        if rest and not rest[0].startswith("-"):
            self.path = rest.pop(0)
        elif rest and rest[0] == "-":
            self.reads_input = True
            rest.pop(0)
        self.lines = _option_lines(rest)
        """The options as lines of configuration."""


def _option_lines(words: Sequence[str]) -> list[str]:
    lines: list[str] = []
    # Whether the option at hand has got its first value. That one may begin with dashes,
    # as passwords do.
    has_value = True
    for word in words:
        if word.startswith("--") and (has_value or lines[-1] == "save"):
            _end_option(lines)
            # An option and its values may also come as one word.
            lines.append(word[2:])
            has_value = " " in word
        elif lines:
            lines[-1] += " " + quote_always(word)
            has_value = True
        else:
            lines.append(quote_always(word))
    _end_option(lines)
    return lines


def _end_option(lines: list[str]) -> None:
    """`--save` with nothing after it means to save never."""
    if lines and lines[-1] == "save":
        lines[-1] = 'save ""'
