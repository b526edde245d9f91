-- Scripts of the read-write lock: after sharedstate/line.lua.
--
-- writer   a string: the writing thread's nonce and description. It expires with its lease.
-- fencing  a string: the number of the last grant. It never expires.
-- line     those who wait to write, and `crowd` those who wait to read: lists as in line.lua.
-- waiters  the entries of both. A description there begins with the nonce of the hold.
-- readers  a sorted set: a reading thread's nonce -> when its lease ends, in ms.
-- held     a hash: "h" nonce of a hold -> "r" or "w", and the thread's nonce
--                  "r" thread -> how many read holds; "w" thread -> how many write holds
--                  "d" thread -> the description of a reader;  "writer" -> the thread
--                  "n" thread -> the number of its latest grant
--
-- Phases alternate while both sorts wait. A waiting writer stops readers that come; when
-- it has written, all readers that wait by then go in together, and the next writer after
-- them. So a reader waits for one phase of readers and one writer at most, and a writer for
-- the writers before it, with one phase of readers after each.
--
-- A thread that reads may read again, whoever waits; one that writes may write again, and
-- read. One that only reads cannot become the writer: two who tried would wait for each other.
--
-- KEYS of every script: writer, fencing, line, waiters, readers, held, crowd.

local WRITER, FENCING, LINE = KEYS[1], KEYS[2], KEYS[3]
local WAITERS, READERS, HELD, CROWD = KEYS[4], KEYS[5], KEYS[6], KEYS[7]

-- How long who is let in has time to confirm it, in ms.
local HAND_OVER_MS = 5000

-- The store's time, in ms and in µs.
local function clock()
  local time = redis.call('time')
  local microseconds = time[1] * 1000000 + time[2]
  return math.floor(microseconds / 1000), microseconds
end

local now_ms, now_us = clock()

local function next_number()
  local number = now_us
  local last = tonumber(redis.call('getset', FENCING, number) or 0)
  if last >= number then
    number = last + 1
    redis.call('set', FENCING, number)
  end
  return number
end

-- Gives a thread the number of a new grant.
local function number_for(thread)
  local number = next_number()
  redis.call('hset', HELD, 'n' .. thread, number)
  return number
end

-- The number of a thread's latest grant, for a question that was granted before.
local function number_of(thread) return tonumber(redis.call('hget', HELD, 'n' .. thread)) end

local function starts_with(text, start) return string.sub(text, 1, #start) == start end

local function add_hold(mode, thread, hold)
  if redis.call('hsetnx', HELD, 'h' .. hold, mode .. thread) == 1 then
    redis.call('hincrby', HELD, mode .. thread, 1)
  end
end

-- Whether the thread holds in a mode.
local function holds(mode, thread) return redis.call('hexists', HELD, mode .. thread) == 1 end

-- Takes all holds of a thread in a mode away.
local function drop(mode, thread)
  local fields = redis.call('hgetall', HELD)
  for i = 1, #fields, 2 do
    if starts_with(fields[i], 'h') and fields[i + 1] == mode .. thread then
      redis.call('hdel', HELD, fields[i])
    end
  end
  redis.call('hdel', HELD, mode .. thread)
  if not holds(mode == 'r' and 'w' or 'r', thread) then
    redis.call('hdel', HELD, 'n' .. thread)
  end
  if mode == 'r' then
    redis.call('zrem', READERS, thread)
    redis.call('hdel', HELD, 'd' .. thread)
  else
    redis.call('del', WRITER)
    redis.call('hdel', HELD, 'writer')
  end
end

-- Forgets those whose leases have ended. Returns the thread that writes, if one does, and
-- whether one did whose lease has ended.
local function reap()
  for _, thread in ipairs(redis.call('zrangebyscore', READERS, '-inf', now_ms)) do
    drop('r', thread)
  end
  local thread = redis.call('hget', HELD, 'writer')
  if thread and redis.call('exists', WRITER) == 0 then
    drop('w', thread)
    return false, true
  end
  return thread, false
end

-- What nobody comes back to is gone one day.
local function keep_for(lease)
  local kept_ms = math.max(2 * lease, LINE_MS)
  redis.call('pexpire', READERS, kept_ms)
  redis.call('pexpire', HELD, kept_ms)
end

local function let_read(thread, hold, description, lease)
  add_hold('r', thread, hold)
  redis.call('hset', HELD, 'd' .. thread, description)
  redis.call('zadd', READERS, 'gt', now_ms + lease, thread)
  keep_for(lease)
end

local function let_write(thread, hold, description, lease)
  add_hold('w', thread, hold)
  redis.call('hset', HELD, 'writer', thread)
  redis.call('set', WRITER, thread .. description, 'px', lease)
  keep_for(lease)
end

-- Lets one in who waited, for as long as it takes to confirm.
local function let_in(let, line, first)
  leave(line, WAITERS, first.id)
  local hold, description = string.match(first.description, '^([^{]+)(.*)$')
  let(first.id, hold, description, math.min(first.lease, HAND_OVER_MS))
  number_for(first.id)
end

local function admit_readers()
  local first = call_first(CROWD, WAITERS)
  while first do
    let_in(let_read, CROWD, first)
    first = call_first(CROWD, WAITERS)
  end
end

local function admit_writer()
  local first = call_first(LINE, WAITERS)
  if first then let_in(let_write, LINE, first) end
  return first
end

-- After somebody has gone, or was found to be gone: lets in who is next. `after_writer`
-- says that it is the readers' turn.
local function let_next_in(after_writer)
  if redis.call('exists', WRITER) == 1 then return end
  if after_writer then admit_readers() end
  if redis.call('exists', READERS) == 1 then return end
  if not admit_writer() then admit_readers() end
end

-- Whether a writer waits who still listens.
local function writer_waits()
  drop_dead_heads(LINE, WAITERS)
  return redis.call('exists', LINE) == 1
end

-- How long what is in the way lasts at most, in ms.
local function time_left()
  if redis.call('exists', WRITER) == 1 then return redis.call('pttl', WRITER) end
  local last = redis.call('zrange', READERS, -1, -1, 'withscores')
  return last[2] and tonumber(last[2]) - now_ms or 0
end

-- Refuses: how long to wait before asking again, in ms, negative.
local function refuse(line, thread, hold, description, lease, channel)
  local before = 0
  if channel ~= '' then
    local entry = channel .. ' 0 ' .. lease .. ' ' .. hold .. description
    before = join(line, WAITERS, thread, entry)
    -- All that wait to read go in together.
    if line == CROWD then before = 0 end
  end
  return -patience(time_left(), before)
end

local function take(mode, thread, hold)
  if redis.call('hdel', HELD, 'h' .. hold) == 0 then return false end
  local left = redis.call('hincrby', HELD, mode .. thread, -1)
  if left == 0 then drop(mode, thread) end
  return left
end

-- @script acquire_read repeatable
-- ARGV: the thread's nonce, description, lease in ms, channel to be called on or '', nonce
-- of the hold. Returns the fencing number; if refused, minus the ms to wait.
local thread, description, lease, channel, hold = unpack(ARGV)
lease = tonumber(lease)
local writer, has_ended = reap()
if not writer then let_next_in(has_ended) end
if holds('r', thread) then
  local is_new = redis.call('hexists', HELD, 'h' .. hold) == 0
  let_read(thread, hold, description, lease)
  return is_new and number_for(thread) or number_of(thread)
end
writer = redis.call('hget', HELD, 'writer')
if writer == thread or (not writer and not writer_waits()) then
  leave(CROWD, WAITERS, thread)
  if not writer then admit_readers() end
  let_read(thread, hold, description, lease)
  return number_for(thread)
end
return refuse(CROWD, thread, hold, description, lease, channel)

-- @script acquire_write repeatable
-- ARGV: as for acquire_read. Returns 0 if the thread reads, and so would wait for itself.
local thread, description, lease, channel, hold = unpack(ARGV)
lease = tonumber(lease)
local writer, has_ended = reap()
if not writer then let_next_in(has_ended) end
writer = redis.call('hget', HELD, 'writer')
if writer == thread then
  local is_new = redis.call('hexists', HELD, 'h' .. hold) == 0
  let_write(thread, hold, description, lease)
  return is_new and number_for(thread) or number_of(thread)
end
if holds('r', thread) then return 0 end
if not writer and redis.call('exists', READERS) == 0 then
  leave(LINE, WAITERS, thread)
  let_write(thread, hold, description, lease)
  return number_for(thread)
end
return refuse(LINE, thread, hold, description, lease, channel)

-- @script release
-- ARGV: r or w, the thread's nonce, nonce of the hold. Returns how many holds of the mode
-- are left, or nothing if there is no such hold.
local mode, thread, hold = unpack(ARGV)
local writer = reap()
local left = take(mode, thread, hold)
if left == 0 or not writer then let_next_in(mode == 'w') end
return left

-- @script leave
-- ARGV: r or w, the thread's nonce, nonce of the hold. For who gives up: nothing of it stays
-- behind, neither its place nor what was granted meanwhile.
local mode, thread, hold = unpack(ARGV)
leave(mode == 'w' and LINE or CROWD, WAITERS, thread)
reap()
take(mode, thread, hold)
-- It may have been the writer for whom readers were waiting.
if redis.call('exists', WRITER) == 0 then let_next_in(not writer_waits()) end
return 1

-- @script renew repeatable
-- ARGV: r or w, the thread's nonce, nonce of the hold, lease in ms. Returns 1, or 0 if there
-- is no such hold any more.
local mode, thread, hold, lease = unpack(ARGV)
lease = tonumber(lease)
reap()
if redis.call('hexists', HELD, 'h' .. hold) == 0 then return 0 end
keep_for(lease)
if mode == 'w' then return redis.call('pexpire', WRITER, lease) end
redis.call('zadd', READERS, 'xx', 'gt', now_ms + lease, thread)
return 1

-- @script keep repeatable
-- ARGV: tag, lease in ms. For a session that is alive: its leases do not end.
reap()
local tag, lease = ARGV[1] .. 'k', tonumber(ARGV[2])
local writer = redis.call('hget', HELD, 'writer')
if writer and starts_with(writer, tag) and redis.call('pttl', WRITER) < lease then
  redis.call('pexpire', WRITER, lease)
end
for _, thread in ipairs(redis.call('zrange', READERS, 0, -1)) do
  if starts_with(thread, tag) then
    redis.call('zadd', READERS, 'xx', 'gt', now_ms + lease, thread)
  end
end
return 1

-- @script ended
-- ARGV: tag, lease in ms. For a session that has ended: it neither holds nor waits.
leave_all(LINE, WAITERS, ARGV[1])
leave_all(CROWD, WAITERS, ARGV[1])
local writer = reap()
for _, thread in ipairs(redis.call('zrange', READERS, 0, -1)) do
  if starts_with(thread, ARGV[1]) then drop('r', thread) end
end
local wrote = writer and starts_with(writer, ARGV[1])
if wrote then drop('w', writer) end
let_next_in(wrote or not writer_waits())
return 1

-- @script inspect repeatable
-- Returns the writer's value, the ms that are left, the last number, the readers as a flat
-- list of nonces and descriptions, and the entries of those who wait to write and to read.
reap()
local readers = {}
for _, thread in ipairs(redis.call('zrange', READERS, 0, -1)) do
  readers[#readers + 1] = thread
  readers[#readers + 1] = redis.call('hget', HELD, 'd' .. thread) or ''
end
return {
  redis.call('get', WRITER), time_left(), redis.call('get', FENCING), readers,
  redis.call('llen', LINE) + redis.call('llen', CROWD),
  show_line(LINE, WAITERS), show_line(CROWD, WAITERS),
}

-- @script force_release
-- Takes the lock from all that hold it. Returns how many threads that were.
local writer, count = reap(), 0
for _, thread in ipairs(redis.call('zrange', READERS, 0, -1)) do
  drop('r', thread)
  count = count + 1
end
if writer then
  drop('w', writer)
  count = count + 1
end
let_next_in(writer ~= false)
return count
