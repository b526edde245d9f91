"""Sorted sets: what is in all, in any, or in the first of several alone.

Sets without scores are welcome, as if each member had the score 1. Scores are added up
from the shortest set to the longest, as Redis does: the order shows in the last digit,
and where infinities meet.
"""

from __future__ import annotations

from math import isnan

from sharedstate_memory.commands.arguments import (
    Options,
    parse_double,
    parse_integer,
    parse_natural,
)
from sharedstate_memory.commands.registry import command
from sharedstate_memory.commands.sorted_set_ranges import store, with_scores
from sharedstate_memory.replies import SYNTAX_ERROR, WRONG_TYPE, CommandFailure
from sharedstate_memory.sorted_set import SortedSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

    Input: TypeAlias = SortedSet | set[bytes]
    Aggregate: TypeAlias = Callable[[float, float], float]

_NOTHING: set[bytes] = set()

_BAD_WEIGHT = b"ERR weight value is not a float"
_BAD_LIMIT = b"ERR LIMIT can't be negative"


def _sum(left: float, right: float) -> float:
    return _zero_if_nan(left + right)


def _zero_if_nan(score: float) -> float:
    """What Redis makes of what has no value: infinities that cancel, or times zero."""
    return 0.0 if isnan(score) else score


_AGGREGATES: dict[bytes, Aggregate] = {b"SUM": _sum, b"MIN": min, b"MAX": max}

_WEIGHTED = frozenset((b"WEIGHTS", b"AGGREGATE"))
_SCORED = frozenset((b"WITHSCORES",))


class _Operands:
    """The sets that a command works on, and how their scores are combined."""

    __slots__ = ("_words", "aggregate", "inputs", "limit", "weights", "with_scores")

    def __init__(
        self, session: Session, argv: list[bytes], start: int, allowed: frozenset[bytes]
    ) -> None:
        """`start` is the place of the number of keys. Raises refusals in Redis's order:
        of that number, of a key's type, of the options.
        """
        length = parse_integer(argv[start])
        if length < 1:
            raise CommandFailure(
                b"ERR at least 1 input key is needed for '%s' command" % argv[0].lower()
            )
        first_option = start + 1 + length
        if first_option > len(argv):
            raise CommandFailure(SYNTAX_ERROR)
        self.inputs = [_read(session, key) for key in argv[start + 1 : first_option]]
        self.weights = [1.0] * length
        self.aggregate: Aggregate = _sum
        self.with_scores = False
        self.limit = 0
        self._read_options(Options(argv, first_option), allowed)

    def _read_options(self, options: Options, allowed: frozenset[bytes]) -> None:
        for name in options:
            if name not in allowed:
                raise CommandFailure(SYNTAX_ERROR)
            if name == b"WITHSCORES":
                self.with_scores = True
            elif name == b"LIMIT":
                self.limit = parse_natural(options.value(), _BAD_LIMIT)
            elif name == b"WEIGHTS":
                self._read_weights(options)
            else:
                aggregate = _AGGREGATES.get(options.value().upper())
                if aggregate is None:
                    raise CommandFailure(SYNTAX_ERROR)
                self.aggregate = aggregate

    def _read_weights(self, options: Options) -> None:
        if options.left < len(self.inputs):
            raise CommandFailure(SYNTAX_ERROR)
        self.weights = [parse_double(options.value(), _BAD_WEIGHT) for _ in self.inputs]

    def by_length(self) -> list[tuple[Input, float]]:
        """The sets with their weights, the shortest first."""
        weighted = zip(self.inputs, self.weights, strict=True)
        return sorted(weighted, key=lambda each: len(each[0]))


def _read(session: Session, key: bytes) -> Input:
    value = session.db.read_any(key)
    if value is None:
        return _NOTHING
    if type(value) is SortedSet or type(value) is set:
        return value
    raise CommandFailure(WRONG_TYPE)


def _names(operand: Input) -> set[bytes] | dict[bytes, bytes]:
    return operand if isinstance(operand, set) else operand.by_member


def _scores(operand: Input, weight: float) -> dict[bytes, float]:
    """The members of a set with their weighted scores."""
    if isinstance(operand, set):
        return dict.fromkeys(operand, weight)
    scores = operand.scores()
    if weight == 1:
        return scores
    return {member: _zero_if_nan(weight * scores[member]) for member in scores}


def _score_in(operand: Input, member: bytes) -> float:
    return 1.0 if isinstance(operand, set) else operand.known_score(member)


def _unite(operands: _Operands) -> dict[bytes, float]:
    united: dict[bytes, float] = {}
    aggregate = operands.aggregate
    for operand, weight in operands.by_length():
        for member, score in _scores(operand, weight).items():
            old = united.get(member)
            united[member] = score if old is None else aggregate(old, score)
    return united


def _intersect(operands: _Operands) -> dict[bytes, float]:
    common = _common_members(operands)
    aggregate = operands.aggregate
    combined: dict[bytes, float] = {}
    for operand, weight in operands.by_length():
        for member in common:
            score = weight * _score_in(operand, member)
            old = combined.get(member)
            # Redis looks at the first score and at sums here, and leaves others as NaN.
            combined[member] = _zero_if_nan(score) if old is None else aggregate(old, score)
    return combined


def _common_members(operands: _Operands) -> list[bytes]:
    """The members that are in all of some sets. Linear in the shortest."""
    shortest, *others = [_names(operand) for operand, _ in operands.by_length()]
    common = list(shortest)
    for other in others:
        common = [member for member in common if member in other]
    return common


def _subtract(operands: _Operands) -> dict[bytes, float]:
    first, *others = operands.inputs
    left = list(_names(first))
    for other in map(_names, others):
        left = [member for member in left if member not in other]
    return {member: _score_in(first, member) for member in left}


@command("ZUNION")
def unite(session: Session, argv: list[bytes]) -> Reply:
    """The members that are in any of some sets."""
    operands = _Operands(session, argv, 1, _WEIGHTED | _SCORED)
    return _reply(session, operands, _unite(operands))


@command("ZINTER")
def intersect(session: Session, argv: list[bytes]) -> Reply:
    """The members that are in all of some sets."""
    operands = _Operands(session, argv, 1, _WEIGHTED | _SCORED)
    return _reply(session, operands, _intersect(operands))


@command("ZDIFF")
def subtract(session: Session, argv: list[bytes]) -> Reply:
    """The members of the first set that are in none of the others."""
    operands = _Operands(session, argv, 1, _SCORED)
    return _reply(session, operands, _subtract(operands))


def _reply(session: Session, operands: _Operands, scores: dict[bytes, float]) -> Reply:
    pairs = sorted([(score, member) for member, score in scores.items()])
    if operands.with_scores:
        return with_scores(session, pairs)
    return [member for _, member in pairs]


@command("ZUNIONSTORE")
def unite_and_store(session: Session, argv: list[bytes]) -> Reply:
    """Keep what ZUNION gives under a key. Returns how many members."""
    return store(session, argv[1], _unite(_Operands(session, argv, 2, _WEIGHTED)))


@command("ZINTERSTORE")
def intersect_and_store(session: Session, argv: list[bytes]) -> Reply:
    """Keep what ZINTER gives under a key. Returns how many members."""
    return store(session, argv[1], _intersect(_Operands(session, argv, 2, _WEIGHTED)))


@command("ZDIFFSTORE")
def subtract_and_store(session: Session, argv: list[bytes]) -> Reply:
    """Keep what ZDIFF gives under a key. Returns how many members."""
    operands = _Operands(session, argv, 2, frozenset())
    return store(session, argv[1], _subtract(operands))


@command("ZINTERCARD")
def count_common(session: Session, argv: list[bytes]) -> Reply:
    """How many members are in all of some sets; at most LIMIT, if that is not zero."""
    operands = _Operands(session, argv, 1, frozenset((b"LIMIT",)))
    length = len(_common_members(operands))
    return min(length, operands.limit) if operands.limit else length
