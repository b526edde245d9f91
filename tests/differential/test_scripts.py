"""Scripts: as on Redis, in results, in errors, and in what they leave behind."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.differential.grammar import programs
from tests.differential.pair import Pair, RealRedis, Words, comparable
from tests.differential.snippets import SNIPPETS
from tests.differential.test_hashes import HASHES
from tests.differential.test_keys import DEADLINES, MAKERS
from tests.differential.test_lists import LISTS
from tests.differential.test_sets import SETS
from tests.differential.test_sorted_sets import CHANGES
from tests.differential.test_strings import NUMBERS, STRINGS

# Runs the commands that stand in ARGV one after the other, each behind its length.
RUN_ALL = b"""
local replies, at = {}, 1
while at <= #ARGV do
  local words = {}
  for i = 1, tonumber(ARGV[at]) do words[i] = ARGV[at + i] end
  at = at + #words + 1
  replies[#replies + 1] = redis.pcall(unpack(words))
end
return replies
"""

# The same, but a refusal ends it.
RUN_UNTIL_REFUSED = RUN_ALL.replace(b"redis.pcall", b"redis.call")

EVALUATIONS = """
EVAL return{KEYS,ARGV} 2 key key value
EVAL return{KEYS,ARGV} 1 key value [value]
EVAL return{KEYS,ARGV} count key value [value]
EVAL return{KEYS,ARGV} int [value]
EVAL return} 0
EVAL_RO return(redis.call('set',KEYS[1],'x')) 1 key
EVAL_RO return{redis.pcall('get',KEYS[1])} 1 key
EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db count
EVALSHA_RO E0E1f9fabfc9d4800c877a703b823ac0578ff8db 0
EVALSHA value count key
SCRIPT LOAD return\t1
SCRIPT LOAD return}
SCRIPT EXISTS e0e1f9fabfc9d4800c877a703b823ac0578ff8db value
SCRIPT FLUSH
SCRIPT FLUSH ASYNC
SCRIPT FLUSH value
SCRIPT KILL
SCRIPT field
"""

SHEBANGS = (
    b"#!lua\nreturn 1",
    b"#!lua flags=no-writes\nlocal r = redis.call('set', 'a', 1) return r",
    b"#!lua flags=no-writes,allow-stale\nreturn redis.call('get', 'a')",
    b"#!lua flags=foo\nreturn 1",
    b"#!lua name=x\nreturn 1",
    b"#!js\nreturn 1",
    b"#!lua",
    b"#!lua\n\nlocal r = foo return r",
)

LITERALS = st.recursive(
    st.one_of(
        st.integers(-(2**53), 2**53).map(str),
        st.floats(allow_nan=False, allow_infinity=False, width=32).map(repr),
        st.floats(allow_nan=False, allow_infinity=False).map(repr),
        st.sampled_from(("true", "false", "''", "'x'", "'a b'", "('y'):rep(300)")),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: "{" + ", ".join(items) + "}"),
        inner.map(lambda item: "{a = " + item + "}"),
        inner.map(lambda item: "{[3] = " + item + "}"),
    ),
    max_leaves=6,
)
"""Lua values, as they are written in a script."""

JSON_LIKE = st.lists(
    st.sampled_from(
        ("{", "}", "[", "]", ",", ":", '"', '"a"', '"\\u00e9"', "\\", "null", "true", "fal",
         "1", "-", "2.5", "e3", "0x1F", " ", "\t", "inf", "nan", "é", "\\n", "+1", "01")
    ),
    max_size=12,
).map("".join)  # fmt: skip
"""Text that is sometimes JSON."""

profile = settings.get_profile("differential")


def _flat(program: list[Words]) -> Words:
    return tuple(part for each in program for part in (b"%d" % len(each), *each))


@settings(profile)
@given(
    program=programs(
        STRINGS + NUMBERS + HASHES + LISTS + SETS + CHANGES + DEADLINES, after=MAKERS
    )
)
def test_commands_in_scripts(real: RealRedis, program: list[Words]) -> None:
    pair = Pair(real)
    call = (b"EVAL", RUN_ALL, b"0", *_flat(program))
    (expected,), (got,) = pair.real.ask([call]), pair.ours.ask([call])
    for command, theirs, our in zip(program, expected, got, strict=True):
        assert comparable(command, our) == comparable(command, theirs), command
    pair.check([])


@settings(profile, max_examples=60)
@given(program=programs(NUMBERS + HASHES + LISTS, longest=8))
def test_refused_commands_end_scripts(real: RealRedis, program: list[Words]) -> None:
    Pair(real).check([(b"EVAL", RUN_UNTIL_REFUSED, b"0", *_flat(program))])


@settings(profile, max_examples=60)
@given(program=programs(EVALUATIONS, longest=15))
def test_ways_to_run_scripts(real: RealRedis, program: list[Words]) -> None:
    spaced = [tuple(word.replace(b"\\t", b" ") for word in each) for each in program]
    Pair(real).check(spaced)


def test_snippets(real: RealRedis) -> None:
    for snippet in SNIPPETS.strip().splitlines():
        Pair(real).check([(b"EVAL", snippet.encode(), b"0")])


@pytest.mark.parametrize("script", SHEBANGS)
def test_first_lines_that_say_what_a_script_is(real: RealRedis, script: bytes) -> None:
    Pair(real).check([(b"EVAL", script, b"0")])


@settings(profile)
@given(literal=LITERALS)
def test_values_travel_through_libraries(real: RealRedis, literal: str) -> None:
    scripts = (
        f"return {literal}",
        f"return cjson.encode({literal})",
        f"return cmsgpack.pack({literal})",
        f"return cjson.encode({{cmsgpack.unpack(cmsgpack.pack({literal}))}})",
        f"return cmsgpack.pack(cjson.decode(cjson.encode({literal})))",
    )
    Pair(real).check([(b"EVAL", script.encode(), b"0") for script in scripts])


@settings(profile, max_examples=200)
@given(text=JSON_LIKE)
def test_json_is_read_alike(real: RealRedis, text: str) -> None:
    script = b"local v = cjson.decode(ARGV[1]) return cmsgpack.pack(v)"
    call = (b"EVAL", script, b"0", text.encode())
    (expected,), (got,) = real.ask([call]), Pair(real).ours.ask([call])
    assert comparable(call, got) == comparable(call, expected)


@settings(profile)
@given(
    numbers=st.lists(st.integers(-(2**40), 2**40).map(str), min_size=2, max_size=3),
    name=st.sampled_from(
        ("band", "bor", "bxor", "lshift", "rshift", "arshift", "rol", "ror")
    ),
)
def test_bits_are_combined_alike(real: RealRedis, numbers: list[str], name: str) -> None:
    script = f"return bit.{name}({', '.join(numbers)})"
    Pair(real).check([(b"EVAL", script.encode(), b"0")])
