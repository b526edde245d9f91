-- Scripts of queues.
--
-- items   a list: the items in order, oldest first.
-- meta    a hash, of which a field that would be zero is missing:
--           unfinished   items put and not yet reported by task_done
--           limit        the most items the queue holds; missing is no bound
--           shut         there once the queue was shut down
--           getters, putters, joiners
--                        how many wait for an item, for room, for the end of all tasks,
--                        and have not been sent a token
-- ready, room, done   wake lists: tokens for getters, putters and joiners. They hold no
--           items, so that a waiter who is killed takes nothing along.
-- fence     which no script here touches: see sharedstate/fencing.lua. What does not have
--           to do with it: counting waiters, and giving back what cannot be read, for the
--           item would be lost if that were refused.
--
-- Invariant: who makes room for waiters sends a token to as many as there is room for,
-- and counts them as waiting no longer. Sent too many, one asks and waits again; a token
-- that was lost with its waiter is made up for by the next who makes room.
--
-- Scripts reply 0 for "not now", having counted the caller if asked to.

-- Send tokens to at most so many of the waiters of a kind.
local function wake(meta, kind, list, places)
  local waiting = tonumber(redis.call('hget', meta, kind) or 0)
  local count = math.min(waiting, places)
  if count < 1 then return end
  if count == waiting then
    redis.call('hdel', meta, kind)
  else
    redis.call('hincrby', meta, kind, -count)
  end
  for _ = 1, count do redis.call('rpush', list, '1') end
end

-- How many items may still be put; for one who knows that there is a limit.
local function places_left(items, meta)
  local limit = tonumber(redis.call('hget', meta, 'limit') or math.huge)
  return limit - redis.call('llen', items)
end

-- Drop all items, and count them as finished. Returns how many there were.
local function drop(items, meta, done)
  local count = redis.call('llen', items)
  if count == 0 then return 0 end
  redis.call('del', items)
  local unfinished = tonumber(redis.call('hget', meta, 'unfinished') or 0)
  if unfinished > count then
    redis.call('hincrby', meta, 'unfinished', -count)
  else
    redis.call('hdel', meta, 'unfinished')
    wake(meta, 'joiners', done, math.huge)
  end
  return count
end

-- @script put
-- KEYS: items, meta, ready. ARGV: the caller's limit (0: whatever it is), 1 to be
-- counted if there is no room, items. Puts as many as there is room for.
-- Returns how many; 0 if there is no room, -1 if shut down, -2 if the limit is another.
local meta = redis.call('hmget', KEYS[2], 'limit', 'getters', 'shut')
if meta[3] then return -1 end
local limit, count = meta[1], #ARGV - 2
if ARGV[1] ~= '0' and ARGV[1] ~= limit then
  if limit then return -2 end
  limit = ARGV[1]
  redis.call('hset', KEYS[2], 'limit', limit)
end
if limit then
  count = math.min(count, tonumber(limit) - redis.call('llen', KEYS[1]))
  if count < 1 then
    if ARGV[2] == '1' then redis.call('hincrby', KEYS[2], 'putters', 1) end
    return 0
  end
end
local length
if count == 1 then
  length = redis.call('rpush', KEYS[1], ARGV[3])
else
  length = redis.call('rpush', KEYS[1], unpack(ARGV, 3, count + 2))
end
redis.call('hincrby', KEYS[2], 'unfinished', count)
if meta[2] then wake(KEYS[2], 'getters', KEYS[3], length) end
return count

-- @script get
-- KEYS: items, meta, room. ARGV: 1 to be counted if there is no item.
-- Returns the item; 0 if there is none, -1 if there will be none.
local item = redis.call('lpop', KEYS[1])
if item then
  if redis.call('hexists', KEYS[2], 'putters') == 1 then
    wake(KEYS[2], 'putters', KEYS[3], places_left(KEYS[1], KEYS[2]))
  end
  return item
end
local meta = redis.call('hmget', KEYS[2], 'shut', 'putters')
if meta[1] then return -1 end
-- Room, and putters that wait all the same: a token was lost with its putter.
if meta[2] then wake(KEYS[2], 'putters', KEYS[3], places_left(KEYS[1], KEYS[2])) end
if ARGV[1] == '1' then redis.call('hincrby', KEYS[2], 'getters', 1) end
return 0

-- @script get_many
-- As get, for up to ARGV[2] items. Returns a list of them.
local items = redis.call('lpop', KEYS[1], ARGV[2])
if items then
  if redis.call('hexists', KEYS[2], 'putters') == 1 then
    wake(KEYS[2], 'putters', KEYS[3], places_left(KEYS[1], KEYS[2]))
  end
  return items
end
local meta = redis.call('hmget', KEYS[2], 'shut', 'putters')
if meta[1] then return -1 end
-- Room, and putters that wait all the same: a token was lost with its putter.
if meta[2] then wake(KEYS[2], 'putters', KEYS[3], places_left(KEYS[1], KEYS[2])) end
if ARGV[1] == '1' then redis.call('hincrby', KEYS[2], 'getters', 1) end
return 0

-- @script give_back unfenced
-- KEYS: items, meta, ready. ARGV: items, the youngest first. For one who got them and
-- cannot read them. They were never reported as done, so `unfinished` has them still.
local length
for _, item in ipairs(ARGV) do length = redis.call('lpush', KEYS[1], item) end
wake(KEYS[2], 'getters', KEYS[3], length)
return length

-- @script task_done
-- KEYS: meta, done. ARGV: how many. Returns how many are unfinished; -1, and nothing
-- changed, if that would be less than none.
local left = redis.call('hincrby', KEYS[1], 'unfinished', '-' .. ARGV[1])
if left > 0 then return left end
redis.call('hdel', KEYS[1], 'unfinished')
if left < 0 then
  if left + ARGV[1] > 0 then
    redis.call('hset', KEYS[1], 'unfinished', left + ARGV[1])
  end
  return -1
end
wake(KEYS[1], 'joiners', KEYS[2], math.huge)
return 0

-- @script join repeatable unfenced
-- KEYS: meta. ARGV: 1 to be counted if tasks are unfinished. Returns 1 if none is.
-- Repeated, it may count a joiner twice: one needless wake-up, which is no change to
-- anybody. So it may be.
if redis.call('hexists', KEYS[1], 'unfinished') == 0 then return 1 end
if ARGV[1] == '1' then redis.call('hincrby', KEYS[1], 'joiners', 1) end
return 0

-- @script stop_waiting unfenced
-- KEYS: meta, the wake list of the kind, items. ARGV: getters, putters or joiners.
-- Uses up a count, or else the token that was sent for it. Who gives up although there
-- is room may have been woken for it: the wake-up goes on to another.
local kind = ARGV[1]
if redis.call('hexists', KEYS[1], kind) == 0 then
  redis.call('lpop', KEYS[2])
  return 1
end
if redis.call('hincrby', KEYS[1], kind, -1) == 0 then
  redis.call('hdel', KEYS[1], kind)
  return 1
end
local places = 0
if kind == 'getters' then
  places = redis.call('llen', KEYS[3])
elseif kind == 'putters' then
  places = places_left(KEYS[3], KEYS[1])
end
wake(KEYS[1], kind, KEYS[2], places)
return 1

-- @script shutdown repeatable
-- KEYS: items, meta, ready, room, done. ARGV: 1 to drop the items.
-- All who wait for items or room ask again, and learn of it.
redis.call('hset', KEYS[2], 'shut', '1')
if ARGV[1] == '1' then drop(KEYS[1], KEYS[2], KEYS[5]) end
wake(KEYS[2], 'getters', KEYS[3], math.huge)
wake(KEYS[2], 'putters', KEYS[4], math.huge)
return 1

-- @script clear
-- KEYS: items, meta, room, done. Returns how many items were dropped.
local count = drop(KEYS[1], KEYS[2], KEYS[4])
if count > 0 and redis.call('hexists', KEYS[2], 'putters') == 1 then
  wake(KEYS[2], 'putters', KEYS[3], places_left(KEYS[1], KEYS[2]))
end
return count
