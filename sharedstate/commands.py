"""The command table: what is known of each command before it is executed.

Everything that needs to know something about commands in general reads it here: the
engine checks arity and permissions and binds its handlers by name, COMMAND answers with
it, a client decides whether a lost answer may be asked for again, a consistency level
tells reads from writes, and the page of compatibility is written from it.
"""

from __future__ import annotations

from functools import cache

from sharedstate.command_table import COMMAND_TABLE, SUBCOMMAND_TABLE

# Categories that need not be written, by the flag that brings them.
_IMPLIED = {
    "admin": ("@admin", "@dangerous"),
    "blocking": ("@blocking",),
    "fast": ("@fast",),
    "no_mandatory_keys": ("@scripting",),
    "pubsub": ("@pubsub",),
    "write": ("@write",),
}


class CommandSpec:
    """One line of the table. `name` is in upper case, `CLIENT|KILL` for a subcommand.

    A line is read when something of it is first asked for. Each program and each server
    has the table, and uses some twenty lines of it.
    """

    __slots__ = (
        "_line",
        "_words",
        "arity",
        "first_key",
        "flags",
        "key_step",
        "last_key",
        "name",
    )

    _words: list[str]
    arity: int
    first_key: int
    last_key: int
    key_step: int
    flags: frozenset[str]

    def __init__(self, line: str) -> None:
        self.name, _, self._line = line.partition(" ")

    def __getattr__(self, attribute: str) -> object:
        """What is still to be read. Called for what has no value, so only once."""
        if attribute not in self.__slots__:
            raise AttributeError(attribute)
        arity, first_key, last_key, key_step, *words = self._line.split()
        self.arity = int(arity)
        self.first_key = int(first_key)
        self.last_key = int(last_key)
        self.key_step = int(key_step)
        self._words = words
        self.flags = frozenset(word for word in words if word[0] != "@")
        return getattr(self, attribute)

    def is_flagged(self, flag: str) -> bool:
        """Whether `flag in flags`, told without reading the line."""
        return f" {flag} " in f"{self._line} "

    @property
    def categories(self) -> frozenset[str]:
        """The categories of ACLs that the command is in, each with its @."""
        flags = self.flags
        found = {word for word in self._words if word[0] == "@"}
        for flag in flags & _IMPLIED.keys():
            found.update(_IMPLIED[flag])
        if "fast" not in flags:
            found.add("@slow")
        if "readonly" in flags and "@scripting" not in found:
            found.add("@read")
        return frozenset(found)

    @property
    def is_write(self) -> bool:
        """Whether the command may change data."""
        return "write" in self.flags

    def accepts(self, length: int) -> bool:
        """Whether a command of so many words, its name included, has the right arity."""
        return length == self.arity if self.arity > 0 else length >= -self.arity

    def __repr__(self) -> str:
        return f"<CommandSpec {self.name} {self.arity}>"


COMMANDS: dict[str, CommandSpec] = {
    spec.name: spec for spec in map(CommandSpec, COMMAND_TABLE.strip().splitlines())
}
"""The table, by upper-case name."""


@cache
def subcommands() -> dict[str, CommandSpec]:
    """The table of subcommands, by upper-case name with its container: `CLIENT|KILL`."""
    specs = map(CommandSpec, SUBCOMMAND_TABLE.strip().splitlines())
    return {spec.name: spec for spec in specs}


def names_flagged(flag: str) -> list[str]:
    """The names of the commands that have a flag. Reads no line for it, so that it may be
    asked by a server that starts.
    """
    return [spec.name for spec in COMMANDS.values() if spec.is_flagged(flag)]


# Commands outside the `readonly` ones that leave nothing behind when sent twice. WAIT is
# not one of them: on another connection it would speak of other writes, of none.
_HARMLESS = frozenset({"PING", "ECHO", "TIME", "INFO", "COMMAND", "ROLE", "PUBSUB"})


def find(name: object) -> CommandSpec | None:
    """The table's line for a command's name, given as str or bytes in any case."""
    text = name.decode("latin-1") if isinstance(name, bytes) else str(name)
    return COMMANDS.get(text.upper())


def is_repeatable(name: object) -> bool:
    """Whether a command may be sent again when its answer was lost.

    True for reads and for what changes nothing; False for writes and for the unknown.
    """
    spec = find(name)
    return spec is not None and ("readonly" in spec.flags or spec.name in _HARMLESS)


def is_write(name: object) -> bool:
    """Whether a command may change data. True for the unknown, to be safe."""
    spec = find(name)
    return spec is None or spec.is_write
