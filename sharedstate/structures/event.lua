-- Scripts of events.
--
-- state   a hash:
--           set         there while the event is set
--           generation  the number of the last set: rises with each, also over a loss of
--                       the key, for it is the clock's microseconds or more
--
-- Who waited before a set can tell by the generation that there was one, even if it was
-- cleared at once and the message did not arrive. A cleared event is forgotten after a day:
-- nobody is cut off for longer.

local FORGET_SECONDS = 86400

-- @script set
-- KEYS: state. ARGV: the channel. Wakes all who wait. Returns 1 if it was not set before.
if redis.call('hexists', KEYS[1], 'set') == 1 then return 0 end
local now = redis.call('time')
local last = tonumber(redis.call('hget', KEYS[1], 'generation') or 0)
local number = math.max(last + 1, tonumber(now[1]) * 1000000 + tonumber(now[2]))
local generation = string.format('%.0f', number)
redis.call('hset', KEYS[1], 'set', '1', 'generation', generation)
redis.call('persist', KEYS[1])
redis.call('publish', ARGV[1], generation)
return 1

-- @script clear
-- KEYS: state. Returns 1 if it was set before.
if redis.call('hdel', KEYS[1], 'set') == 0 then return 0 end
redis.call('expire', KEYS[1], FORGET_SECONDS)
return 1
