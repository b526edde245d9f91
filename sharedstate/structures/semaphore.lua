-- Scripts of semaphores: after sharedstate/line.lua.
--
-- permits  a sorted set: id of an acquisition -> when its lease ends, in ms of this clock.
-- held     a hash: id -> "units number description": how many permits, the fencing number of
--                  the grant, and who it is;  "used" -> the sum of all units.
-- size     a hash: "size" -> how many permits there are;  "resized" -> 1 once somebody has
--                  resized it. It never expires.
-- fencing  a string: the number of the last grant. It never expires.
-- line, waiters  those who wait (line.lua). A description there begins with the units.
--
-- First come, first served: nobody is granted anything while somebody waits, so that who
-- wants many gets them in the end. Whatever frees permits also takes back those whose leases
-- have ended, and gives what is free to the head of the line, for as long as it fits.
--
-- KEYS of every script: permits, held, size, fencing, line, waiters.

local PERMITS, HELD, SIZE = KEYS[1], KEYS[2], KEYS[3]
local FENCING, LINE, WAITERS = KEYS[4], KEYS[5], KEYS[6]

-- How long who is handed permits has time to confirm them, in ms.
local HAND_OVER_MS = 5000

-- The store's time. Read by every script but for a release that nobody waits for.
local now_ms, now_us

local function read_clock()
  local time = redis.call('time')
  now_us = time[1] * 1000000 + time[2]
  now_ms = math.floor(now_us / 1000)
end

-- The number of the next grant: rises even over the loss of the last, as in owner.lua.
local function next_number()
  local number = now_us
  local last = tonumber(redis.call('getset', FENCING, number) or 0)
  if last >= number then
    number = last + 1
    redis.call('set', FENCING, number)
  end
  return number
end

local function starts_with(text, start) return string.sub(text, 1, #start) == start end

-- How many permits there are, and whether that was resized; nothing before the first use.
local function size_now()
  local found = redis.call('hmget', SIZE, 'size', 'resized')
  return tonumber(found[1] or nil), found[2] ~= false
end

-- How many permits nobody has. Below zero after the size was lowered.
local function free()
  return (size_now() or 0) - tonumber(redis.call('hget', HELD, 'used') or 0)
end

-- The units, number and description in an entry of `held`; nothing if there is none.
local function parse(entry)
  if not entry then return end
  local units, number, description = string.match(entry, '^(%d+) (%d+) (.*)$')
  return tonumber(units), tonumber(number), description
end

local function acquisition(id) return parse(redis.call('hget', HELD, id)) end

local function entry_of(units, number, description)
  return units .. ' ' .. string.format('%.0f', number) .. ' ' .. description
end

-- Takes an acquisition out. Whether it was there.
local function drop(id)
  local found = redis.call('hmget', HELD, id, 'used')
  local units = parse(found[1])
  if not units then
    redis.call('zrem', PERMITS, id)
    return false
  end
  if units >= tonumber(found[2] or 0) then
    redis.call('del', PERMITS, HELD)
  else
    redis.call('zrem', PERMITS, id)
    redis.call('hdel', HELD, id)
    redis.call('hincrby', HELD, 'used', -units)
  end
  return true
end

-- Begins a lease, and never shortens one. What nobody comes back to is gone one day.
local function begin_lease(id, lease)
  redis.call('zadd', PERMITS, 'gt', now_ms + lease, id)
  local kept_ms = math.max(2 * lease, LINE_MS)
  if redis.call('pttl', HELD) < kept_ms then
    redis.call('pexpire', PERMITS, kept_ms)
    redis.call('pexpire', HELD, kept_ms)
  end
end

-- `used` is how many are held so far.
local function grant(id, units, description, lease, used)
  local number = next_number()
  redis.call('hset', HELD, id, entry_of(units, number, description), 'used', used + units)
  begin_lease(id, lease)
  return number
end

-- Takes back what leases have ended.
local function reap()
  read_clock()
  for _, id in ipairs(redis.call('zrangebyscore', PERMITS, '-inf', now_ms)) do drop(id) end
end

-- The head of the line as a table; nothing if nobody waits. Who does not listen any more is
-- taken out, unless it is `asker`, who is here.
local function head(asker)
  while true do
    local id = redis.call('lindex', LINE, 0)
    if not id then return end
    local entry = redis.call('hget', WAITERS, id) or ''
    local channel, lease, units, description =
      string.match(entry, '^(%S+) %d (%d+) (%d+) (.*)$')
    if channel and (id == asker or redis.call('pubsub', 'numsub', channel)[2] > 0) then
      return {
        id = id, channel = channel, lease = tonumber(lease), units = tonumber(units),
        description = description,
      }
    end
    redis.call('lpop', LINE)
    redis.call('hdel', WAITERS, id)
  end
end

-- Hands free permits to those at the head of the line, as many as fit in their order.
local function serve(asker)
  local first = head(asker)
  while first and first.units <= free() do
    leave(LINE, WAITERS, first.id)
    local lease, description = first.lease, first.description
    local is_there = first.id == asker
    if not is_there then
      lease, description = math.min(lease, HAND_OVER_MS), as_handed(description)
      is_there = redis.call('publish', first.channel, first.id) > 0
    end
    if is_there then
      local used = tonumber(redis.call('hget', HELD, 'used') or 0)
      grant(first.id, first.units, description, lease, used)
    end
    first = head(asker)
  end
  return first
end

-- When the first lease ends, in ms from now.
local function time_left()
  local first = redis.call('zrange', PERMITS, 0, 0, 'withscores')
  return first[2] and tonumber(first[2]) - now_ms or 0
end

-- @script acquire repeatable
-- ARGV: id, units, description, lease in ms, channel to be called on or '', the size that the
-- asker believes in. Returns the fencing number, or minus the ms to wait, or 0 if it can never
-- be granted: the size, which comes next, is too small, or differs, which is the last, 0 or 1.
local id, units, description, lease, channel, wanted = unpack(ARGV)
units, lease = tonumber(units), tonumber(lease)
if redis.call('exists', HELD) == 1 then reap() else read_clock() end
local size, is_resized = size_now()
if not size then
  -- The first who uses the name decides.
  redis.call('hset', SIZE, 'size', wanted)
  size = tonumber(wanted)
end
local differs = size ~= tonumber(wanted) and not is_resized
local found = redis.call('hmget', HELD, id, 'used')
local granted, number = parse(found[1])
if granted then
  redis.call('hset', HELD, id, entry_of(granted, number, description))
  begin_lease(id, lease)
  return {number, size, 0}
end
if differs or units > size then
  leave(LINE, WAITERS, id)
  serve()
  return {0, size, differs and 1 or 0}
end
local used = tonumber(found[2] or 0)
if redis.call('exists', LINE) == 1 then
  local first = serve(id)
  granted, number = acquisition(id)
  if granted then return {number, size, 0} end
  used = first and size or tonumber(redis.call('hget', HELD, 'used') or 0)
end
if used + units <= size then return {grant(id, units, description, lease, used), size, 0} end
local before = 0
if channel ~= '' then
  before = join(LINE, WAITERS, id, channel .. ' 0 ' .. lease .. ' ' .. units .. ' ' .. description)
end
return {-patience(time_left(), before), size, 0}

-- @script release
-- ARGV: by turns the id of an acquisition, and how many units shall be left of it. Returns 1
-- for each that was there, else 0. Repeating it, or in another order, takes nothing twice.
local replies = {}
for i = 1, #ARGV, 2 do
  local id, left = ARGV[i], tonumber(ARGV[i + 1])
  if left == 0 then
    replies[#replies + 1] = drop(id) and 1 or 0
  else
    local units, number, description = acquisition(id)
    replies[#replies + 1] = units and 1 or 0
    if units and left < units then
      redis.call('hset', HELD, id, entry_of(left, number, description))
      redis.call('hincrby', HELD, 'used', left - units)
    end
  end
end
if redis.call('exists', LINE) == 1 then
  reap()
  serve()
end
return replies

-- @script leave repeatable
-- ARGV: id. For who gives up: nothing of it stays behind.
leave(LINE, WAITERS, ARGV[1])
drop(ARGV[1])
reap()
serve()
return 1

-- @script renew repeatable
-- ARGV: id, lease in ms. Returns 1, or 0 if there is no such acquisition any more.
reap()
serve()
if not acquisition(ARGV[1]) then return 0 end
begin_lease(ARGV[1], tonumber(ARGV[2]))
return 1

-- @script keep repeatable
-- ARGV: tag, lease in ms. For a session that is alive: its leases do not end, but for those
-- that are not to be renewed, which have no k after the tag, and those that were handed over
-- and not confirmed.
read_clock()
local tag, lease = ARGV[1] .. 'k', tonumber(ARGV[2])
for _, id in ipairs(redis.call('zrange', PERMITS, 0, -1)) do
  if starts_with(id, tag) and is_confirmed(redis.call('hget', HELD, id) or '') then
    begin_lease(id, lease)
  end
end
reap()
serve()
return 1

-- @script ended
-- ARGV: tag, lease in ms. For a session that has ended: it neither holds nor waits.
leave_all(LINE, WAITERS, ARGV[1])
for _, id in ipairs(redis.call('hkeys', HELD)) do
  if starts_with(id, ARGV[1]) then drop(id) end
end
reap()
serve()
return 1

-- @script resize repeatable
-- ARGV: the new size. Who waits for more than that is called, to be told.
reap()
local size = tonumber(ARGV[1])
redis.call('hset', SIZE, 'size', ARGV[1], 'resized', '1')
for _, id in ipairs(redis.call('lrange', LINE, 0, -1)) do
  local entry = redis.call('hget', WAITERS, id) or ''
  local channel, units = string.match(entry, '^(%S+) %d %d+ (%d+) ')
  if channel and tonumber(units) > size then
    leave(LINE, WAITERS, id)
    redis.call('publish', channel, id)
  end
end
serve()
return 1

-- @script inspect repeatable
-- Returns the size (nothing before the first use), whether it was resized, how many are free
-- (nothing before), the ms until the last lease ends, the last number, how many wait, the
-- entries of those who hold, and the line.
reap()
serve()
local size, is_resized = size_now()
local holders = {}
for _, id in ipairs(redis.call('zrange', PERMITS, 0, -1)) do
  holders[#holders + 1] = redis.call('hget', HELD, id) or nil
end
local last = redis.call('zrange', PERMITS, -1, -1, 'withscores')
return {
  size or false, is_resized and 1 or 0, size and math.max(0, free()) or false,
  last[2] and tonumber(last[2]) - now_ms or 0, redis.call('get', FENCING),
  redis.call('llen', LINE), holders, show_line(LINE, WAITERS),
}

-- @script force_release
-- Takes all permits from those who hold them. Returns how many acquisitions those were.
reap()
local count = 0
for _, id in ipairs(redis.call('zrange', PERMITS, 0, -1)) do
  if drop(id) then count = count + 1 end
end
serve()
return count
