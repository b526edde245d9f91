-- Finding deadlocks: after sharedstate/line.lua, in front of owner.lua.
--
-- waits  a hash, one for all locks of a namespace: a thread -> the prefix of the keys of the
--        lock for which it waits without a limit of time, and its id in that line. The last
--        of KEYS, where the store can tell the end of a process; it may touch other locks then.
--
-- A cycle is closed by somebody who begins to wait, never by a hand-over: who is handed a lock
-- waited for that one, and waits no more. So it is enough to look when somebody joins a line,
-- and to follow from owner to owner. What stands in `waits` counts only while the thread also
-- stands in that line: what an interrupt left behind there does no harm.

-- The thread behind a nonce or an owner's value: its tag and number, without what follows.
local function thread_of(value)
  local tag, thread = string.match(value, '^(%x+%.)%x*[kn]?(t%x+)')
  return tag and tag .. thread
end

-- The thread that owns a lock on a lease that is renewed; any other lease ends by itself. Of
-- a reentrant lock, the holds say whether they are.
local function lasting_owner(value, prefix)
  local tag, thread = string.match(value, '^(%x+%.)%x*k(t%x+)')
  if tag then return tag .. thread end
  tag, thread = string.match(value, '^(%x+%.)(t%x+){')
  if not tag then return end
  for _, hold in ipairs(redis.call('hkeys', prefix .. ':holds')) do
    if string.match(hold, '^%x+%.%x*k') then return tag .. thread end
  end
end

-- The chain of locks from the one that is waited for to one that the waiter itself owns: a
-- flat list of prefixes and owners' values. Nothing if the waiting can come to an end. The
-- keys are those of the lock that is waited for, if KEYS has those of several.
local function find_cycle(id, nonce, keys)
  local waits, me = KEYS[#KEYS], thread_of(id)
  local prefix, chain = string.sub((keys or KEYS)[1], 1, -#':owner' - 1), {}
  redis.call('hset', waits, me, prefix .. ' ' .. nonce)
  redis.call('pexpire', waits, LINE_MS)
  for _ = 1, 100 do
    local value = redis.call('get', prefix .. ':owner')
    local owner = value and lasting_owner(value, prefix)
    if not owner then return end
    chain[#chain + 1] = prefix
    chain[#chain + 1] = value
    if owner == me then return chain end
    local waiting = redis.call('hget', waits, owner)
    if not waiting then return end
    prefix, nonce = string.match(waiting, '^(.*) (%S+)$')
    if redis.call('hexists', prefix .. ':waiters', nonce) == 0 then return end
    -- One that holds this while it waits for the rest of several names lets go by itself.
    if string.sub(value, 1, #nonce + 1) == nonce .. '{' then return end
  end
end

-- Who has the lock waits no more. `id` is empty for those who never meant to wait for ever.
local function stop_waiting(id)
  if id ~= '' then redis.call('hdel', KEYS[#KEYS], thread_of(id)) end
end

-- Forgets the threads of a session.
local function forget_waits(tag)
  tag = string.match(tag, '^%x+%.') or tag
  for _, thread in ipairs(redis.call('hkeys', KEYS[#KEYS])) do
    if string.sub(thread, 1, #tag) == tag then redis.call('hdel', KEYS[#KEYS], thread) end
  end
end
