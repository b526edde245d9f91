-- Libraries of functions: how the text of one is run, so that it registers its functions.
--
-- While it runs, it sees nothing but a small `redis`; its functions see later what scripts
-- see. Returns `load_library` for the host, which is told of each function as it comes and
-- returns why it refuses one.

local host, guard, functions_of_redis = ...

local error, type, next, tostring, select = error, type, next, tostring, select
local setmetatable, concat, ipairs = setmetatable, table.concat, ipairs

local is_loading = false

local function fail(text) error({err = 'ERR ' .. text}, 0) end

local function is_text(value)
  return type(value) == 'string' or type(value) == 'number'
end

-- What the caller named, checked: a name, a function, a description, a list of flags.
local checks = {
  function_name = function(value)
    if is_text(value) then return tostring(value) end
    fail('function_name argument given to redis.register_function must be a string')
  end,
  callback = function(value)
    if type(value) == 'function' then return value end
    fail('callback argument given to redis.register_function must be a function')
  end,
  description = function(value)
    if is_text(value) then return tostring(value) end
    fail('description argument given to redis.register_function must be a string')
  end,
  flags = function(value)
    if type(value) ~= 'table' then
      fail('flags argument to redis.register_function must be a table representing'
        .. ' function flags')
    end
    local flags = {}
    for index = 1, #value do
      if value[index] == nil then break end
      if not host.known_flags[value[index]] then fail('unknown flag given') end
      flags[index] = value[index]
    end
    return concat(flags, ',')
  end,
}

local function named_arguments(given)
  local arguments = {}
  for name, value in next, given do
    local check = checks[name]
    if not check then fail('unknown argument given to redis.register_function') end
    arguments[name] = check(value)
  end
  if not arguments.function_name then
    fail('redis.register_function must get a function name argument')
  end
  if not arguments.callback then
    fail('redis.register_function must get a callback argument')
  end
  return arguments
end

local function positional_arguments(name, callback)
  if not is_text(name) then
    fail('first argument to redis.register_function must be a string')
  end
  if type(callback) ~= 'function' then
    fail('second argument to redis.register_function must be a function')
  end
  return {function_name = tostring(name), callback = callback}
end

local function read_arguments(...)
  local count = select('#', ...)
  if count < 1 or count > 2 then
    fail('wrong number of arguments to redis.register_function')
  end
  if count == 2 then return positional_arguments(...) end
  if type(...) ~= 'table' then
    fail('calling redis.register_function with a single argument is only applicable to'
      .. ' Lua table (representing named arguments).')
  end
  return named_arguments((...))
end

local function register_function(...)
  if not is_loading then
    fail('redis.register_function can only be called on FUNCTION LOAD command')
  end
  local arguments = read_arguments(...)
  guard.check_memory()
  local refusal = host.register(
    arguments.function_name, guard.runner_of_function(arguments.callback),
    arguments.description or false, arguments.flags or ''
  )
  if refusal then error({err = refusal}, 0) end
end

-- What a library sees while it is loaded.
local visible = {register_function = register_function, log = functions_of_redis.log}
for _, name in ipairs({
  'LOG_DEBUG', 'LOG_VERBOSE', 'LOG_NOTICE', 'LOG_WARNING', 'REDIS_VERSION',
  'REDIS_VERSION_NUM',
}) do
  visible[name] = functions_of_redis[name]
end
setmetatable(visible, {__index = guard.refuse_unknown})
local visible_globals = setmetatable(
  {redis = guard.readonly(visible)}, {__index = guard.refuse_unknown}
)

-- Runs a library's text, whose first line is blank. True; or false, what could not be
-- done, and why.
return function(text)
  local fn, failure = guard.load_text(text, '@user_function')
  if not fn then return false, 'compiling function', failure end
  is_loading, guard.environment_metatable.__index = true, visible_globals
  local ok, reason = guard.protect(fn, function()
    is_loading, guard.environment_metatable.__index = false, guard.builtins
  end)
  return ok, 'registering functions', reason
end
