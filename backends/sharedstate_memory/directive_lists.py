"""The kinds of directives whose values are several words, or several of something."""

from __future__ import annotations

from sharedstate_memory.commands.arguments import parse_double
from sharedstate_memory.directive_kinds import (
    LONG_MAX,
    Enum,
    Kind,
    Memory,
    SettingError,
    amount_of,
    quote,
)
from sharedstate_memory.replies import CommandFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharedstate_memory.directive_kinds import Value


def _parts(words: Sequence[str]) -> Sequence[str]:
    """The parts of a value: the words of a line, or of the one word that CONFIG SET has."""
    if len(words) != 1:
        return words
    return words[0].split(" ") if words[0] else ()


class Choices(Enum):
    """Several of a few words."""

    takes_words = True

    def parse(self, words: Sequence[str], old: Value) -> str:
        parts = _parts(words) or [""]
        return " ".join(self._check(part.lower()) for part in parts)

    def lines(self, value: Value) -> list[str]:
        return [str(value)]


class Words(Kind):
    """Several words, in their order."""

    takes_words = True

    def __init__(self, most: int = LONG_MAX, refusal: str = "") -> None:
        self._most = most
        self._refusal = refusal

    def parse(self, words: Sequence[str], old: Value) -> tuple[str, ...]:
        values = tuple(_parts(words))
        if len(values) > self._most:
            raise SettingError(self._refusal)
        return values

    def show(self, value: Value) -> str:
        return " ".join(value)

    def lines(self, value: Value) -> list[str]:
        return [" ".join(map(quote, value)) or '""']


class Integers(Words):
    """So many whole numbers, all of them between two others."""

    def __init__(self, count: int, least: int, most: int, refusal: str) -> None:
        super().__init__(refusal=refusal)
        self._count = count
        self._range = range(least, most + 1)

    def parse(self, words: Sequence[str], old: Value) -> tuple[str, ...]:
        values = super().parse(words, old)
        if len(values) != self._count:
            raise SettingError("wrong number of arguments")
        for value in values:
            if not value.lstrip("-").isdecimal() or int(value) not in self._range:
                raise SettingError(self._refusal)
        return values


class Snapshots(Words):
    """When to save: pairs of seconds and changes. Lines add up."""

    def parse(self, words: Sequence[str], old: Value) -> tuple[tuple[int, int], ...]:  # type: ignore[override]
        numbers = super().parse(words, old)
        if len(numbers) % 2 or not all(map(str.isdecimal, numbers)):
            raise SettingError("Invalid save parameters")
        pairs = tuple(zip(map(int, numbers[::2]), map(int, numbers[1::2]), strict=True))
        if any(seconds < 1 for seconds, _ in pairs):
            raise SettingError("Invalid save parameters")
        return pairs

    def load(self, words: Sequence[str], old: Value, *, is_first: bool) -> Value:
        return (() if is_first else old) + self.parse(words, old)

    def show(self, value: Value) -> str:
        return " ".join(f"{seconds} {changes}" for seconds, changes in value)

    def lines(self, value: Value) -> list[str]:
        return [f"{seconds} {changes}" for seconds, changes in value] or ['""']


class Percentiles(Words):
    """Percentiles, each from 0 to 100."""

    def parse(self, words: Sequence[str], old: Value) -> tuple[float, ...]:  # type: ignore[override]
        name = "latency-tracking-info-percentiles"
        try:
            values = tuple(parse_double(w.encode()) for w in super().parse(words, old))
        except CommandFailure:
            raise SettingError(f"Invalid {name} parameters") from None
        if not all(0.0 <= value <= 100.0 for value in values):
            raise SettingError(f"{name} parameters should sit between [0.0,100.0]")
        return values

    def show(self, value: Value) -> str:
        return " ".join(f"{percentile:.15g}" for percentile in value)

    def lines(self, value: Value) -> list[str]:
        return [self.show(value) or '""']


class BufferLimits(Kind):
    """For each class of clients: a hard limit, a soft one, and for how many seconds.

    The value is a dict by class (`normal`, `replica`, `pubsub`) of three numbers. Classes
    that are not named keep theirs.
    """

    takes_words = True

    def parse(self, words: Sequence[str], old: Value) -> dict[str, tuple[int, int, int]]:
        parts = _parts(words)
        if len(parts) % 4:
            raise SettingError("Wrong number of arguments in buffer limit configuration.")
        limits = dict(old)
        for at in range(0, len(parts), 4):
            name, hard, soft, seconds = parts[at : at + 4]
            limits[_client_class(name)] = _limits(hard, soft, seconds)
        return limits

    def show(self, value: Value) -> str:
        # Redis shows the name that it took for replicas in the beginning.
        return " ".join(
            f"{'slave' if name == 'replica' else name} {hard} {soft} {seconds}"
            for name, (hard, soft, seconds) in value.items()
        )

    def lines(self, value: Value) -> list[str]:
        amount = Memory().lines
        return [
            f"{name} {amount(hard)[0]} {amount(soft)[0]} {seconds}"
            for name, (hard, soft, seconds) in value.items()
        ]


def _client_class(name: str) -> str:
    known = {"slave": "replica", "replica": "replica", "normal": "normal"}
    known["pubsub"] = "pubsub"
    if name.lower() not in known:
        raise SettingError("Invalid client class specified in buffer limit configuration.")
    return known[name.lower()]


def _limits(hard: str, soft: str, seconds: str) -> tuple[int, int, int]:
    refusal = "Error in hard, soft or soft_seconds setting in buffer limit configuration."
    if not seconds.isdecimal():
        raise SettingError(refusal)
    return amount_of(hard, refusal), amount_of(soft, refusal), int(seconds)
