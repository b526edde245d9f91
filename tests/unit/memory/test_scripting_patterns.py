"""The slow matcher of patterns does what Lua's own does, and can be interrupted."""

from __future__ import annotations

from random import Random
from typing import Any

import lupa.lua51 as lupa  # type: ignore[import-untyped]
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sharedstate_memory.engine import Engine
from sharedstate_memory.lua_bridge import read_source
from sharedstate_memory.replies import ErrorReply

# Calls both functions, and shows what they return, or why they refuse.
COMPARE = b"""
local slow = ...
local function show(ok, ...)
  local shown = {tostring(ok)}
  for i = 1, select('#', ...) do
    local value = select(i, ...)
    shown[#shown + 1] = type(value) .. ' ' .. tostring(value)
  end
  return (table.concat(shown, ', '):gsub('%[string[^:]*:%d+: ', ''))
end
local function iterate(iterator)
  return function(text, pattern)
    local found = {}
    for a, b, c in iterator(text, pattern) do
      found[#found + 1] = tostring(a) .. ' ' .. tostring(b) .. ' ' .. tostring(c)
    end
    return table.concat(found, ', ')
  end
end
local replacements = {
  ['a function'] = function(first, ...) return select('#', ...) > 0 and 'many' or first end,
  ['a table'] = {a = 'A', b = false, [''] = 'E', ab = 7},
  ['a wrong function'] = function() return {} end,
}
return function(name, text, pattern, third, fourth)
  local quick, other = string[name], slow[name]
  if name == 'gmatch' then quick, other = iterate(quick), iterate(other) end
  third = replacements[third] or third
  return show(pcall(quick, text, pattern, third, fourth)),
    show(pcall(other, text, pattern, third, fourth))
end
"""

ITEMS = """
a b %a %d . [ab] [^a] [%a_] [a-c] %s ( ) () * + - ? %b() %bxy %f[%a] %f[^a] %1 %2 $ ^ %
[ ] %% %. []] [^]a] x %z %w+ (.-) (%a*) [%]] %9 %0 %f (a (b)
"""

patterns = st.lists(st.sampled_from(ITEMS.split()), max_size=7).map("".join)
texts = st.text("aab bx(y)1_.%\n\0", max_size=14)
replacements = st.sampled_from(
    ("", "<%0>", "%1-%2", "%", "%%", 5, "a function", "a table", "a wrong function")
)


@pytest.fixture(scope="module")
def compare() -> Any:
    """What Lua's own function makes of its arguments, and the slow one."""
    lua = lupa.LuaRuntime(encoding=None, unpack_returned_tuples=True)
    load_text = lua.globals()[b"loadstring"]
    guard = b"return {plain_strings = string, where = function() return '' end}"
    slow = load_text(read_source(b"patterns.lua"))(load_text(guard)())
    return load_text(COMPARE)(slow)


def check(compare: Any, name: bytes, text: str, pattern: str, *others: Any) -> None:
    words = [word.encode() if isinstance(word, str) else word for word in others]
    expected, got = compare(name, text.encode(), pattern.encode(), *words)
    assert got == expected


@settings(max_examples=400)
@given(
    text=texts, pattern=patterns, init=st.none() | st.sampled_from((1, 3, -2, 0, 99, 1.5))
)
@example(text="a\0b", pattern="%z", init=None)
def test_what_is_found(compare: Any, text: str, pattern: str, init: float | None) -> None:
    check(compare, b"find", text, pattern, init)
    check(compare, b"match", text, pattern, init)
    check(compare, b"gmatch", text, pattern)


@settings(max_examples=400)
@given(
    text=texts, pattern=patterns, new=replacements, most=st.sampled_from((None, 0, 1, -1))
)
def test_what_is_replaced(
    compare: Any, text: str, pattern: str, new: str | int, most: int | None
) -> None:
    check(compare, b"gsub", text, pattern, new, most)


# -- in a script


ENDLESS = """
('a'):rep(30):find(('a?'):rep(30) .. ('a'):rep(30))
('a'):rep(2e5):find('.-b')
('a'):rep(2e5):match('(.-)%1b')
('a'):rep(2e5):gsub('a*b', '')
('a'):rep(2e5):gmatch('.-.-b')()
('('):rep(2e5):find('%b()')
"""


@pytest.fixture
def engine() -> Engine:
    return Engine(clock_ms=lambda: 1_000_000, random=Random(0))


def run(engine: Engine, body: str) -> Any:
    session = engine.open_session(lambda reply: None)
    return session.execute([b"EVAL", body.encode(), b"0"])


@pytest.mark.parametrize("call", ENDLESS.strip().splitlines())
def test_a_pattern_that_is_tried_for_ever_is_interrupted(engine: Engine, call: str) -> None:
    engine.script_time_limit_ms = 50
    reply = run(engine, f"return {call}")
    assert isinstance(reply, ErrorReply)
    assert b"aborted after 50 ms" in reply.text


@pytest.mark.parametrize(
    ("call", "result"),
    [
        ("#(('hello world '):rep(2e4):gsub('%s+', ''))", 200_000),
        ("(('a'):rep(1e5) .. 'b'):find('a+b')", 1),
        ("(('a'):rep(1e5) .. 'b'):match('a-(b)')", b"b"),
        ("(('x'):rep(3e6) .. ('a'):rep(4000)):find(('a'):rep(4000), 1, true)", 3_000_001),
        ("(('x'):rep(3e6) .. ('a'):rep(4000)):find(('a'):rep(4000))", 3_000_001),
        ("(('x.'):rep(5e5) .. '.*'):find('.*', 1, true)", 1_000_001),
    ],
)
def test_long_texts_are_matched_all_the_same(
    engine: Engine, call: str, result: object
) -> None:
    assert run(engine, f"return {call}") == result


@pytest.mark.parametrize(
    "call", ["text:find('(a*')", "text:gsub('a*)', '')", "text:match('a*%')"]
)
def test_an_error_of_a_pattern_names_the_line(engine: Engine, call: str) -> None:
    reply = run(engine, f"local text = ('a'):rep(1e5)\nlocal r = {call}\nreturn r")
    assert isinstance(reply, ErrorReply)
    assert reply.text.startswith(b"ERR user_script:2: ")
    assert reply.text.endswith(b", on @user_script:2.")


def test_an_error_of_a_replacement_is_the_script_s_own(engine: Engine) -> None:
    body = """
        local text = ('a'):rep(1e5)
        text:gsub('a*', function()
          error({err = 'MINE x'})
        end)
    """
    reply = run(engine, body)
    assert isinstance(reply, ErrorReply)
    assert reply.text.startswith(b"MINE x script: ")
    assert reply.text.endswith(b", on @user_script:4.")
