-- The sandbox: what a script can see, and how it is entered and left.
--
-- Runs once, when the runtime is made, with the host's functions (Python callables), the
-- size of memory in KiB that a script may fill, and how many instructions pass between
-- two looks at the time. Returns `compile`, `flatten` and `flatten_list`, for the host.
--
-- What always holds:
--
-- * A script sees no table that it could change for the next script. Every library is an
--   empty table in front of the true one, whose writes are refused; what writes past
--   metatables (rawset, table.insert, setmetatable) is wrapped to refuse them too.
-- * A script sees no Python object. The host's functions are upvalues of the functions
--   below, out of reach without `debug`, and they do not raise: they return what is to
--   be raised here. What comes up all the same (Ctrl-C, a defect) aborts the script.
-- * Nothing a script does stops it from being aborted: once `aborting` is set, whatever
--   catches errors (pcall, xpcall, resume) throws them on.
-- * Memory ends in Lua, never in the host. Lua's allocator refuses beyond a hard limit,
--   which only pure Lua survives. So every way to the host first looks whether the
--   script is within its own, lower limit.

local host, limit_kb, interval = ...

local debug, coroutine, string, table, math = debug, coroutine, string, table, math
local error, type, tostring, select, unpack = error, type, tostring, select, unpack
local pcall, xpcall, rawget, rawset = pcall, xpcall, rawget, rawset
local getinfo, sethook, gcinfo, collect = debug.getinfo, debug.sethook, gcinfo, collectgarbage
local loadstring, setfenv, next = loadstring, setfenv, next
local getmetatable, setmetatable = getmetatable, setmetatable

-- The kinds of answers that do not fit into one plain value, as the host numbers them.
local STATUS, ERROR, LIST, TABLE, DOUBLE, MAP, SET, FAILURE = 1, 2, 3, 4, 5, 6, 7, 9

local NO_MEMORY = 'not enough memory: a script may use ' .. limit_kb / 1024 .. ' MiB'
local PATTERN_LIMIT = 4096

local KEYS, ARGV
local running = false
local aborting = false

-- Read-only tables ----------------------------------------------------------------------

local is_readonly = {}

local READONLY = 'Attempt to modify a readonly table'

local function refuse_change() error(READONLY, 2) end

local function readonly(content)
  local metatable = {__index = content, __newindex = refuse_change, __metatable = false}
  local front = setmetatable({}, metatable)
  is_readonly[front] = true
  return front
end

-- Aborting ------------------------------------------------------------------------------

local function abort(message)
  aborting = message
  error(message, 0)
end

-- Called before every way to the host.
local function check_memory()
  if gcinfo() > limit_kb then
    collect()
    if gcinfo() > limit_kb then abort(NO_MEMORY) end
  end
end

-- The count hook, called every `interval` instructions.
local function look_at_time()
  if not running then return end
  if aborting then error(aborting, 0) end
  check_memory()
  local message = host.poll()
  if message then abort(message) end
end

-- The only userdata that a script may hold: what a JSON null decodes to.
local null = newproxy(true)
getmetatable(null).__tostring = function() return 'userdata: (nil)' end
getmetatable(null).__metatable = false

-- Whether an error must not be caught. One that is userdata is an exception of Python's.
local function is_final(failure)
  if type(failure) == 'userdata' and failure ~= null then aborting = failure end
  return aborting
end

-- What protected calls return. A refused command is a table to those who look (a handler
-- of xpcall), and its text to those who catch it.
local function settle(ok, failure, ...)
  if ok then return true, failure, ... end
  if is_final(failure) then error(aborting, 0) end
  if type(failure) == 'table' and type(rawget(failure, 'err')) == 'string' then
    failure = failure.err
  end
  return false, failure
end

-- Ways to the host ----------------------------------------------------------------------

-- A library function of the host's. It returns true and its results, or false and why
-- it refused.
local function accept(ok, ...)
  if ok then return ... end
  -- The tail call below is a level of its own: the third is the script.
  error((...), 3)
end

local function from_host(fn)
  return function(...)
    check_memory()
    return accept(fn(...))
  end
end

local function library_from_host(name)
  local content = {}
  for field, fn in pairs(host.library(name)) do content[field] = from_host(fn) end
  return content
end

-- Lua's own library ---------------------------------------------------------------------

local builtins = {
  _VERSION = _VERSION,
  assert = assert, error = error, gcinfo = gcinfo, getmetatable = getmetatable,
  ipairs = ipairs, next = next, pairs = pairs, rawequal = rawequal, rawget = rawget,
  select = select, tonumber = tonumber, tostring = tostring, type = type, unpack = unpack,
}

local environment = readonly(builtins)
builtins._G = environment

-- KEYS and ARGV are locals of the script; code that it loads looks for them here.
setmetatable(builtins, {__index = function(_, name)
  if name == 'KEYS' then return KEYS end
  if name == 'ARGV' then return ARGV end
  local what = 'Script attempted to access nonexistent global variable'
  error(what .. " '" .. tostring(name) .. "'", 2)
end})

function builtins.pcall(...) return settle(pcall(...)) end

function builtins.xpcall(fn, handler)
  return settle(xpcall(fn, function(failure)
    if is_final(failure) then return failure end
    return handler(failure)
  end))
end

function builtins.collectgarbage(option)
  if option == 'count' then return collect('count') end
  return collect('collect')
end

function builtins.rawset(target, key, value)
  if is_readonly[target] then error(READONLY, 0) end
  return rawset(target, key, value)
end

function builtins.setmetatable(target, metatable)
  if is_readonly[target] then error(READONLY, 0) end
  return setmetatable(target, metatable)
end

-- Compiled code could crash the process, so only source text is loaded.
local function load_text(text, name)
  if type(text) == 'string' and text:byte() == 27 then
    return nil, 'compiled code cannot be loaded'
  end
  local fn, failure = loadstring(text, name)
  if not fn then return nil, failure end
  return setfenv(fn, environment)
end

builtins.loadstring = load_text

function builtins.load(reader, name)
  local parts = {}
  repeat
    local part = reader()
    parts[#parts + 1] = part
  until part == nil or part == ''
  return load_text(table.concat(parts), name or '=(load)')
end

local function copy(content)
  local copied = {}
  for name, value in pairs(content) do copied[name] = value end
  return copied
end

-- Hooks belong to one coroutine, so a new one gets its own.
local routines = copy(coroutine)

function routines.create(fn)
  local routine = coroutine.create(fn)
  sethook(routine, look_at_time, '', interval)
  return routine
end

local function settle_resumed(ok, ...)
  if not ok and is_final((...)) then error(aborting, 0) end
  return ok, ...
end

function routines.resume(...) return settle_resumed(coroutine.resume(...)) end

local function unwrap(ok, ...)
  if not ok then error((...), 0) end
  return ...
end

function routines.wrap(fn)
  local routine = routines.create(fn)
  return function(...) return unwrap(routines.resume(routine, ...)) end
end

builtins.coroutine = readonly(routines)

-- The matcher calls itself for each item of a pattern, and does not guard the C stack.
local function with_short_pattern(match)
  return function(text, pattern, ...)
    if type(pattern) == 'string' and #pattern > PATTERN_LIMIT then
      error('pattern is longer than ' .. PATTERN_LIMIT .. ' bytes', 2)
    end
    return match(text, pattern, ...)
  end
end

-- The methods of strings are looked up in the true table, which nothing else shows.
for _, name in ipairs({'find', 'match', 'gmatch', 'gfind', 'gsub'}) do
  string[name] = with_short_pattern(string[name])
end
builtins.string = readonly(string)
getmetatable('').__metatable = readonly({__index = builtins.string})

local tables = copy(table)

function tables.insert(target, ...)
  if is_readonly[target] then error(READONLY, 0) end
  return table.insert(target, ...)
end

builtins.table = readonly(tables)

local numbers = copy(math)

function numbers.random(low, high)
  local random, last = host.random(), 2
  if not low then return random end
  if not high then low, high, last = 1, low, 1 end
  if low > high then
    error('bad argument #' .. last .. " to 'random' (interval is empty)", 2)
  end
  return math.floor(random * (high - low + 1)) + low
end

function numbers.randomseed(seed) host.seed(tostring(seed)) end

builtins.math = readonly(numbers)
builtins.os = readonly({clock = os.clock})

-- What Redis adds -----------------------------------------------------------------------

-- The text of a library is fetched when a script first names it.
local lazy = {
  cjson = function() return loadstring(host.source('cjson.lua'), '=cjson')(null) end,
  cmsgpack = function() return library_from_host('cmsgpack') end,
  bit = function() return library_from_host('bit') end,
  struct = function() return library_from_host('struct') end,
}

for name, load_library in pairs(lazy) do
  builtins[name] = readonly(setmetatable({}, {__index = function(empty, field)
    local content = load_library()
    setmetatable(empty, {__index = content})
    return content[field]
  end}))
end

local open_redis = loadstring(host.source('redis.lua'), '=redis')
builtins.redis = readonly(open_redis(host, check_memory, limit_kb))

-- Entering and leaving a script ---------------------------------------------------------

-- The place in the script where an error arose. A tail call out of the script leaves
-- none behind.
local is_ours = {['=sandbox'] = true, ['=redis'] = true, ['=cjson'] = true}

local function find_place()
  for level = 3, 12 do
    local info = getinfo(level, 'Sl')
    if not info then return nil end
    if info.currentline > 0 and not is_ours[info.source] then
      return info.source .. ':' .. info.currentline
    end
  end
end

local function describe_error(failure)
  if is_final(failure) then
    if type(aborting) == 'string' then return {text = 'ERR ' .. aborting} end
    return failure
  end
  local text = type(failure) == 'table' and rawget(failure, 'err')
  if type(text) ~= 'string' then text = 'ERR ' .. tostring(failure) end
  return {text = text, place = find_place()}
end

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

local function flatten(content)
  content = without_metatable(content)
  if type(content.err) == 'string' then return ERROR, content.err end
  if type(content.ok) == 'string' then return STATUS, content.ok end
  if type(content.double) == 'number' then return DOUBLE, content.double end
  if type(content.map) == 'table' then return MAP, without_metatable(content.map) end
  if type(content.set) == 'table' then return SET, without_metatable(content.set) end
  return flatten_list(content, 1)
end

local function leave(ok, result)
  running, KEYS, ARGV = false, nil, nil
  -- The next script begins with room to spare, and this one's result travels with it.
  if gcinfo() > limit_kb then
    collect()
    if gcinfo() > limit_kb then ok, result = false, NO_MEMORY end
  end
  if ok then
    if type(result) == 'table' then return nil, flatten(result) end
    return result
  end
  aborting = false
  if type(result) == 'userdata' and result ~= null then error(result, 0) end
  -- The handler is not called for a failure of memory, or of itself.
  if result == 'not enough memory' then result = NO_MEMORY end
  if type(result) ~= 'table' then result = {text = 'ERR ' .. tostring(result)} end
  return nil, FAILURE, result.text, result.place
end

-- Takes the number of keys, the keys and the arguments; or both as tables, if they are
-- too many for the stack.
local function take_arguments(count, ...)
  if type(count) == 'table' then
    KEYS, ARGV = count, (...)
  elseif count == 1 then
    KEYS, ARGV = {(...)}, {select(2, ...)}
  elseif count == 0 then
    KEYS, ARGV = {}, {...}
  else
    KEYS, ARGV = {}, {select(count + 1, ...)}
    local all = {...}
    for i = 1, count do KEYS[i] = all[i] end
  end
end

-- Makes a function of a script's text, which takes its keys and arguments and runs it;
-- nil and why not if it is no Lua. What is put in front stays on the script's first line,
-- so that line numbers are right.
local function compile(text)
  local fn, failure = loadstring('local KEYS,ARGV=... ' .. text, '@user_script')
  if not fn then return nil, failure end
  setfenv(fn, environment)
  local function run() return fn(KEYS, ARGV) end
  return function(...)
    take_arguments(...)
    running = true
    return leave(xpcall(run, describe_error))
  end
end

sethook(look_at_time, '', interval)

-- The environment above has none of these. They go all the same: what is not there cannot
-- be found, and with `debug` there, lupa would write a traceback for every error.
_G.debug, _G.python, _G.io, _G.package, _G.require, _G.module = nil, nil, nil, nil, nil, nil
_G.dofile, _G.loadfile, _G.newproxy, _G.getfenv, _G.setfenv = nil, nil, nil, nil, nil

return compile, flatten, flatten_list
