-- Running: how a script, or a function of a library, is entered and left.
--
-- Returns what the host calls: `compile` makes a runner of a script's text; `flatten` and
-- `flatten_list` take a result apart. A runner takes its keys and arguments, and returns
-- a plain value, or nil, its kind and its content.

local host, guard, limit_kb = ...

local error, type, tostring, next, select = error, type, tostring, next, select
local unpack, xpcall, rawget, getmetatable = unpack, xpcall, rawget, getmetatable
local getinfo = debug.getinfo
local gcinfo, collect = gcinfo, collectgarbage
local loadstring, concat = loadstring, table.concat
local abort, is_final = guard.abort, guard.is_final

-- The kinds of results that do not fit into one plain value, as the host numbers them.
local STATUS, ERROR, LIST, DOUBLE, MAP, SET, FAILURE = 1, 2, 3, 5, 6, 7, 9
local BIG_NUMBER, VERBATIM = 10, 11

local is_active = false

-- Time ----------------------------------------------------------------------------------

-- The count hook, called every so many instructions.
function guard.look_at_time()
  if not is_active then return end
  local reason = is_final()
  if reason then error(reason, 0) end
  guard.check_memory()
  reason = host.poll()
  if reason then abort(reason) end
end

-- Errors --------------------------------------------------------------------------------

-- The files of the sandbox, by the names that errors give them.
local is_ours = {
  ['=sandbox'] = true, ['=builtins'] = true, ['=running'] = true, ['=redis'] = true,
  ['=libraries'] = true, ['=cjson'] = true, ['=cjson_decode'] = true,
  ['=cmsgpack'] = true, ['=cmsgpack_unpack'] = true, ['=patterns'] = true,
}

-- Errors of commands are counted when they arise; this mark says so. The name is Redis's.
local COUNTED = 'ignore_error_stats_update'

-- The place in the script where an error arose. A tail call out of the script leaves
-- none behind.
local function find_place()
  for level = 3, 12 do
    local info = getinfo(level, 'Sl')
    if not info then return nil end
    if info.currentline > 0 and not is_ours[info.source] then
      return info.source .. ':' .. info.currentline
    end
  end
end

-- What is put in front of an error's text: the place where the script runs, if it is known.
function guard.where()
  local place = find_place()
  return place and place:sub(2) .. ': ' or ''
end

-- The text of an error. What one of Lua's own functions says of a wrapper, which called
-- it for the script, it says of the script.
local function text_of(failure, place)
  if type(failure) ~= 'table' then
    local text = tostring(failure)
    if place and text:find('^builtins:%d') then
      text = text:gsub('^builtins:%d+', (place:sub(2):gsub('%%', '%%%%')))
    end
    return 'ERR ' .. text
  end
  local text = rawget(failure, 'err')
  return type(text) == 'string' and text or 'ERR ' .. tostring(failure)
end

local function describe_error(failure)
  local reason = is_final(failure)
  if reason and type(reason) ~= 'string' then return failure end
  local place = find_place()
  local is_counted = type(failure) == 'table' and rawget(failure, COUNTED) ~= nil
  return {text = text_of(reason or failure, place), place = place, is_counted = is_counted}
end

-- What is to be undone when a script is over: the settings that it has made.
local undo

function guard.undo_at_end(fn) undo = fn end

-- An error, as the host is told of it: its text, where it arose, and if it is counted.
local function explain(failure)
  guard.end_aborting()
  if type(failure) == 'userdata' and failure ~= guard.null then error(failure, 0) end
  -- The handler is not called for a failure of memory, or of itself.
  if failure == 'not enough memory' then failure = guard.NO_MEMORY end
  if type(failure) ~= 'table' then return 'ERR ' .. tostring(failure), nil, false end
  return failure.text, failure.place, failure.is_counted
end

-- Results -------------------------------------------------------------------------------

-- Metamethods are code of the script's, and would run outside of its limits here.
local function without_metatable(content)
  if getmetatable(content) == nil then return content end
  local bare = {}
  for key, value in next, content do bare[key] = value end
  return bare
end

-- A table as the host takes it: its kind, and its content. A list comes in pieces: the
-- items from `first` on, behind the list if there may be more of them, else false.
local PIECE = 128

local function flatten_list(list, first)
  local last = first
  while last < first + PIECE and list[last] ~= nil do last = last + 1 end
  return LIST, last == first + PIECE and list, unpack(list, first, last - 1)
end

-- Text with a format, if that is what a table is.
local function flatten_verbatim(verbatim)
  verbatim = without_metatable(verbatim)
  local text, format = verbatim.string, verbatim.format
  if type(text) == 'string' and type(format) == 'string' then
    return VERBATIM, text, format
  end
end

-- Flat on purpose: most results that are tables come here.
local function flatten(content)
  if getmetatable(content) ~= nil then content = without_metatable(content) end
  local err, ok, double = content.err, content.ok, content.double
  if err and type(err) == 'string' then return ERROR, err end
  if ok and type(ok) == 'string' then return STATUS, ok end
  if double and type(double) == 'number' then return DOUBLE, double end
  local map, set, big_number = content.map, content.set, content.big_number
  if map and type(map) == 'table' then return MAP, without_metatable(map) end
  if set and type(set) == 'table' then return SET, without_metatable(set) end
  if big_number and type(big_number) == 'string' then return BIG_NUMBER, big_number end
  if type(content.verbatim_string) == 'table' then
    local kind, text, format = flatten_verbatim(content.verbatim_string)
    if kind then return kind, text, format end
  end
  return flatten_list(content, 1)
end

-- Entering and leaving ------------------------------------------------------------------

local builtins = guard.builtins

local function leave(ok, result)
  is_active, builtins.KEYS, builtins.ARGV = false, nil, nil
  if undo then
    undo()
    undo = nil
  end
  -- The next script begins with room to spare, and this one's result travels with it.
  if gcinfo() > limit_kb then
    collect()
    if gcinfo() > limit_kb then ok, result = false, guard.NO_MEMORY end
  end
  if not ok then return nil, FAILURE, explain(result) end
  if type(result) == 'table' then return nil, flatten(result) end
  return result
end

-- The keys and the arguments as tables, which they already are if they are too many for
-- the stack.
local function split(count, first, ...)
  if type(count) == 'table' then return count, first end
  if count == 0 then return {}, {first, ...} end
  local keys, all = {}, {first, ...}
  for i = 1, count do keys[i] = all[i] end
  return keys, {select(count, ...)}
end

-- What puts the words of a run into KEYS and ARGV, by the number of keys. Each number has
-- a function of its own, made when it first comes: a constructor that names its items is
-- three times as fast as a loop, and most of what entering a script costs.
local MOST_NAMED = 32
local placers = {}

local placer_text = [[
  local builtins = ...
  return function(KEYS...) builtins.KEYS, builtins.ARGV = {KEYS}, {...} end
]]

local function placer_of(count)
  if type(count) == 'table' or count > MOST_NAMED then
    return function(...) builtins.KEYS, builtins.ARGV = split(count, ...) end
  end
  local names = {}
  for i = 1, count do names[i] = 'key' .. i end
  local keys = concat(names, ', ')
  local text = placer_text:gsub('KEYS%.', count > 0 and keys .. ', .' or '.')
  text = text:gsub('{KEYS}', '{' .. keys .. '}')
  placers[count] = loadstring(text, '=running')(builtins)
  return placers[count]
end

-- Makes a function that takes the number of keys, the keys and the arguments, and runs a
-- script, which finds them in KEYS and ARGV.
local function runner_of_script(fn)
  return function(count, ...)
    local place = placers[count] or placer_of(count)
    place(...)
    is_active = true
    return leave(xpcall(fn, describe_error))
  end
end

-- The same for a function of a library, which is given both.
function guard.runner_of_function(fn)
  local keys, arguments
  local function call() return fn(keys, arguments) end
  return function(...)
    keys, arguments = split(...)
    is_active = true
    return leave(xpcall(call, describe_error))
  end
end

-- Calls `fn` in the same protection, and then `finish`, whatever came of it. Returns true
-- and the result, or false and the text of the error.
function guard.protect(fn, finish)
  is_active = true
  local ok, result = xpcall(fn, describe_error)
  is_active = false
  finish()
  if ok then return true, result end
  return false, (explain(result))
end

-- Makes a runner of a script's text; nil and why not if it is no Lua.
local function compile(text)
  local fn, failure = guard.load_text(text, '@user_script')
  if not fn then return nil, failure end
  return runner_of_script(fn)
end

return {compile = compile, flatten = flatten, flatten_list = flatten_list}
