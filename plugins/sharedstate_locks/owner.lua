-- What every lock with a single owner keeps on the store. Stands in front of its scripts,
-- after sharedstate/line.lua.
--
-- owner    a string: the owner's nonce, and its description in JSON. It expires with the
--          lease. A nonce begins with the tag of the owner's session, or process. The
--          description begins with "handed" until who was handed the lock has confirmed it.
-- fencing  a string: the number of the last grant. It never expires.
-- line, waiters  those who wait (sharedstate/line.lua).
--
-- KEYS of every script: owner, fencing, line, waiters; and `waits` last, where deadlocks
-- are looked for (deadlocks.lua). Where there are several names, the functions are given the
-- keys of one of them.

-- How long who is handed the lock has time to confirm it, in ms. Until then it may be a
-- machine that has lost its power, which nobody can tell from a silent one.
local HAND_OVER_MS = 5000

-- The number of the next grant: the store's time in µs, or one more than the last if the
-- clock stands, or was set back. So it rises even if the last one was evicted, or lost with
-- the end of a log.
local function next_number(keys)
  local fencing = (keys or KEYS)[2]
  local time = redis.call('time')
  local number = time[1] * 1000000 + time[2]
  local last = tonumber(redis.call('getset', fencing, number) or 0)
  if last >= number then
    number = last + 1
    redis.call('set', fencing, number)
  end
  return number
end

-- The nonce and the description that an owner's value consists of.
local function parts_of(value) return string.match(value, '^([^{]*)(.*)$') end

local function belongs_to(value, nonce)
  return value and string.sub(value, 1, #nonce + 1) == nonce .. '{'
end

local function is_of_session(value, tag)
  return value and string.sub(value, 1, #tag) == tag
end

-- Makes a waiter that was called the owner, for as long as it takes to confirm. One whose
-- lease is 0 is only called: it wants several locks, or none.
local function hand_to(first, keys)
  if not first or first.lease == 0 then return end
  leave(keys[3], keys[4], first.id)
  local lease = math.min(first.lease, HAND_OVER_MS)
  -- Where the owner is not the one who stands in the line, its id is with the description.
  local id, description = parts_of(first.description)
  id = id == '' and first.id or id
  redis.call('set', keys[1], id .. as_handed(description), 'px', lease)
  next_number(keys)
end

-- Makes the first who listens the owner.
local function hand_over()
  hand_to(call_first(KEYS[3], KEYS[4]), KEYS)
end

-- Calls the first who listens, and leaves the lock free. Whoever was called before, and
-- found that another one had been quicker, is handed the lock.
local function call_next(keys)
  local first = call_first(keys[3], keys[4])
  if not first then return end
  if first.called then return hand_to(first, keys) end
  local entry = first.channel .. ' 1 ' .. first.lease .. ' ' .. first.description
  redis.call('hset', keys[4], first.id, entry)
end

-- Refuses: how long to wait before asking again, in ms, negative. With a channel, the one
-- who asks stands in the line from now on; unless it gives the id of its thread, because it
-- means to wait for ever, and would: then that is the error.
local function refuse(nonce, description, lease, channel, thread)
  local before = 0
  if channel ~= '' then
    local called = '0'
    local entry = redis.call('hget', KEYS[4], nonce)
    if entry then called = string.match(entry, '^%S+ (%d)') end
    entry = channel .. ' ' .. called .. ' ' .. lease .. ' ' .. description
    before = join(KEYS[3], KEYS[4], nonce, entry)
    local cycle = thread ~= '' and find_cycle(thread, nonce)
    if cycle then
      leave(KEYS[3], KEYS[4], nonce)
      stop_waiting(thread)
      return redis.error_reply('DEADLOCK ' .. cjson.encode(cycle))
    end
  end
  return -patience(redis.call('pttl', KEYS[1]), before)
end

-- The owner asks again: what was handed to it, or granted by an answer that was lost. It
-- has its full lease from now on.
local function confirm(value, lease)
  redis.call('set', KEYS[1], value, 'px', lease)
  return tonumber(redis.call('get', KEYS[2]) or next_number())
end
