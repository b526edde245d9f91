-- Lua's own library, as a script sees it: what reaches out of the sandbox is not there,
-- and what could change a front, catch an abortion or load compiled code is wrapped.
--
-- A wrapper checks the types of its arguments by itself: an error that Lua's function
-- raises would name a line of this file.

local host, guard, interval = ...

local coroutine, string, table, math = coroutine, string, table, math
local error, type, tostring, unpack, next = error, type, tostring, unpack, next
local pcall, xpcall, rawget, rawset, pairs = pcall, xpcall, rawget, rawset, pairs
local gsub = string.gsub
local getmetatable, setmetatable = getmetatable, setmetatable
local getinfo, sethook = debug.getinfo, debug.sethook
local collect, dump = collectgarbage, string.dump
local loadstring, setfenv, select, tonumber = loadstring, setfenv, select, tonumber
local content_of, is_final = guard.content_of, guard.is_final

local PATTERN_LIMIT = 4096
-- What fits on the stack, and what fits into a number of C's.
local MOST_VALUES, LIMIT = 8000, 2 ^ 31
local LEAST_POSITION = -1000

local builtins = {
  _VERSION = _VERSION,
  assert = assert, error = error, gcinfo = gcinfo, ipairs = ipairs, next = next,
  rawequal = rawequal, select = select, tonumber = tonumber, tostring = tostring,
  type = type,
}

-- Refuse an argument, where the script called the function that calls this; or, with a
-- level of 4, the function that calls that.
local function refuse(index, name, why, level)
  level = level or 3
  -- Of a method, the object itself does not count.
  if getinfo(level - 1, 'n').namewhat == 'method' then index = index - 1 end
  local what = 'bad argument #' .. index .. " to '" .. name .. "'"
  if index == 0 then what = "calling '" .. name .. "' on bad self" end
  error(what .. ' (' .. why .. ')', level)
end

local function need_table(value, name)
  if type(value) ~= 'table' then
    refuse(1, name, 'table expected, got ' .. type(value), 4)
  end
end

local function need_text(value, index, name)
  local kind = type(value)
  if kind ~= 'string' and kind ~= 'number' then
    refuse(index, name, 'string expected, got ' .. kind, 4)
  end
end

local function need_number(value, index, name)
  if not tonumber(value) then
    refuse(index, name, 'number expected, got ' .. type(value), 4)
  end
end

local function copy(content)
  local copied = {}
  for name, value in next, content do copied[name] = value end
  return copied
end

-- Errors --------------------------------------------------------------------------------

-- What protected calls return. A refused command is a table to those who look (a handler
-- of xpcall), and its text to those who catch it.
local function settle(ok, failure, ...)
  if ok then return true, failure, ... end
  local reason = is_final(failure)
  if reason then error(reason, 0) end
  if type(failure) == 'string' then
    failure = gsub(failure, '^builtins:%d+: ', '')
  elseif type(failure) == 'table' and type(rawget(failure, 'err')) == 'string' then
    failure = failure.err
  end
  return false, failure
end

function builtins.pcall(...) return settle(pcall(...)) end

function builtins.xpcall(fn, handler)
  return settle(xpcall(fn, function(failure)
    if is_final(failure) then return failure end
    return handler(failure)
  end))
end

-- Tables --------------------------------------------------------------------------------

-- Of a front, these tell what stands behind it, but never the table itself.
function builtins.pairs(content)
  need_table(content, 'pairs')
  local behind = content_of(content)
  return pairs(behind and copy(behind) or content)
end

function builtins.rawget(content, key)
  need_table(content, 'rawget')
  return rawget(content_of(content) or content, key)
end

function builtins.getmetatable(content)
  if content_of(content) or content == guard.null then return nil end
  return getmetatable(content)
end

function builtins.rawset(target, key, value)
  need_table(target, 'rawset')
  if content_of(target) then error(guard.READONLY, 0) end
  return rawset(target, key, value)
end

function builtins.setmetatable(target, metatable)
  need_table(target, 'setmetatable')
  if content_of(target) then error(guard.READONLY, 0) end
  if metatable ~= nil and type(metatable) ~= 'table' then
    refuse(2, 'setmetatable', 'nil or table expected')
  end
  return setmetatable(target, metatable)
end

local tables = copy(table)

function tables.insert(target, ...)
  need_table(target, 'insert')
  if content_of(target) then error(guard.READONLY, 0) end
  local count = select('#', ...)
  if count < 1 or count > 2 then error("wrong number of arguments to 'insert'", 2) end
  -- To make room from far below the first item on would take Lua very long, and what is
  -- out of the range of C's numbers is far below.
  if count == 2 then
    local position = tonumber((...)) or 1
    if not (position > LEAST_POSITION and position < LIMIT) then
      refuse(2, 'insert', 'position out of bounds')
    end
  end
  return table.insert(target, ...)
end

-- How many values there are is no matter of 32 bits here, as it is in Lua's own function,
-- which writes beyond the stack for it.
function builtins.unpack(list, first, last)
  need_table(list, 'unpack')
  local from, to = tonumber(first) or 1, tonumber(last) or #list
  if not (to - from < MOST_VALUES and from > -LIMIT and from < LIMIT and to > -LIMIT) then
    error('too many results to unpack', 2)
  end
  return unpack(list, first, last)
end

builtins.table = guard.readonly(tables)

-- Memory is the runtime's: a script may look, and have it swept.
local other_options = {
  stop = 0, restart = 0, step = false, setpause = 200, setstepmul = 200,
}

function builtins.collectgarbage(option)
  if option == nil or option == 'collect' then return collect('collect') end
  if option == 'count' then return collect('count') end
  if other_options[option] ~= nil then return other_options[option] end
  refuse(1, 'collectgarbage', "invalid option '" .. tostring(option) .. "'")
end

-- Code ----------------------------------------------------------------------------------

-- A function of a text; nil and why not if it is no Lua. Compiled code could crash the
-- process, so only source text is loaded: it never begins with a blank. Of a name with a
-- zero byte in it, Lua would make another string, and free it too early (CVE-2025-49844).
function guard.load_text(text, name)
  name = gsub(name, '%z.*', '')
  local fn, failure = loadstring(' ' .. text, name)
  if not fn then return nil, failure end
  guard.check_memory()
  local mended, refusal = host.mend(dump(fn))
  if not mended then return nil, refusal end
  return setfenv(loadstring(mended), guard.environment)
end

function builtins.loadstring(text, name)
  need_text(text, 1, 'loadstring')
  if name ~= nil then need_text(name, 2, 'loadstring') end
  text = tostring(text)
  return guard.load_text(text, name or text)
end

function builtins.load(reader, name)
  if type(reader) ~= 'function' then
    refuse(1, 'load', 'function expected, got ' .. type(reader))
  end
  if name ~= nil then need_text(name, 2, 'load') end
  local parts = {}
  repeat
    local part = reader()
    parts[#parts + 1] = part
  until part == nil or part == ''
  return guard.load_text(table.concat(parts), name or '=(load)')
end

-- Coroutines ----------------------------------------------------------------------------

local routines = copy(coroutine)

-- Hooks belong to one coroutine, so a new one gets its own.
local function new_routine(fn, name)
  if type(fn) ~= 'function' then refuse(1, name, 'Lua function expected', 4) end
  local routine = coroutine.create(fn)
  sethook(routine, guard.look_at_time, '', interval)
  return routine
end

function routines.create(fn)
  local routine = new_routine(fn, 'create')
  return routine
end

local function settle_resumed(ok, ...)
  if not ok then
    local reason = is_final((...))
    if reason then error(reason, 0) end
  end
  return ok, ...
end

function routines.resume(routine, ...)
  if type(routine) ~= 'thread' then refuse(1, 'resume', 'coroutine expected') end
  return settle_resumed(coroutine.resume(routine, ...))
end

local function unwrap(ok, ...)
  if not ok then error((...), 0) end
  return ...
end

function routines.wrap(fn)
  local routine = new_routine(fn, 'wrap')
  return function(...) return unwrap(routines.resume(routine, ...)) end
end

builtins.coroutine = guard.readonly(routines)

-- Strings and numbers -------------------------------------------------------------------

-- How long a text may be, by pattern, so that Lua's own matcher is done in some seconds at
-- the worst: when each item that can be repeated is tried with every length. Longer texts
-- are matched slowly, but so that it can be interrupted.
local MOST_STEPS, MOST_LIMITS = 1e9, 500
local limits, limit_count = {}, 0

local function limit_of(pattern)
  local plain = gsub(gsub(pattern, '%%[bf%d]', '*'), '%%.', 'x')
  plain = gsub(plain, '%[%^?%]?[^%]]*%]', 'x')
  local _, repeated = gsub(plain, '[*+-]', '')
  local _, optional = gsub(plain, '%?', '')
  local factors = repeated + (pattern:sub(1, 1) == '^' and 0 or 1)
  local steps = math.log(MOST_STEPS) - optional * math.log(2)
  if limit_count >= MOST_LIMITS then
    for known in pairs(limits) do limits[known] = nil end
    limit_count = 0
  end
  local most = math.exp(steps / math.max(factors, 1))
  limits[pattern] = math.min(most, 10 * MOST_STEPS / math.max(#pattern, 1))
  limit_count = limit_count + 1
  return limits[pattern]
end

local is_replacement = {string = true, number = true, ['function'] = true, table = true}

-- The slow function of a name; the quick one if it will refuse its arguments.
local function slow_or(name, quick, third, fourth)
  guard.patterns = guard.patterns or guard.open('patterns', guard)
  if name == 'gsub' then
    if not is_replacement[type(third)] or fourth and not tonumber(fourth) then return quick end
  elseif third and not tonumber(third) then
    return quick
  end
  return guard.patterns[name == 'find' and fourth and 'find_plain' or name]
end

-- The matcher calls itself for each item of a pattern, and does not guard the C stack. A
-- text for each function, so that errors of Lua's own function have its name.
local guarded_match = [[
  local NAME, need_text, LIMIT, limits, limit_of, slow_or = ...
  return function(text, pattern, ...)
    if type(text) ~= 'string' then need_text(text, 1, 'NAME') end
    if type(pattern) ~= 'string' then
      need_text(pattern, 2, 'NAME')
    elseif #pattern > LIMIT then
      error('pattern is longer than ' .. LIMIT .. ' bytes', 2)
    elseif type(text) == 'string' and #text > (limits[pattern] or limit_of(pattern)) then
      return slow_or('NAME', NAME, ...)(text, pattern, ...)
    end
    return NAME(text, pattern, ...)
  end
]]

-- For the files of the sandbox.
guard.plain_strings = copy(string)

-- The methods of strings are looked up in the true table, which nothing else shows.
for _, name in ipairs({'find', 'match', 'gmatch', 'gfind', 'gsub'}) do
  string[name] = loadstring(gsub(guarded_match, 'NAME', name), '=builtins')(
    string[name], need_text, PATTERN_LIMIT, limits, limit_of, slow_or
  )
end

-- To put nothing together as often as you like takes as long.
local rep = string.rep
function string.rep(text, count)
  if text == '' then return '' end
  need_text(text, 1, 'rep')
  if type(count) ~= 'number' then need_number(count, 2, 'rep') end
  return rep(text, count)
end

builtins.string = guard.readonly(string)
getmetatable('').__metatable = guard.readonly({__index = builtins.string})

local numbers = copy(math)

function numbers.random(low, high)
  local random, last = host.random(), 2
  if not low then return random end
  if not high then low, high, last = 1, low, 1 end
  if low > high then refuse(last, 'random', 'interval is empty') end
  return math.floor(random * (high - low + 1)) + low
end

function numbers.randomseed(seed) host.seed(tostring(seed)) end

builtins.math = guard.readonly(numbers)
builtins.os = guard.readonly({clock = os.clock})

return builtins
