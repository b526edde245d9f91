-- Scripts of the strategy "fixed_window".
--
-- windows  a hash: the number of a window (periods since 1970) -> how many were granted in
--          it, for the present window and for later ones in which places are taken;
--            next  the first window in which to look for a place
--            at    the present window at the last change
--
-- A clock that was set back by more than a window makes the limiter begin anew.
--
-- KEYS: windows. The last two of ARGV: the period in µs, the limit.

local windows, n = KEYS[1], tonumber(ARGV[1])
local period, limit = tonumber(ARGV[#ARGV - 1]), tonumber(ARGV[#ARGV])

local clock = redis.call('time')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local found = redis.call('hmget', windows, 'next', 'at')
local next_window, at = tonumber(found[1] or 0), tonumber(found[2] or 0)
local present = math.floor(now / period)
local is_set_back = at > present + 1

local function text(number)
  return string.format('%.0f', number)
end

local function granted(window)
  if is_set_back then return 0 end
  return tonumber(redis.call('hget', windows, text(window)) or 0)
end

-- The first window with room for so many, and the µs until it begins.
local function find(count)
  local window = is_set_back and present or math.max(present, next_window)
  while granted(window) + count > limit do window = window + 1 end
  return window, math.max(0, window * period - now)
end

-- @script reserve
local longest = tonumber(ARGV[2])
local window, wait = find(n)
if longest >= 0 and wait > longest then return {0, text(wait), ''} end
if is_set_back then
  redis.call('del', windows)
elseif at < present then
  -- Windows that are over.
  for _, each in ipairs(redis.call('hkeys', windows)) do
    local number = tonumber(each)
    if number and number < present then redis.call('hdel', windows, each) end
  end
end
redis.call('hincrby', windows, text(window), n)
redis.call('hset', windows, 'next', text(window), 'at', text(present))
-- One more, since deadlines count from the millisecond that has begun.
local last_ms = math.ceil(((window + 1) * period - now) / 1000) + 1
if redis.call('pttl', windows) < last_ms then redis.call('pexpire', windows, last_ms) end
return {1, text(wait), text(window)}

-- @script give_back
-- A window that is over has nothing to give.
local window = tonumber(ARGV[2])
if is_set_back or window < present or granted(window) < n then return 0 end
redis.call('hincrby', windows, ARGV[2], -n)
if window < next_window then redis.call('hset', windows, 'next', ARGV[2]) end
return 1

-- @script look repeatable
local window, wait = find(n)
local first, first_wait = find(1)
return {text(wait), first_wait == 0 and math.floor(limit - granted(first)) or 0}
