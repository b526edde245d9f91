"""Random commands from templates such as `SET key value EX seconds`.

A template's capital words stand for themselves, and each small word for what `PARTS`
draws for it. A word in brackets, `[member]`, may be there several times or not at all.
Now and then a command is spoiled, so that what is wrong is tried as often as what is
rare.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from tests.differential.pair import KEYS, Words

Part = st.SearchStrategy[bytes]

_VALUES = (b"", b"x", b"y", b"hello world", b"\xff\x00\r\n", b"10", b"-3", b"3.5", b"1e3")
_NUMBERS = (b"0", b"1", b"2", b"-1", b"-2", b"5", b"100")
_BIG_NUMBERS = (b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808")
_NO_NUMBERS = (b"", b"x", b"1.5", b" 1", b"+1", b"01", b"-0", b"1 ", b"0x1")
_FLOATS = (
    b"0",
    b"1",
    b"-1",
    b"0.5",
    b"3.0e3",
    b"1e400",
    b"inf",
    b"-inf",
    b"nan",
    b"x",
    b"",
)
_SCORES = (b"0", b"1", b"1", b"2", b"-1", b"0.5", b"1e3", b"inf", b"-inf")
_MEMBERS = (b"m1", b"m2", b"m3", b"m4", b"1", b"2", b"30", b"")


def _mostly(usual: Sequence[bytes], rare: Sequence[bytes]) -> Part:
    return st.integers(0, 9).flatmap(lambda n: st.sampled_from(rare if n == 0 else usual))


PARTS: dict[str, Part] = {
    "key": st.sampled_from(KEYS),
    "value": st.sampled_from(_VALUES),
    "member": st.sampled_from(_MEMBERS),
    "field": st.sampled_from(_MEMBERS),
    "int": _mostly(_NUMBERS, _BIG_NUMBERS + _NO_NUMBERS),
    "index": _mostly((*_NUMBERS, b"-3", b"-100"), _NO_NUMBERS),
    "offset": _mostly((b"0", b"1", b"3", b"7", b"20"), (b"-1", b"x", b"536870912")),
    "count": _mostly((b"0", b"1", b"2", b"3", b"10"), (b"-1", b"-2", *_NO_NUMBERS)),
    "all": st.just(b"100"),
    "float": _mostly(_FLOATS[:5], _FLOATS),
    "score": _mostly(_SCORES, (b"nan", b"x", b"", b"1e400")),
    "bound": _mostly(
        (*_SCORES, b"(0", b"(1", b"(2", b"-inf", b"+inf"), (b"(x", b"x", b"(")
    ),
    # Far off, or past at once: nothing expires between the two stores' answers.
    "seconds": _mostly((b"1000", b"100000"), (b"0", b"-1", b"x", b"9223372036854775807")),
    "millis": _mostly((b"1000000", b"5000000"), (b"0", b"-1", b"x", b"1.5")),
    "unixtime": _mostly((b"9999999999", b"8888888888"), (b"0", b"-1", b"1", b"x")),
    "unixmillis": _mostly((b"9999999999000",), (b"0", b"-1", b"1", b"x")),
    "pattern": st.sampled_from((b"*", b"a", b"[a-b]", b"m*", b"?1", b"[^a]", b"\\a", b"")),
    "side": _mostly((b"LEFT", b"RIGHT", b"left"), (b"UP", b"")),
    "database": _mostly((b"0", b"1", b"2"), (b"-1", b"16", b"x", b"")),
    "bit": _mostly((b"0", b"1"), (b"2", b"-1", b"x", b"")),
    "place": _mostly(
        (b"0", b"1", b"7", b"8", b"9", b"15", b"63", b"100"),
        (b"-1", b"x", b"", b"4294967296", b"#1", b"01"),
    ),
    "multiple": _mostly(
        (b"0", b"3", b"8", b"13", b"100", b"#0", b"#1", b"#3"),
        (b"-1", b"x", b"#", b"#x", b"#-1", b"4294967296", b"#536870912"),
    ),
    "width": _mostly(
        (b"u1", b"u5", b"u8", b"u16", b"u63", b"i1", b"i4", b"i8", b"i16", b"i64"),
        (b"u64", b"u0", b"i65", b"x8", b"u", b"U8", b""),
    ),
    "amount": _mostly(
        (b"0", b"1", b"-1", b"100", b"127", b"128", b"255", b"256", b"-128", b"-129"),
        _BIG_NUMBERS + _NO_NUMBERS,
    ),
    "overflow": _mostly((b"WRAP", b"SAT", b"FAIL", b"sat"), (b"NONE",)),
    "unit": _mostly((b"BYTE", b"BIT", b"bit"), (b"BITS",)),
    "operation": _mostly((b"AND", b"OR", b"XOR", b"NOT", b"xor"), (b"NAND",)),
    "lex": _mostly(
        (b"-", b"+", b"[m1", b"(m1", b"[m2", b"(m3", b"[m4", b"[1", b"(2", b"[", b"("),
        (b"m1", b"", b"-m1", b"+inf", b"x"),
    ),
    "weight": _mostly((b"1", b"2", b"0", b"-1", b"0.1", b"inf"), (b"nan", b"x", b"")),
    "aggregate": _mostly((b"SUM", b"MIN", b"MAX", b"max"), (b"AVG", b"")),
    "extreme": _mostly((b"MIN", b"MAX", b"min"), (b"LEFT", b"")),
    "extra": st.sampled_from((b"NX", b"XX", b"CH", b"KEEPTTL", b"WITHSCORES", b"nope")),
    "flag": st.sampled_from(
        (b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR", b"KEEPTTL", b"GET", b"EX", b"nope")
    ),
}


def commands(templates: str) -> st.SearchStrategy[Words]:
    """One command of a family, from templates on lines of their own."""
    return st.one_of(
        [_template(line.split()) for line in templates.splitlines() if line]
    ).flatmap(_maybe_spoiled)


def programs(
    templates: str, *, after: str = "", longest: int = 25
) -> st.SearchStrategy[list[Words]]:
    """Several commands, one after the other.

    Some of `after` come first, so that the others find something to work on.
    """
    program = st.lists(commands(templates), min_size=1, max_size=longest)
    if not after:
        return program
    first = st.lists(commands(after), min_size=2, max_size=8)
    return st.tuples(first, program).map(lambda parts: parts[0] + parts[1])


def _template(words: list[str]) -> st.SearchStrategy[Words]:
    return st.tuples(*map(_words_of, words)).map(lambda parts: sum(parts, ()))


def _words_of(word: str) -> st.SearchStrategy[Words]:
    if word.startswith("["):
        parts = [PARTS[each] for each in word.strip("[]").split("+")]
        return st.lists(st.tuples(*parts), max_size=3).map(lambda many: sum(many, ()))
    if word in PARTS:
        return PARTS[word].map(lambda part: (part,))
    return st.just((word.encode(),))


def _maybe_spoiled(command: Words) -> st.SearchStrategy[Words]:
    return st.integers(0, 11).flatmap(lambda n: _spoiled(command, n))


def _spoiled(command: Words, way: int) -> st.SearchStrategy[Words]:
    if way == 0 and len(command) > 1:
        return st.just(command[:-1])
    if way == 1:
        return st.one_of(PARTS["extra"], PARTS["int"]).map(lambda part: (*command, part))
    if way == 2:
        return st.just((command[0].lower(), *command[1:]))
    return st.just(command)
