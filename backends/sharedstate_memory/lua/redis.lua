-- `redis`, the table by which scripts reach the store: redis.call and what goes with it.
--
-- Receives the host's functions, what the files of the sandbox share, and the KiB from
-- which on memory matters. Errors of commands are raised as tables, with the text in
-- `err`, so that a handler can tell them from the script's own.

local host, guard, limit_kb = ...

local error, select, tostring, type, gcinfo = error, select, tostring, type, gcinfo
local tonumber, concat, floor = tonumber, table.concat, math.floor
local check_memory = guard.check_memory

-- The kinds of replies that do not fit into one plain value, as the host numbers them.
-- The most frequent of them, the status OK, comes as `true`, and "nothing" as `false`.
local STATUS, ERROR, LIST, TABLE, BOOLEAN, SHORT_LIST = 1, 2, 3, 4, 8, 12

local take_list = host.take_list

local special = {
  [STATUS] = function(text) return {ok = text} end,
  [LIST] = function() return {take_list()} end,
  [TABLE] = function(content) return content end,
  [BOOLEAN] = function(value) return value end,
}

local function refusal(text) return {err = text} end

-- A command's error, which the host has counted.
local function failed(text) return {err = text, ignore_error_stats_update = true} end

local redis = {
  LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3,
  REPL_NONE = 0, REPL_AOF = 1, REPL_SLAVE = 2, REPL_REPLICA = 2, REPL_ALL = 3,
  REDIS_VERSION = host.version, REDIS_VERSION_NUM = host.version_number,
}

local NO_ARGUMENTS = 'ERR Please specify at least one argument for this redis lib call'

local command = host.command

-- Both are hot paths, and flat on purpose: to hand the reply on to a function that takes
-- any number of values would cost a quarter of the call.
function redis.call(...)
  if gcinfo() > limit_kb then check_memory() end
  if (...) == nil and select('#', ...) == 0 then error(refusal(NO_ARGUMENTS), 0) end
  local plain, kind, content, second, third, fourth = command(...)
  if plain == true then return {ok = 'OK'} end
  if plain ~= nil then return plain end
  if kind == ERROR then error(failed(content), 0) end
  if kind == SHORT_LIST then return {content, second, third, fourth} end
  return kind and special[kind](content)
end

function redis.pcall(...)
  if gcinfo() > limit_kb then check_memory() end
  if (...) == nil and select('#', ...) == 0 then return refusal(NO_ARGUMENTS) end
  local plain, kind, content, second, third, fourth = command(...)
  if plain == true then return {ok = 'OK'} end
  if plain ~= nil then return plain end
  if kind == ERROR then return failed(content) end
  if kind == SHORT_LIST then return {content, second, third, fourth} end
  return kind and special[kind](content)
end

local WRONG_ARGUMENTS = 'ERR wrong number or type of arguments'

function redis.error_reply(text, ...)
  if type(text) ~= 'string' or select('#', ...) > 0 then return {err = WRONG_ARGUMENTS} end
  if text:sub(1, 1) == '-' then text = text:sub(2) end
  if not text:find(' ', 1, true) then text = 'ERR ' .. text end
  return {err = text}
end

function redis.status_reply(text, ...)
  if type(text) ~= 'string' or select('#', ...) > 0 then return {err = WRONG_ARGUMENTS} end
  return {ok = text}
end

-- An argument as Redis's own functions take text, and whole numbers: what is neither is
-- empty, and nought; what is out of range is what a processor makes of it.
local function as_text(value)
  local kind = type(value)
  return (kind == 'string' or kind == 'number') and tostring(value) or ''
end

local function as_integer(value)
  local number = tonumber(value) or 0
  if not (number >= -2 ^ 63 and number < 2 ^ 63) then return -2 ^ 63 end
  return number < 0 and -floor(-number) or floor(number)
end

function redis.sha1hex(...)
  if select('#', ...) ~= 1 then error(refusal('ERR wrong number of arguments'), 0) end
  check_memory()
  return host.sha1hex(as_text((...)))
end

function redis.log(level, ...)
  local count = select('#', ...)
  if count == 0 then
    error(refusal('ERR redis.log() requires two arguments or more.'), 0)
  end
  if type(level) ~= 'number' and not tonumber(level) then
    error(refusal('ERR First argument must be a number (log level).'), 0)
  end
  level = as_integer(level)
  if level < 0 or level > 3 then error(refusal('ERR Invalid debug level.'), 0) end
  -- What is no text is left out, but for the blank in front of the next.
  local given, words = {...}, {}
  for i = 1, count do
    local word = given[i]
    if type(word) == 'string' or type(word) == 'number' then
      words[#words + 1] = (i > 1 and ' ' or '') .. word
    end
  end
  check_memory()
  host.log(level, concat(words))
end

function redis.setresp(...)
  if select('#', ...) ~= 1 then
    error(refusal('ERR redis.setresp() requires one argument.'), 0)
  end
  local version = as_integer((...))
  if version ~= 2 and version ~= 3 then
    error(refusal('ERR RESP version must be 2 or 3.'), 0)
  end
  host.set_protocol(version)
end

function redis.set_repl(...)
  if select('#', ...) ~= 1 then
    error(refusal('ERR redis.set_repl() requires two arguments.'), 0)
  end
  local targets = as_integer((...))
  if targets < 0 or targets > redis.REPL_ALL then
    local what = 'ERR Invalid replication flags. '
    error(refusal(what .. 'Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.'), 0)
  end
  -- It is the log that has them; there are no replicas.
  host.set_effects_wanted(targets % 2 == redis.REPL_AOF)
end

function redis.acl_check_cmd(...)
  if select('#', ...) == 0 then error(refusal(NO_ARGUMENTS), 0) end
  check_memory()
  local permitted, why = host.is_permitted(...)
  if why then error(refusal(why), 0) end
  return permitted
end

-- Effects are always what is replicated, and there is no debugger: a script that asks for
-- either goes on.
if not host.holds_functions then
  function redis.replicate_commands() return true end
  function redis.breakpoint() return false end
  function redis.debug() end
end

return redis
