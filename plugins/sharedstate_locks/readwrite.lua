-- Scripts of the read-write lock: after sharedstate/line.lua.
--
-- writer   a string: the writing thread and its description. It expires with its lease.
-- fencing  a string: the number of the last grant. It never expires.
-- line     those who wait to write, and `crowd` those who wait to read: as in line.lua.
-- waiters  the entries of both, by the nonces of the holds that are wanted. A description
--          there begins with the thread.
-- readers  a sorted set: a reading thread -> when its lease ends, in ms.
-- held     a hash: "h" nonce of a hold -> "r" or "w", and the thread
--                  "r" thread -> how many read holds; "w" thread -> how many write holds
--                  "d" thread -> the description of a reader;  "writer" -> the thread
--                  "n" thread -> its number: that of the grant of its first hold
--                  "u" thread -> 1 while it was let in, and has not confirmed that
--
-- A thread is known by its identity, whatever the nonces of its holds. Both begin with what
-- is unique to the session; only those of holds that it keeps go on with "k".
--
-- A store may evict one of the keys. A reader holds only if it is in both `readers` and
-- `held`, and a writer if it is in both `writer` and `held`: else its renewals fail. What
-- `readers` and `writer` say keeps others out until those leases have ended.
--
-- Phases alternate while both sorts wait. A waiting writer stops readers that come; when
-- it has written, all readers that wait by then go in together, and the next writer after
-- them. So a reader waits for one phase of readers and one writer at most, and a writer for
-- the writers before it, with one phase of readers after each.
--
-- A thread that reads may read again, whoever waits; one that writes may write again, and
-- read. One that only reads cannot become the writer: two who tried would wait for ever.
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

-- The number of a thread that has been granted something. All that it holds at a time has
-- that of the first grant: a later one would make its own earlier writes too old.
local function number_of(thread)
  local number = redis.call('hget', HELD, 'n' .. thread)
  if number then return tonumber(number) end
  number = next_number()
  redis.call('hset', HELD, 'n' .. thread, number)
  return number
end

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
    redis.call('hdel', HELD, 'n' .. thread, 'u' .. thread)
  end
  if mode == 'r' then
    redis.call('zrem', READERS, thread)
    redis.call('hdel', HELD, 'd' .. thread)
  else
    redis.call('del', WRITER)
    redis.call('hdel', HELD, 'writer')
  end
end

-- The thread that writes, or false.
local function writing_thread()
  local value = redis.call('get', WRITER)
  return value and string.match(value, '^[^{]*')
end

-- Forgets those whose leases have ended. Returns the thread that writes, if one does, and
-- whether one did whose lease has ended.
local function reap()
  for _, thread in ipairs(redis.call('zrangebyscore', READERS, '-inf', now_ms)) do
    drop('r', thread)
  end
  local writer = writing_thread()
  if writer then return writer, false end
  local last = redis.call('hget', HELD, 'writer')
  if last then drop('w', last) end
  return false, last ~= false
end

-- As reap, before a thread does something. If its place among the readers was evicted,
-- others may have written since: then it does not read any more.
local function reap_for(thread)
  local writer, has_ended = reap()
  if holds('r', thread) and not redis.call('zscore', READERS, thread) then
    drop('r', thread)
  end
  return writer, has_ended
end

-- Lets a key live for some time, unless it lives longer: for another lease.
local function extend(key, ms)
  if redis.call('pttl', key) < ms then redis.call('pexpire', key, ms) end
end

-- What nobody comes back to is gone one day.
local function keep_for(lease)
  local kept_ms = math.max(2 * lease, LINE_MS)
  extend(READERS, kept_ms)
  extend(HELD, kept_ms)
end

local function extend_reader(thread, lease)
  redis.call('zadd', READERS, 'xx', 'gt', now_ms + lease, thread)
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
  local px = math.max(redis.call('pttl', WRITER), lease)
  redis.call('set', WRITER, thread .. description, 'px', px)
  keep_for(lease)
end

-- Lets one in who asks now. Returns the number.
local function grant(let, line, thread, hold, description, lease)
  leave(line, WAITERS, hold)
  let(thread, hold, description, lease)
  redis.call('hdel', HELD, 'u' .. thread)
  return number_of(thread)
end

-- Lets one in who waited, for as long as it takes to confirm: until then it may be one that
-- stands still, which its session must not keep.
local function let_in(let, line, first)
  leave(line, WAITERS, first.id)
  local thread, description = string.match(first.description, '^([^{]+)(.*)$')
  if not (holds('r', thread) or holds('w', thread)) then
    redis.call('hset', HELD, 'u' .. thread, 1)
  end
  let(thread, first.id, description, math.min(first.lease, HAND_OVER_MS))
  number_of(thread)
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
    local entry = channel .. ' 0 ' .. lease .. ' ' .. thread .. description
    before = join(line, WAITERS, hold, entry)
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
-- ARGV: the thread, description, lease in ms, channel to be called on or '', nonce of the
-- hold. Returns the fencing number; if refused, minus the ms to wait.
local thread, description, lease, channel, hold = unpack(ARGV)
lease = tonumber(lease)
local writer, has_ended = reap_for(thread)
if not writer then let_next_in(has_ended) end
writer = writing_thread()
if not holds('r', thread) and writer ~= thread then
  if writer or writer_waits() then
    return refuse(CROWD, thread, hold, description, lease, channel)
  end
  -- Those who wait go in as well, but not this one, who is here.
  leave(CROWD, WAITERS, hold)
  admit_readers()
end
return grant(let_read, CROWD, thread, hold, description, lease)

-- @script acquire_write repeatable
-- ARGV: as for acquire_read. Returns 0 if the thread reads, and so would wait for itself.
local thread, description, lease, channel, hold = unpack(ARGV)
lease = tonumber(lease)
local writer, has_ended = reap_for(thread)
if not writer then let_next_in(has_ended) end
writer = writing_thread()
if writer ~= thread then
  if holds('r', thread) then return 0 end
  if writer or redis.call('exists', READERS) == 1 then
    return refuse(LINE, thread, hold, description, lease, channel)
  end
end
return grant(let_write, LINE, thread, hold, description, lease)

-- @script release
-- ARGV: r or w, the thread, nonce of the hold. Returns how many holds of the mode are left,
-- or nothing if there is no such hold.
local mode, thread, hold = unpack(ARGV)
local writer = reap_for(thread)
local left = take(mode, thread, hold)
if left == 0 or not writer then let_next_in(mode == 'w') end
return left

-- @script leave
-- ARGV: r or w, the thread, nonce of the hold. For who gives up: nothing of it stays behind,
-- neither its place nor what was granted meanwhile.
local mode, thread, hold = unpack(ARGV)
leave(mode == 'w' and LINE or CROWD, WAITERS, hold)
reap_for(thread)
take(mode, thread, hold)
-- It may have been the writer for whom readers were waiting.
if redis.call('exists', WRITER) == 0 then let_next_in(not writer_waits()) end
return 1

-- @script renew repeatable
-- ARGV: r or w, the thread, nonce of the hold, lease in ms. Returns 1, or 0 if there is no
-- such hold any more.
local mode, thread, hold, lease = unpack(ARGV)
lease = tonumber(lease)
reap_for(thread)
if redis.call('hexists', HELD, 'h' .. hold) == 0 then return 0 end
keep_for(lease)
if mode == 'w' then extend(WRITER, lease) else extend_reader(thread, lease) end
return 1

-- @script keep repeatable
-- ARGV: tag, lease in ms. For a session that is alive: the leases that it keeps do not end,
-- but for those who were let in and do not confirm it.
local writer, has_ended = reap()
if not writer then let_next_in(has_ended) end
local start, lease = 'h' .. ARGV[1] .. 'k', tonumber(ARGV[2])
local fields, is_ours = redis.call('hgetall', HELD), false
for i = 1, #fields, 2 do
  local thread = string.sub(fields[i + 1], 2)
  if starts_with(fields[i], start) and redis.call('hexists', HELD, 'u' .. thread) == 0 then
    is_ours = true
    if not starts_with(fields[i + 1], 'w') then
      extend_reader(thread, lease)
    elseif thread == writer then
      extend(WRITER, lease)
    end
  end
end
if is_ours then keep_for(lease) end
return 1

-- @script ended
-- ARGV: tag, lease in ms. For a session that has ended: it neither holds nor waits.
local base = string.match(ARGV[1], '^%x+%.')
leave_all(LINE, WAITERS, base)
leave_all(CROWD, WAITERS, base)
local writer = reap()
for _, thread in ipairs(redis.call('zrange', READERS, 0, -1)) do
  if starts_with(thread, base) then drop('r', thread) end
end
local wrote = writer and starts_with(writer, base)
if wrote then drop('w', writer) end
let_next_in(wrote or not writer_waits())
return 1

-- @script inspect repeatable
-- Returns the writer's value, the ms that are left, the last number, the readers as a flat
-- list of threads and descriptions, and the entries of those who wait to write and to read.
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
