"""Scripts that try to bring the process down: with what Lua itself does not guard
against, and with whatever the libraries are given.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sharedstate_memory import lua_values
from sharedstate_memory.engine import Engine
from sharedstate_memory.replies import ErrorReply

Eval = Callable[..., Any]

LIMIT_MS = 2000


@pytest.fixture(scope="module")
def run() -> Eval:
    """Run a script; its reply."""
    engine = Engine(clock_ms=lambda: 1_000_000, random=Random(0))
    engine.script_time_limit_ms = LIMIT_MS
    session = engine.open_session(lambda reply: None)
    return lambda body: session.execute([b"EVAL", body.encode("latin-1"), b"0"])


def text_of(reply: Any) -> str:
    assert isinstance(reply, ErrorReply), reply
    return reply.text.decode("latin-1")


@pytest.mark.parametrize(
    "bounds",
    ["2^31", "-2^31, 2^31 - 1", "0, 2^31 - 1", "1, 1e8", "2^31, 2^31", "-1e300", "0/0"],
)
def test_unpacking_does_not_leave_the_stack(run: Eval, bounds: str) -> None:
    assert "too many results" in text_of(run(f"return {{unpack({{}}, {bounds})}}"))


def test_as_many_values_as_fit_are_unpacked(run: Eval) -> None:
    body = "local t = {} for i = 1, 7900 do t[i] = i end return {unpack(t)}"
    assert run(body) == [*range(1, 7901)]
    assert run("return {unpack({1, 2, 3}, 2)}") == [2, 3]
    assert run("return {unpack({1, 2, 3}, 3, 2)}") == []


@pytest.mark.parametrize("count", [4, 50, 190])
def test_missing_arguments_do_not_leave_the_stack(run: Eval, count: int) -> None:
    parameters = ", ".join(f"p{number}" for number in range(count))
    code = f"local function f({parameters}, ...) return select('#', ...) end return f()"
    assert "more than 3 parameters before" in text_of(run(code))
    loaded = f"return select(2, loadstring('\\n\\n' .. [[{code}]]))"
    assert run(loaded).endswith(b":3: more than 3 parameters before '...'")


def test_functions_with_few_parameters_or_that_ignore_the_others_run(run: Eval) -> None:
    body = (
        "local function f(a, b, c, ...) return {a, b, c, ...} end return f(1, 2, 3, 4, 5)"
    )
    assert run(body) == [1, 2, 3, 4, 5]
    many = "local function f(a, b, c, d, e, f, ...) return e end return f(1, 2, 3, 4, 5)"
    assert run(many) == 5


@pytest.mark.parametrize("code", ["\x1bLuaQ", "\x1bLua\x51\x00\x01\x04\x08\x04\x08\x00"])
def test_compiled_code_is_no_script(run: Eval, code: str) -> None:
    assert "Error compiling script" in text_of(run(code))


def test_names_of_loaded_code_end_where_those_of_c_do(run: Eval) -> None:
    body = """
        for i = 1, 2000 do
          assert(loadstring(('x = 1 '):rep(20), 'name\\0' .. i .. ('y'):rep(i)))
        end
        return 1
    """
    assert run(body) == 1


@pytest.mark.parametrize(
    "body",
    [
        "local function f() return coroutine.wrap(f)() end return f()",
        "local function f() return (('x'):gsub('x', f)) end return f()",
        "local function f(a, b) table.sort({1, 2, 3}, f) return a < b end return f(1, 2)",
        "local t t = setmetatable({}, {__tostring = function() return tostring(t) end})"
        " return tostring(t)",
        "local function f() return 1 + f() end return f()",
        "return cmsgpack.unpack(('\\145'):rep(1e6))",
        "local t = {} t.map = {a = t} return t",
        "local t = {} t.set = {[t] = true} return t",
    ],
)
def test_recursion_ends_with_an_error(run: Eval, body: str) -> None:
    assert isinstance(run(body), ErrorReply)
    assert run("return 1") == 1


@pytest.mark.parametrize(
    "body",
    [
        "return #(''):rep(2^31 - 1)",
        "return pcall(table.insert, {}, -2^31 + 1, 5) and 1 or 0",
        "local t = {} for i = 1, 16 do t = {t, t, t, t, t, t, t, t} end"
        " return pcall(cmsgpack.pack, t) and 1 or 0",
        "return #cmsgpack.unpack_one(('\\221\\0\\16\\0\\0'):rep(500) .. ('x'):rep(1e6))",
        "return #struct.pack(('x'):rep(1e5))",
    ],
)
def test_what_takes_long_is_cut_short(run: Eval, body: str) -> None:
    run(body)
    assert run("return 1") == 1


def test_a_result_that_holds_itself_many_times_over_is_refused(
    run: Eval, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lua_values, "_MOST_ITEMS", 10_000)
    body = "local t = {1} for i = 1, 60 do t = {t, t} end return t"
    assert text_of(run(body)) == "ERR the result has too many items"


def test_a_method_may_not_recurse_but_a_function_may(run: Eval) -> None:
    body = "local function f(n) if n == 0 then return 'end' end return f(n - 1) end"
    assert run(body + " return f(1e5)") == b"end"


# -- whatever the libraries are given


SOME_NUMBERS = """
0 1 -1 1.5 1e15 1e300 -1e300 1/0 -1/0 0/0 2^31 -2^31 2^32 2^53 2^63 -2^63 2^64
"""
SOME_TEXTS = """
'' '5' '0x10' '1_0' 'nan' '>I2' '!8di' 'bc0' 's' 'c9' 'i33' '!3i' 'i99999999999999999999'
'[1,null]' ('x'):rep(300)
"""
SOME_OTHERS = """
nil true false cjson.null string.rep redis KEYS coroutine.create(function()end)
"""
SOME_FUNCTIONS = """
cmsgpack.pack cmsgpack.unpack cmsgpack.unpack_one cmsgpack.unpack_limit
struct.pack struct.unpack struct.size
bit.tobit bit.bnot bit.band bit.lshift bit.rol bit.tohex bit.bswap
cjson.encode cjson.decode cjson.encode_sparse_array cjson.new cjson.encode_max_depth
cjson.encode_number_precision cjson.decode_invalid_numbers
redis.sha1hex redis.setresp redis.set_repl redis.acl_check_cmd redis.call redis.pcall
redis.error_reply redis.status_reply
math.random math.randomseed
string.find string.gsub string.format string.rep string.byte string.sub
table.insert table.concat table.remove table.sort
pairs rawget rawset setmetatable getmetatable collectgarbage load loadstring pcall xpcall
next unpack select tonumber tostring
coroutine.create coroutine.wrap coroutine.resume
"""

NUMBERS = st.sampled_from(SOME_NUMBERS.split())
TEXTS = st.sampled_from(SOME_TEXTS.split()) | st.binary(max_size=12).map(
    lambda data: "'" + "".join(f"\\{byte:03d}" for byte in data) + "'"
)
OTHERS = st.sampled_from(SOME_OTHERS.split())
FUNCTIONS = st.sampled_from(SOME_FUNCTIONS.split())
VALUES = st.recursive(
    NUMBERS | TEXTS | OTHERS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "{" + ", ".join(items) + "}"),
        st.tuples(NUMBERS | TEXTS, inner).map(lambda pair: f"{{[{pair[0]}] = {pair[1]}}}"),
    ),
    max_leaves=5,
).filter(lambda text: "[0/0]" not in text)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(function=FUNCTIONS, arguments=st.lists(VALUES, max_size=4), is_caught=st.booleans())
@example(function="struct.unpack", arguments=["'b'", "'x'", "1/0"], is_caught=True)
@example(function="cmsgpack.unpack_limit", arguments=["'x'", "{}"], is_caught=False)
@example(function="struct.size", arguments=["'b'", "1"], is_caught=False)
@example(function="redis.log", arguments=["0/0", "'x'"], is_caught=False)
def test_libraries_answer_or_refuse(
    run: Eval, function: str, arguments: list[str], is_caught: bool
) -> None:
    if is_caught:
        run(f"return {{pcall({', '.join([function, *arguments])})}}")
    else:
        run(f"return {{{function}({', '.join(arguments)})}}")
    assert run("return 1") == 1
