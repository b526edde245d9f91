"""Scripts in the engine: what bounds them, and what they cannot reach.

That they do what scripts do on Redis is the subject of the differential tests.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from sharedstate.testing.waiting_suite import Interrupted, interrupt_soon
from sharedstate_memory.engine import Engine
from sharedstate_memory.lua_memory import HEADROOM_BYTES, MEMORY_LIMIT_BYTES
from sharedstate_memory.replies import BLOCKED, ErrorReply, Status
from sharedstate_memory.scripting import MOST_EVALUATED

Eval = Callable[..., Any]

SHORT_MS = 50


@pytest.fixture
def engine() -> Engine:
    return Engine(clock_ms=lambda: 1_000_000, random=Random(0))


@pytest.fixture
def run(engine: Engine) -> Eval:
    """Run a script with keys and arguments; its reply."""
    session = engine.open_session(lambda reply: None)

    def run(body: str, *words: bytes, keys: int = 0) -> Any:
        return session.execute([b"EVAL", body.encode(), b"%d" % keys, *words])

    return run


def text_of(reply: Any) -> str:
    assert isinstance(reply, ErrorReply), reply
    return reply.text.decode()


# -- the sandbox


@pytest.mark.parametrize(
    "name",
    ["python", "io", "debug", "package", "require", "module", "dofile", "loadfile",
     "getfenv", "setfenv", "newproxy", "print", "os.execute", "os.getenv", "os.exit",
     "os.remove", "string.nosuch"],
)  # fmt: skip
def test_what_reaches_out_of_the_sandbox_is_not_there(run: Eval, name: str) -> None:
    assert (
        run(f"local ok, found = pcall(function() return {name} end) return ok and found")
        is None
    )


def test_the_processor_time_can_be_asked_for(run: Eval) -> None:
    assert run("return os.clock() >= 0") == 1


@pytest.mark.parametrize(
    "attack",
    [
        "x = 1",
        "redis = nil",
        "redis.call = nil",
        "string.rep = nil",
        "getmetatable('').__index = nil",
        "getmetatable('').__index.rep = nil",
        "rawset(_G, 'x', 1)",
        "rawset(cjson, 'x', 1)",
        "table.insert(redis, 1)",
        "setmetatable(_G, nil)",
        "setmetatable(math, {__index = string})",
        "loadstring('x = 1')()",
        "_G._G.x = 1",
        "KEYS[1] = nil; redis.x = 1",
    ],
)
def test_nothing_is_left_for_the_next_script(run: Eval, attack: str) -> None:
    assert "readonly table" in text_of(run(attack))
    assert run("return ('a'):rep(2) .. redis.call('ping').ok .. #redis") == b"aaPONG0"


def test_arguments_may_be_changed_and_are_fresh_each_time(run: Eval) -> None:
    body = "KEYS[1] = 'changed' ARGV.x = 1 return {KEYS[1], ARGV[1]}"
    assert run(body, b"k", b"a", keys=1) == [b"changed", b"a"]
    assert run("return {KEYS[1], ARGV.x}", b"k", keys=1) == [b"k"]


def test_compiled_code_is_not_loaded(run: Eval) -> None:
    assert run("return {loadstring(string.dump(function() return 1 end))}") == []


def test_a_pattern_cannot_exhaust_the_stack(run: Eval) -> None:
    reply = run("return ('a'):find(('a?'):rep(100000))")
    assert "pattern is longer" in text_of(reply)


@pytest.mark.parametrize(
    "failing",
    ["redis.call('nosuch')", "cmsgpack.unpack('\\193')", "struct.pack('y')", "bit.band({})",
     "redis.sha1hex()", "cjson.decode('x')", "error({})", "redis.log(9, 'x')"],
)  # fmt: skip
def test_no_error_is_an_object_of_the_host(run: Eval, failing: str) -> None:
    caught = f"local ok, e = pcall(function() {failing} end)"
    assert run(f"{caught} return type(e) ~= 'userdata'") == 1
    handled = f"local t xpcall(function() {failing} end, function(e) t = type(e) end)"
    assert run(f"{handled} return t ~= 'userdata'") == 1


def test_functions_of_the_host_are_not_seen_as_objects(run: Eval) -> None:
    assert (
        run("return {type(redis.call), type(redis.sha1hex), type(bit.band)}")
        == [b"function"] * 3
    )


def test_the_only_userdata_is_null_and_it_is_closed(run: Eval) -> None:
    assert run("return {type(cjson.null), tostring(getmetatable(cjson.null))}") == [
        b"userdata",
        b"nil",
    ]
    assert "attempt to" in text_of(run("return cjson.null.x"))


# -- time


@pytest.mark.parametrize(
    "endless",
    [
        "while true do end",
        "while true do redis.call('get', 'a') end",
        "while true do pcall(loop) end",
        "while true do xpcall(loop, tostring) end",
        "local function f() return xpcall(f, f) end while true do f() end",
        "coroutine.wrap(loop)()",
        "while true do coroutine.resume(coroutine.create(loop)) end",
        "local t = {} for i = 1, 1e4 do t[i] = i end while true do table.sort(t, less) end",
        "setmetatable({}, {__index = loop}).x = setmetatable({}, {__index = loop}).x",
        "('x'):gsub('x', loop)",
        "load(loop)",
    ],
)
def test_an_endless_script_is_aborted(engine: Engine, run: Eval, endless: str) -> None:
    engine.script_time_limit_ms = SHORT_MS
    helpers = """
        local function loop() while true do end end
        local function less(a, b) return a < b end
    """
    assert f"aborted after {SHORT_MS} ms" in text_of(run(helpers + endless))
    assert run("return 1") == 1


def test_a_metamethod_cannot_run_after_the_script(engine: Engine, run: Eval) -> None:
    engine.script_time_limit_ms = SHORT_MS
    endless = "function() while true do end end"
    assert run(f"return setmetatable({{1}}, {{__index = {endless}}})") == [1]


def test_what_an_aborted_script_has_written_stays(engine: Engine, run: Eval) -> None:
    engine.script_time_limit_ms = SHORT_MS
    assert "stays written" in text_of(run("redis.call('set', 'a', 1) while true do end"))
    assert run("return redis.call('get', 'a')") == b"1"


def test_an_interrupt_ends_a_script(run: Eval) -> None:
    with interrupt_soon(), pytest.raises(Interrupted):
        run("while true do pcall(redis.call, 'get', 'a') end")
    assert run("return 1") == 1


def test_an_interrupt_outside_of_commands_ends_a_script(run: Eval) -> None:
    with interrupt_soon(), pytest.raises(Interrupted):
        run("while true do pcall(function() while true do end end) end")
    assert run("return 1") == 1
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL


# -- memory


@pytest.mark.parametrize(
    "greedy",
    [
        "local s = 'x' while true do s = s .. s end",
        "while true do keep(('x'):rep(1e6) .. #t) end",
        "while true do pcall(function() keep(('x'):rep(1e5) .. #t) end) end",
        "return ('x'):rep(1e9)",
        "while true do keep(redis.call('get', 'big') .. #t) end",
        "while true do keep(redis.call('lrange', 'list', 0, -1)) end",
        "while true do keep(coroutine.create(function() end)) end",
    ],
)
def test_a_greedy_script_ends_with_an_error(engine: Engine, run: Eval, greedy: str) -> None:
    engine.script_time_limit_ms = 50_000
    run("redis.call('set', 'big', ('x'):rep(5e6))")
    run("for i = 1, 50000 do redis.call('rpush', 'list', i) end")
    keep = "local t = {} local function keep(value) t[#t + 1] = value end "
    assert "memory" in text_of(run(keep + greedy))
    assert run("return ('x'):rep(1e6):len()") == 1_000_000


def test_what_one_script_has_filled_does_not_hurt_the_next(run: Eval) -> None:
    for spare in (0, 100, 5_000, 100_000):
        size = MEMORY_LIMIT_BYTES + HEADROOM_BYTES - 200_000 - spare
        assert "not enough memory" in text_of(run(f"local s = ('x'):rep({size}) return 1"))
        assert run("return #ARGV[1]", b"x" * 1_000_000) == 1_000_000


def test_big_scripts_make_room_for_others(run: Eval) -> None:
    for number in range(40):
        assert run(f"local s = '{'x' * 2_000_000}' return {number}") == number


def test_a_value_that_does_not_fit_is_refused(run: Eval) -> None:
    half = b"x" * (MEMORY_LIMIT_BYTES // 2 + 1)
    assert run("return #ARGV[1]", half) == len(half)
    assert "not enough memory" in text_of(run("return 1", half, half, half))
    assert run("return 1") == 1


def test_a_script_gets_and_returns_what_is_big(run: Eval) -> None:
    big = b"x" * (5 << 20)
    assert run("redis.call('set', KEYS[1], ARGV[1]) return redis.call('get', KEYS[1])",
               b"k", big, keys=1) == big  # fmt: skip


@pytest.mark.parametrize("count", [0, 1, 127, 128, 129, 1000, 10_000, 100_000])
def test_a_script_takes_and_returns_as_many_items_as_one_likes(
    run: Eval, count: int
) -> None:
    words = [b"%d" % number for number in range(count)]
    assert run("return ARGV", *words) == words
    assert run("return KEYS", *words, keys=count) == words


def test_a_long_reply_arrives_whole(run: Eval) -> None:
    words = [b"%d" % number for number in range(5_000)]
    run("for i = 1, #ARGV do redis.call('rpush', 'list', ARGV[i]) end", *words)
    assert run("return redis.call('lrange', 'list', 0, -1)") == words
    assert run("return #redis.call('lrange', 'list', 0, 63)") == 64


def test_a_result_that_holds_itself_is_refused(run: Eval) -> None:
    assert "stack limit" in text_of(run("local t = {} t[1] = t return t"))


# -- errors


def test_an_error_names_the_line(run: Eval) -> None:
    reply = text_of(run("local a = 1\n\nlocal r = redis.call('nosuch')\nreturn r"))
    assert reply.endswith("on @user_script:3.")


def test_an_error_of_a_tail_call_names_the_script(run: Eval) -> None:
    reply = text_of(run("return redis.call('nosuch')"))
    assert reply.startswith("ERR Unknown Redis command called from script script: ")


# -- logging


def test_what_a_script_logs_is_the_owner_s(engine: Engine, run: Eval) -> None:
    lines: list[tuple[str, str]] = []
    engine.on_log = lambda text, level: lines.append((level, text))
    run("redis.log(redis.LOG_WARNING, 'a', 1, nil, {}, true, 'b') redis.log('0', nil, 'c')")
    assert lines == [("warning", "a 1 b"), ("debug", " c")]


def test_without_an_owner_it_is_the_program_s(
    run: Eval, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "sharedstate.scripts"):
        run("redis.log(redis.LOG_NOTICE, 'heard') redis.log(redis.LOG_DEBUG, 'not heard')")
    assert caplog.messages == ["heard"]


# -- the life of scripts


def test_the_oldest_scripts_of_eval_are_forgotten(engine: Engine, run: Eval) -> None:
    session = engine.open_session(lambda reply: None)
    kept = session.execute([b"SCRIPT", b"LOAD", b"return 'kept'"])
    run("return 'old'")
    for number in range(MOST_EVALUATED):
        run(f"return {number}")
    old = b"8f1f2b0a0a40a7d9a8dd9e7c6d0c6ac1d1e1d9cf"
    assert text_of(session.execute([b"EVALSHA", old, b"0"])).startswith("NOSCRIPT ")
    assert session.execute([b"EVALSHA", kept, b"0"]) == b"kept"  # type: ignore[list-item]
    assert engine.scripts is not None
    assert len(engine.scripts.by_sha) == MOST_EVALUATED + 1


def test_flushed_scripts_are_gone_and_new_ones_run(engine: Engine, run: Eval) -> None:
    session = engine.open_session(lambda reply: None)
    sha = session.execute([b"SCRIPT", b"LOAD", b"return 1"])
    assert session.execute([b"SCRIPT", b"FLUSH"]) == b"OK"
    assert text_of(session.execute([b"EVALSHA", sha, b"0"])).startswith("NOSCRIPT ")  # type: ignore[list-item]
    assert run("return 2") == 2


# -- scripts as units


def test_the_effects_of_a_script_are_handed_over_together(
    engine: Engine, run: Eval
) -> None:
    effects: list[list[bytes]] = []
    engine.on_effect = lambda database, argv: effects.append(argv)
    run("redis.call('set', 'a', 1) redis.call('get', 'a') redis.call('del', 'a', 'b')")
    assert [effect[0].upper() for effect in effects] == [b"MULTI", b"SET", b"DEL", b"EXEC"]


def test_a_script_that_changes_nothing_has_no_effects(engine: Engine, run: Eval) -> None:
    effects: list[list[bytes]] = []
    engine.on_effect = lambda database, argv: effects.append(argv)
    run("redis.call('get', 'a') redis.pcall('lpush', 'a')")
    assert effects == []


def test_a_failed_script_hands_over_what_it_did(engine: Engine, run: Eval) -> None:
    effects: list[list[bytes]] = []
    engine.on_effect = lambda database, argv: effects.append(argv)
    run("redis.call('set', 'a', 1) redis.call('set', 'b', 2) error('x')")
    assert [effect[0].upper() for effect in effects] == [b"MULTI", b"SET", b"SET", b"EXEC"]


def test_who_waits_for_a_key_is_served_after_the_script(engine: Engine, run: Eval) -> None:
    delivered: list[object] = []
    waiting = engine.open_session(delivered.append)
    assert waiting.execute([b"BLPOP", b"a", b"0"]) is BLOCKED
    body = "redis.call('rpush', 'a', 1, 2) return redis.call('lpop', 'a')"
    assert run(body) == b"1"
    assert delivered == [[b"a", b"2"]]


def test_a_script_uses_the_database_of_its_caller(engine: Engine) -> None:
    session = engine.open_session(lambda reply: None)
    session.execute([b"SELECT", b"3"])
    session.execute([b"EVAL", b"redis.call('set', 'a', 1) redis.call('select', 5)", b"0"])
    assert session.execute([b"GET", b"a"]) == b"1"
    assert session.db.index == 3


def test_time_stands_still_in_a_script(run: Eval) -> None:
    assert run("return redis.call('time')") == [b"1000", b"0"]


def test_a_status_stays_a_status(run: Eval) -> None:
    assert type(run("return redis.call('set', 'a', 1)")) is Status
