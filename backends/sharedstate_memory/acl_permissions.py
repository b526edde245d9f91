"""What a user may do: one set of permissions. A user has a first one, and one more for
each selector; a command passes if any of them lets all of it pass.

Commands are permitted by rules in the order in which they were given: the last one that
covers a command decides. Keys and channels are permitted by patterns; a key also by what
the command does to it.

Invariant: of two rules about the same thing only the later one is kept, so that a user
whose rules are changed for ever does not grow.
"""

from __future__ import annotations

from sharedstate_memory.glob import compile_glob
from sharedstate_memory.key_positions import key_uses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TypeAlias

    from sharedstate.commands import CommandSpec

    # Allowed, denied, or allowed with one of these first words.
    Verdict: TypeAlias = bool | frozenset[bytes]

    Matcher: TypeAlias = Callable[[bytes], object]

# How far a command came before it was refused: the selector that let it come furthest
# gives the reason.
_RANKS = {"command": 0, "key": 1, "channel": 2}

# The flags of keys that a command changes.
_WRITING = frozenset(("update", "insert", "delete"))

# Commands that name channels: the first word that is one, and whether there are more.
_CHANNEL_COMMANDS = {
    "PUBLISH": (1, False),
    "SPUBLISH": (1, False),
    "SUBSCRIBE": (1, True),
    "SSUBSCRIBE": (1, True),
    "PSUBSCRIBE": (1, True),
}


class Denial:
    """Why a command is refused: because of the command, of a key or of a channel."""

    __slots__ = ("at", "object", "reason")

    def __init__(self, reason: str, refused: bytes, at: int = 0) -> None:
        self.reason = reason
        self.object = refused
        self.at = at

    @property
    def rank(self) -> tuple[int, int]:
        """How far the command came."""
        return _RANKS[self.reason], self.at


class CommandRule:
    """`+get`, `-client|kill`, `+select|0` or `-@dangerous`.

    `name` is upper-case, or a category with its @. `word` is the only first argument that
    the rule is about, in lower case.
    """

    __slots__ = ("allows", "name", "text", "word")

    def __init__(self, text: str, name: str, word: bytes | None = None) -> None:
        self.text = text
        self.allows = text[0] == "+"
        self.name = name
        self.word = word

    def covers(self, spec: CommandSpec) -> bool:
        """Whether the rule is about a command, whatever its arguments."""
        if self.word is not None:
            return False
        if self.name[0] == "@":
            return self.name in spec.categories
        return spec.name == self.name or spec.name.startswith(self.name + "|")

    def replaces(self, older: CommandRule) -> bool:
        """Whether an older rule says nothing any more beside this one."""
        if self.word is not None:
            return (self.name, self.word) == (older.name, older.word)
        return older.name == self.name or older.name.startswith(self.name + "|")


class KeyPattern:
    """Keys that may be read, or written, or both."""

    __slots__ = ("matches", "reads", "writes")

    def __init__(self, pattern: bytes, *, reads: bool, writes: bool) -> None:
        self.matches: Matcher = compile_glob(pattern)
        self.reads = reads
        self.writes = writes

    def permits(self, flags: Sequence[str]) -> bool:
        """Whether keys that match may be used so. One that is neither shown nor changed,
        as by EXISTS, has but to match.
        """
        needs_write = not _WRITING.isdisjoint(flags)
        return (self.reads or "access" not in flags) and (self.writes or not needs_write)


class Permissions:
    """Commands, keys and channels. At first, none."""

    __slots__ = (
        "_matchers",
        "_verdicts",
        "all_channels",
        "all_commands",
        "all_keys",
        "channels",
        "keys",
        "rules",
    )

    def __init__(self) -> None:
        self.all_commands = False
        self.rules: list[CommandRule] = []
        self.all_keys = False
        self.keys: dict[bytes, KeyPattern] = {}
        self.all_channels = False
        self.channels: dict[bytes, None] = {}
        # Worked out when first asked for, and forgotten when the rules change.
        self._verdicts: dict[str, Verdict] = {}
        self._matchers: dict[tuple[str, ...], list[Matcher]] = {}

    def copy(self) -> Permissions:
        """Permissions that can be changed while these are in force."""
        other = Permissions()
        other.all_commands, other.rules = self.all_commands, [*self.rules]
        other.all_keys, other.keys = self.all_keys, dict(self.keys)
        other.all_channels, other.channels = self.all_channels, dict(self.channels)
        return other

    # -- changing

    def permit_everything(self) -> None:
        """Refuse nothing, whatever was said before."""
        self.permit_all_commands(True)
        self.permit_all_keys(True)
        self.permit_all_channels(True)

    def permit_all_commands(self, permitted: bool) -> None:
        """Let all commands pass, or none, whatever was said before."""
        self.all_commands = permitted
        self.rules.clear()
        self._verdicts.clear()

    def add_rule(self, rule: CommandRule) -> None:
        """Let a rule decide from now on about what it covers."""
        self.rules = [older for older in self.rules if not rule.replaces(older)]
        self.rules.append(rule)
        self._verdicts.clear()

    def add_keys(self, pattern: bytes, *, reads: bool, writes: bool) -> None:
        """Permit keys, beside what is permitted already."""
        older = self.keys.get(pattern)
        if older is not None:
            reads, writes = reads or older.reads, writes or older.writes
        self.keys[pattern] = KeyPattern(pattern, reads=reads, writes=writes)
        self._matchers.clear()

    def permit_all_keys(self, permitted: bool) -> None:
        """Let all keys be used, or none."""
        self.all_keys = permitted
        self.keys.clear()
        self._matchers.clear()

    def permit_all_channels(self, permitted: bool) -> None:
        """Let all channels be used, or none."""
        self.all_channels = permitted
        self.channels.clear()

    # -- asking

    @property
    def is_everything(self) -> bool:
        """Whether nothing is refused."""
        has_all_commands = self.all_commands and not self.rules
        return has_all_commands and self.all_keys and self.all_channels

    @property
    def reads_all_keys(self) -> bool:
        """Whether no key is kept from being read."""
        every = self.keys.get(b"*")
        return self.all_keys or (every is not None and every.reads)

    def denial(self, spec: CommandSpec, argv: list[bytes]) -> Denial | None:
        """Why a command is refused; None when it passes. Its arity is no matter."""
        if not self._permits_command(spec, argv):
            return Denial("command", spec.name.lower().encode())
        if not self.all_keys and (denial := self._key_denial(spec, argv)) is not None:
            return denial
        if not self.all_channels and spec.name in _CHANNEL_COMMANDS:
            return self._channel_denial(spec, argv)
        return None

    def permits_channel(self, channel: bytes) -> bool:
        """Whether a channel may be used."""
        return self.all_channels or any(
            compile_glob(pattern)(channel) for pattern in self.channels
        )

    def permits_pattern(self, pattern: bytes) -> bool:
        """Whether a pattern of channels may be subscribed to: only as it was permitted,
        for whether it matches more than another one does is not decided here.
        """
        return self.all_channels or pattern in self.channels

    def _permits_command(self, spec: CommandSpec, argv: list[bytes]) -> bool:
        if "no_auth" in spec.flags:
            return True
        verdict = self._verdicts.get(spec.name)
        if verdict is None:
            verdict = self._verdicts[spec.name] = self._judge(spec)
        if isinstance(verdict, bool):
            return verdict
        return len(argv) > 1 and argv[1].lower() in verdict

    def _judge(self, spec: CommandSpec) -> Verdict:
        allowed = self.all_commands
        words: set[bytes] = set()
        for rule in self.rules:
            if rule.covers(spec):
                allowed = rule.allows
                words.clear()
            elif rule.word is not None and rule.name == spec.name:
                words.add(rule.word)
        return allowed or (frozenset(words) if words else False)

    def _key_denial(self, spec: CommandSpec, argv: list[bytes]) -> Denial | None:
        for at, flags in key_uses(spec, argv) or ():
            if not self._permits_key(argv[at], flags):
                return Denial("key", argv[at], at)
        return None

    def _permits_key(self, key: bytes, flags: tuple[str, ...]) -> bool:
        matchers = self._matchers.get(flags)
        if matchers is None:
            patterns = self.keys.values()
            matchers = [each.matches for each in patterns if each.permits(flags)]
            self._matchers[flags] = matchers
        return any(matches(key) for matches in matchers)

    def _channel_denial(self, spec: CommandSpec, argv: list[bytes]) -> Denial | None:
        first, has_more = _CHANNEL_COMMANDS[spec.name]
        is_pattern = spec.name == "PSUBSCRIBE"
        permits = self.permits_pattern if is_pattern else self.permits_channel
        for at in range(first, len(argv) if has_more else min(first + 1, len(argv))):
            if not permits(argv[at]):
                return Denial("channel", argv[at], at)
        return None

    # -- describing

    def describe_commands(self) -> bytes:
        """The rules for commands, as they would have to be given."""
        words = ["+@all" if self.all_commands else "-@all"]
        return " ".join([*words, *(rule.text for rule in self.rules)]).encode("latin-1")

    def describe_keys(self) -> bytes:
        """The rules for keys."""
        return b" ".join(self._key_words())

    def describe_channels(self) -> bytes:
        """The rules for channels."""
        return b"&*" if self.all_channels else b" ".join(b"&" + c for c in self.channels)

    def describe(self) -> bytes:
        """All rules on one line, from which these permissions can be made again."""
        channels = [self.describe_channels()]
        if not self.all_channels:
            channels.insert(0, b"resetchannels")
        words: Iterable[bytes] = (*self._key_words(), *channels, self.describe_commands())
        return b" ".join(filter(None, words))

    def _key_words(self) -> Iterator[bytes]:
        if self.all_keys:
            yield b"~*"
        for text, pattern in self.keys.items():
            if pattern.reads and pattern.writes:
                yield b"~" + text
            else:
                yield (b"%R~" if pattern.reads else b"%W~") + text
