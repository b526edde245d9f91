-- The line in which those stand who were refused. It is put in front of the scripts of
-- every structure that makes its callers wait for each other.
--
-- line     a list: the ids of those who wait, first come first.
-- waiters  a hash: id -> "channel, whether called, lease in ms, description", by blanks.
--
-- A waiter listens on a channel of its own before it joins. PUBLISH tells how many receive
-- a message, so whoever is called and does not listen any more (its process was killed, its
-- connection broke) is found out at that moment, and the next one is called. Who was called
-- runs its script again; messages carry nothing but the id of who is meant.
--
-- Nobody has to ask again to keep a place. Both keys expire a day after the last one came,
-- and who waits asks at least once an hour, so that the killed are forgotten in the end.

local LINE_MS = 86400000

-- Takes those out of the line who stand first and do not listen any more.
local function drop_dead_heads(line, waiters)
  while true do
    local id = redis.call('lindex', line, 0)
    if not id then return end
    local channel = string.match(redis.call('hget', waiters, id) or '', '^%S+')
    if channel and redis.call('pubsub', 'numsub', channel)[2] > 0 then return end
    redis.call('lpop', line)
    redis.call('hdel', waiters, id)
  end
end

-- Appends a waiter, unless it stands in the line already. How many are before it.
local function join(line, waiters, id, entry)
  local before
  if redis.call('hset', waiters, id, entry) == 1 then
    drop_dead_heads(line, waiters)
    before = redis.call('rpush', line, id) - 1
  else
    -- It may have been evicted with the line.
    before = redis.call('lpos', line, id) or redis.call('rpush', line, id) - 1
  end
  redis.call('pexpire', line, LINE_MS)
  redis.call('pexpire', waiters, LINE_MS)
  return before
end

-- Takes a waiter out of the line. Whether it was there.
local function leave(line, waiters, id)
  if redis.call('hdel', waiters, id) == 0 then return false end
  redis.call('lrem', line, 1, id)
  return true
end

-- Takes out everybody whose id begins with a session's tag.
local function leave_all(line, waiters, tag)
  for _, id in ipairs(redis.call('hkeys', waiters)) do
    if string.sub(id, 1, #tag) == tag then leave(line, waiters, id) end
  end
end

-- Calls the first in the line who listens. Its id and what it joined with; nothing if
-- nobody is there. Who does not listen is taken out.
local function call_first(line, waiters)
  while true do
    local id = redis.call('lindex', line, 0)
    if not id then return end
    local entry = redis.call('hget', waiters, id)
    if entry then
      local channel, called, lease, description =
        string.match(entry, '^(%S+) (%d) (%d+) (.*)$')
      if redis.call('publish', channel, id) > 0 then
        return {
          id = id, channel = channel, called = called == '1', lease = tonumber(lease),
          description = description,
        }
      end
    end
    redis.call('lpop', line)
    redis.call('hdel', waiters, id)
  end
end

-- How long a waiter may sleep although nobody calls it, in ms: as long as the present lease
-- lasts, and two seconds more for each one before it, who is to take over first. Those may
-- have died with whoever was to call them, so it is not more than ten seconds for all of
-- them, and a little for their order. An hour at most.
local function patience(left, before)
  local turn = math.min(2000 * before, 10000) + 10 * before
  return math.min(math.max(left, 0) + turn, 3600000) + 1
end

-- What the description of one begins with who was handed something, and has not confirmed it.
local HANDED = '{"handed":true,'

local function as_handed(description) return HANDED .. string.sub(description, 2) end

-- Whether a session may keep a lease, by what holds its description: not the lease of one
-- that does not know of it.
local function is_confirmed(value) return not string.find(value, HANDED, 1, true) end

-- The line in its order, as far as it is shown: a flat list of ids and entries.
local function show_line(line, waiters)
  local shown = {}
  for _, id in ipairs(redis.call('lrange', line, 0, 999)) do
    shown[#shown + 1] = id
    shown[#shown + 1] = redis.call('hget', waiters, id) or ''
  end
  return shown
end
