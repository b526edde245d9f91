-- Scripts of latches.
--
-- state    a hash:
--            count    what it was made with; everybody has to agree
--            left     how many are still to come
--            opened   the number of the last opening: rises with each, also over a loss of
--                     the key, for it is the clock's microseconds or more
-- counted  a set: the keys that were counted in this round, by those who gave one
--
-- Scripts whose caller has another count in mind change nothing, and return
-- {-1, the count that is set}.

local function now_us()
  local now = redis.call('time')
  return tonumber(now[1]) * 1000000 + tonumber(now[2])
end

local function text(number)
  return string.format('%.0f', number)
end

-- What opens the latch for all who wait.
local function open(channel)
  local last = tonumber(redis.call('hget', KEYS[1], 'opened') or 0)
  local opening = text(math.max(last + 1, now_us()))
  redis.call('hset', KEYS[1], 'opened', opening)
  redis.call('publish', channel, opening)
end

-- @script count_down
-- KEYS: state, counted. ARGV: the count, how many to count down, a key that counts once or
-- '', the channel. Returns {how many are left}.
local found = redis.call('hmget', KEYS[1], 'count', 'left')
if found[1] and found[1] ~= ARGV[1] then return {-1, found[1]} end
local before = tonumber(found[2] or ARGV[1])
if ARGV[3] ~= '' and redis.call('sadd', KEYS[2], ARGV[3]) == 0 then return {before} end
local left = math.max(0, before - tonumber(ARGV[2]))
redis.call('hset', KEYS[1], 'count', ARGV[1], 'left', text(left))
if left == 0 and before > 0 then open(ARGV[4]) end
return {left}

-- @script look repeatable
-- KEYS: state. ARGV: the count, 1 for one who comes to wait: it may be the first, who makes
-- the latch. Returns {how many are left, the number of the last opening}.
local found = redis.call('hmget', KEYS[1], 'count', 'left', 'opened')
if found[1] and found[1] ~= ARGV[1] then return {-1, found[1]} end
if not found[1] and ARGV[2] == '1' then
  redis.call('hset', KEYS[1], 'count', ARGV[1], 'left', ARGV[1])
end
return {tonumber(found[2] or ARGV[1]), found[3] or '0'}

-- @script reset
-- KEYS: state, counted. ARGV: the count of the new round, the channel. Who waits goes on to
-- wait, unless there is nothing to wait for.
redis.call('hset', KEYS[1], 'count', ARGV[1], 'left', ARGV[1])
redis.call('del', KEYS[2])
if ARGV[1] == '0' then open(ARGV[2]) end
return 1
