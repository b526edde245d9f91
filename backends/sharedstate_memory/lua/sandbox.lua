-- The sandbox: what a script can see, and what it cannot get past.
--
-- Runs once, when the runtime is made, with the host's functions (Python callables), the
-- size of memory in KiB that a script may fill, and how many instructions pass between
-- two looks at the time. Returns the functions that the host calls, in a table.
--
-- What always holds:
--
-- * A script sees no table that it could change for the next script. Every library is a
--   front: an empty table before the true one, whose writes are refused; what writes past
--   metatables (rawset, table.insert, setmetatable) is wrapped to refuse fronts too.
-- * A script sees no Python object. The host's functions are upvalues of the functions
--   below, out of reach without `debug`, and they do not raise: they return what is to
--   be raised here. What comes up all the same (Ctrl-C, a defect) aborts the script.
-- * Nothing a script does stops it from being aborted: once `aborting` is set, whatever
--   catches errors (pcall, xpcall, resume) throws them on.
-- * Memory ends in Lua, never in the host. Lua's allocator refuses beyond a hard limit,
--   which only pure Lua survives. So every way to the host first looks whether the
--   script is within its own, lower limit.

local host, limit_kb, interval = ...

local error, type, tostring, next = error, type, tostring, next
local gcinfo, collect, sethook = gcinfo, collectgarbage, debug.sethook
local getmetatable, setmetatable, loadstring = getmetatable, setmetatable, loadstring

-- What the files of the sandbox share. Those that are opened below add to it.
local guard = {
  NO_MEMORY = 'not enough memory: a script may use ' .. limit_kb / 1024 .. ' MiB',
}

local function open(name, ...)
  return loadstring(host.source(name .. '.lua'), '=' .. name)(...)
end

guard.open = open

-- Fronts --------------------------------------------------------------------------------

guard.READONLY = 'Attempt to modify a readonly table'

-- What stands behind each front, and what makes it if it is made when first asked for.
local behind, makers = {}, {}

local function refuse_change() error(guard.READONLY, 2) end

-- A front for a table, and the metatable that decides what is seen through it.
local function readonly(content)
  local metatable = {__index = content, __newindex = refuse_change, __metatable = false}
  local front = setmetatable({}, metatable)
  behind[front] = content
  return front, metatable
end

-- A front for a table that `make` returns when somebody first looks.
local function readonly_lazily(make)
  local front, metatable = readonly({})
  makers[front] = function()
    makers[front] = nil
    metatable.__index = make()
    behind[front] = metatable.__index
  end
  function metatable.__index(_, field)
    makers[front]()
    return behind[front][field]
  end
  return front
end

guard.readonly = readonly

-- What stands behind a front; nil for any other table.
function guard.content_of(front)
  if makers[front] then makers[front]() end
  return behind[front]
end

-- For the metatables of tables in which a name must be there.
function guard.refuse_unknown(_, name)
  local what = 'Script attempted to access nonexistent global variable'
  error(what .. " '" .. tostring(name) .. "'", 2)
end

-- Aborting ------------------------------------------------------------------------------

local aborting = false

-- The only userdata that a script may hold: what a JSON null decodes to.
local null = newproxy(true)
getmetatable(null).__tostring = function() return 'userdata: (nil)' end
getmetatable(null).__metatable = false
guard.null = null

local function abort(message)
  aborting = message
  error(message, 0)
end

guard.abort = abort

-- Why the script is being aborted, if it is: then no error may be caught. One that is
-- userdata is an exception of Python's.
function guard.is_final(failure)
  if type(failure) == 'userdata' and failure ~= null then aborting = failure end
  return aborting
end

function guard.end_aborting() aborting = false end

-- Called before every way to the host.
function guard.check_memory()
  if gcinfo() > limit_kb then
    collect()
    if gcinfo() > limit_kb then abort(guard.NO_MEMORY) end
  end
end

-- Libraries of the host's ---------------------------------------------------------------

-- Such a function returns true and its results, or false and why it refused.
local function accept(ok, ...)
  if ok then return ... end
  -- The tail call below is a level of its own: the third is the script.
  error((...), 3)
end

local function from_host(fn)
  return function(...)
    guard.check_memory()
    return accept(fn(...))
  end
end

local function library_from_host(name, content)
  for field, fn in next, host.library(name) do content[field] = from_host(fn) end
  return content
end

-- What a script sees --------------------------------------------------------------------

local builtins = open('builtins', host, guard, interval)
guard.builtins = builtins
guard.environment, guard.environment_metatable = readonly(builtins)
builtins._G = guard.environment
setmetatable(builtins, {__index = guard.refuse_unknown})

builtins.cjson = readonly_lazily(function()
  return open('cjson', guard, open('cjson_decode', guard))
end)
builtins.cmsgpack = readonly_lazily(function()
  return open('cmsgpack', open('cmsgpack_unpack'))
end)
builtins.bit = readonly_lazily(function() return library_from_host('bit', {}) end)
builtins.struct = readonly_lazily(function() return library_from_host('struct', {}) end)

local entries = open('running', host, guard, limit_kb)
local functions_of_redis = open('redis', host, guard, limit_kb)
builtins.redis = readonly(functions_of_redis)
if host.holds_functions then
  entries.load_library = open('libraries', host, guard, functions_of_redis)
end
sethook(guard.look_at_time, '', interval)

-- The environment above has none of these. They go all the same: what is not there cannot
-- be found, and with `debug` there, lupa would write a traceback for every error.
_G.debug, _G.python, _G.io, _G.package, _G.require, _G.module = nil, nil, nil, nil, nil, nil
_G.dofile, _G.loadfile, _G.newproxy, _G.getfenv, _G.setfenv = nil, nil, nil, nil, nil

return entries
