"""Lua files: several scripts in one, and which of the shared functions each gets."""

from __future__ import annotations

from pathlib import Path

from sharedstate import State
from sharedstate.backend import Script
from sharedstate.scripts import load_scripts

FILE = """
-- Says what the keys are.
local LIMIT = 10

local function double(number) return 2 * number end

-- Uses the other.
local function quadruple(number)
  return double(double(number))
end

local function refuse(number)
  return -number
end

-- @script plain repeatable
return LIMIT

-- @script indirect unfenced
return quadruple(tonumber(ARGV[1]))

-- @script early
if ARGV[1] == '1' then return double(LIMIT) end
-- @shared
--
return refuse(quadruple(LIMIT)) + double(1)
"""


def scripts_in(folder: Path, text: str = FILE, *shared: str) -> dict[str, Script]:
    path = folder / "example.lua"
    path.write_text(text, encoding="utf-8")
    return load_scripts(str(path), *shared)


def test_a_script_gets_the_functions_that_it_uses_and_no_others(tmp_path: Path) -> None:
    scripts = scripts_in(tmp_path)
    assert scripts["plain"].body == "local LIMIT = 10\nreturn LIMIT\n"
    assert "function double" in scripts["indirect"].body
    assert "function quadruple" in scripts["indirect"].body
    assert "function refuse" not in scripts["indirect"].body


def test_functions_that_are_used_late_alone_stand_after_the_early_end(
    tmp_path: Path,
) -> None:
    begin, _, rest = scripts_in(tmp_path)["early"].body.partition("if ARGV")
    assert "function double" in begin
    assert "function double" not in rest
    assert "function quadruple" not in begin
    assert rest.index("function quadruple") < rest.index("function refuse")
    assert rest.index("function refuse") < rest.index("return refuse(")


def test_scripts_run_with_what_they_got(tmp_path: Path, state: State) -> None:
    scripts = scripts_in(tmp_path)
    assert state.backend.run_script(scripts["plain"], ()) == 10
    assert state.backend.run_script(scripts["indirect"], (), ("3",)) == 12
    assert state.backend.run_script(scripts["early"], (), ("1",)) == 20
    assert state.backend.run_script(scripts["early"], (), ("2",)) == -38


def test_what_other_files_share_comes_first(tmp_path: Path, state: State) -> None:
    shared = tmp_path / "shared.lua"
    shared.write_text("local BASE = 5\nlocal function base() return BASE end\n")
    text = "local function more() return base() + 1 end\n-- @script go\nreturn more()\n"
    scripts = scripts_in(tmp_path, text, str(shared))
    assert state.backend.run_script(scripts["go"], ()) == 6


def test_marks_say_how_a_script_may_be_run(tmp_path: Path) -> None:
    scripts = scripts_in(tmp_path)
    assert [name for name, script in scripts.items() if script.repeatable] == ["plain"]
    assert [name for name, script in scripts.items() if not script.fenced] == ["indirect"]
