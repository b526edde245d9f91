-- `redis`, the table by which scripts reach the store: redis.call and what goes with it.
--
-- Receives the host's functions, the check to make before each way to the host, and the
-- KiB from which on it matters. Errors of commands are raised as tables, with the text in
-- `err`, so that a handler can tell them from the script's own.

local host, check_memory, limit_kb = ...

local error, select, tostring, type, gcinfo = error, select, tostring, type, gcinfo

-- The kinds of replies that do not fit into one plain value, as the host numbers them.
-- The most frequent of them, the status OK, comes as `true`.
local STATUS, ERROR, LIST, TABLE, DOUBLE, MAP, SET, BOOLEAN = 1, 2, 3, 4, 5, 6, 7, 8

local special = {
  [STATUS] = function(text) return {ok = text} end,
  [ERROR] = function(text) return {err = text} end,
  [LIST] = function(...) return {...} end,
  [TABLE] = function(content) return content end,
  [DOUBLE] = function(number) return {double = number} end,
  [MAP] = function(content) return {map = content} end,
  [SET] = function(content) return {set = content} end,
  [BOOLEAN] = function(value) return value end,
}

local command = host.command

local function answer(plain, kind, ...)
  if plain == true then return {ok = 'OK'} end
  if plain ~= nil then return plain end
  if kind == ERROR then error({err = (...)}, 0) end
  return kind and special[kind](...)
end

local function answer_protected(plain, kind, ...)
  if plain == true then return {ok = 'OK'} end
  if plain ~= nil then return plain end
  return kind and special[kind](...)
end

local redis = {
  LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3,
  REPL_NONE = 0, REPL_AOF = 1, REPL_SLAVE = 2, REPL_REPLICA = 2, REPL_ALL = 3,
  REDIS_VERSION = host.version, REDIS_VERSION_NUM = host.version_number,
}

local NO_ARGUMENTS = 'ERR Please specify at least one argument for this redis lib call'

function redis.call(...)
  if gcinfo() > limit_kb then check_memory() end
  if select('#', ...) == 0 then error({err = NO_ARGUMENTS}, 0) end
  return answer(command(...))
end

function redis.pcall(...)
  if gcinfo() > limit_kb then check_memory() end
  if select('#', ...) == 0 then return {err = NO_ARGUMENTS} end
  return answer_protected(command(...))
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

function redis.sha1hex(...)
  if select('#', ...) ~= 1 then error({err = 'ERR wrong number of arguments'}, 0) end
  check_memory()
  return host.sha1hex(tostring((...)))
end

function redis.log(level, ...)
  if select('#', ...) == 0 then
    error({err = 'ERR redis.log() requires two arguments or more.'}, 0)
  end
  if type(level) ~= 'number' or level < 0 or level > 3 then
    error({err = 'ERR Invalid debug level.'}, 0)
  end
  local words = {...}
  for i = 1, select('#', ...) do words[i] = tostring(words[i]) end
  check_memory()
  host.log(level, table.concat(words, ' '))
end

function redis.setresp(...)
  if select('#', ...) ~= 1 then
    error({err = 'ERR redis.setresp() requires one argument.'}, 0)
  end
  if ... ~= 2 and ... ~= 3 then error({err = 'ERR RESP version must be 2 or 3.'}, 0) end
  host.set_protocol((...))
end

-- Effects are always what is replicated, and all of them are.
function redis.replicate_commands() return true end
function redis.set_repl() end
function redis.breakpoint() return false end
function redis.debug() end
function redis.acl_check_cmd() return true end

return redis
