-- Scripts of the strategy "sliding_window".
--
-- log       a sorted set: the serial number of each grant -> its moment in µs. Those of the
--           last period, and those of places that are still to come
-- log_meta  a hash: at, the time of the last change; serial, the last serial number. It
--           begins at the clock's µs, so that no number is used again after an expiry
--
-- Places are given in order: none is earlier than the last one that was taken.
--
-- A clock that was set back by more than a period makes the limiter begin anew.
--
-- KEYS: log, log_meta. The last two of ARGV: the period in µs, the limit.

local log, meta, n = KEYS[1], KEYS[2], tonumber(ARGV[1])
local period, limit = tonumber(ARGV[#ARGV - 1]), tonumber(ARGV[#ARGV])

local clock = redis.call('time')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local is_set_back = tonumber(redis.call('hget', meta, 'at') or 0) > now + period

local function text(number)
  return string.format('%.0f', number)
end

-- What is in the window that ends now, and still to come.
local after = '(' .. text(now - period)
local count = is_set_back and 0 or redis.call('zcount', log, after, '+inf')

-- The moment at which so many may be granted.
local function find(wanted)
  if count == 0 then return now end
  local last = tonumber(redis.call('zrange', log, -1, -1, 'withscores')[2])
  local moment = math.max(now, last)
  local excess = count + wanted - limit
  if excess > 0 then
    -- So many of the oldest have to leave the window first.
    local found = redis.call(
      'zrangebyscore', log, after, '+inf', 'withscores', 'limit', excess - 1, 1)
    moment = math.max(moment, tonumber(found[2]) + period)
  end
  return moment
end

-- @script reserve
local longest = tonumber(ARGV[2])
local moment = find(n)
local wait = text(moment - now)
if longest >= 0 and moment - now > longest then return {0, wait, ''} end
if is_set_back then
  redis.call('del', log)
else
  redis.call('zremrangebyscore', log, '-inf', text(now - period))
end
local serial = math.max(tonumber(redis.call('hget', meta, 'serial') or 0), now) + n
for each = serial - n + 1, serial do redis.call('zadd', log, text(moment), text(each)) end
redis.call('hset', meta, 'at', text(now), 'serial', text(serial))
-- One more, since deadlines count from the millisecond that has begun.
local last_ms = math.ceil((moment + period - now) / 1000) + 1
redis.call('pexpire', log, last_ms)
redis.call('pexpire', meta, last_ms)
return {1, wait, text(serial)}

-- @script give_back
-- What was not used never was. Later places stay as late as they are.
local serial = tonumber(ARGV[2])
for each = serial - n + 1, serial do redis.call('zrem', log, text(each)) end
return 1

-- @script look repeatable
local free = find(1) == now and limit - count or 0
return {text(find(n) - now), free}
