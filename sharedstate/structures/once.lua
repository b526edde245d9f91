-- Scripts of what is run once: after sharedstate/line.lua.
--
-- result   a string: the number of the run, "v" or "e", and the value or the error. It expires
--          if it is to be kept for a time only.
-- owner    a string: nonce and description of who runs it now. It expires with the lease.
-- fencing  a string: the number of the last run. It never expires.
-- line, waiters  those who wait for the result, or to run it themselves (line.lua).
--
-- Once there is a result, nobody becomes the owner. Whoever finishes has to bear the number of
-- the last run: a runner whose lease ended, and who was followed, is refused.
--
-- KEYS of every script: owner, fencing, line, waiters, result.

local OWNER, FENCING, LINE, WAITERS, RESULT = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

-- How long who is handed the run has time to confirm it, in ms.
local HAND_OVER_MS = 5000

-- The number of the next run: rises even over the loss of the last, as in owner.lua.
local function next_number()
  local time = redis.call('time')
  local number = time[1] * 1000000 + time[2]
  local last = tonumber(redis.call('getset', FENCING, number) or 0)
  if last >= number then
    number = last + 1
    redis.call('set', FENCING, number)
  end
  return number
end

local function starts_with(text, start)
  return text and string.sub(text, 1, #start) == start
end

local function runs(nonce) return starts_with(redis.call('get', OWNER), nonce .. '{') end

-- Lets the first who listens run it, for as long as it takes to confirm.
local function hand_over()
  if redis.call('exists', OWNER, RESULT) > 0 then return end
  local first = call_first(LINE, WAITERS)
  if not first then return end
  leave(LINE, WAITERS, first.id)
  local lease = math.min(first.lease, HAND_OVER_MS)
  redis.call('set', OWNER, first.id .. as_handed(first.description), 'px', lease)
  next_number()
end

-- @script acquire repeatable
-- ARGV: nonce, description, lease in ms, channel to be called on or ''. Returns the number
-- of the run, or minus the ms to wait; or 0 and the result.
local nonce, description, lease, channel = unpack(ARGV)
local result = redis.call('get', RESULT)
if result then
  leave(LINE, WAITERS, nonce)
  return {0, result}
end
if runs(nonce) then
  redis.call('set', OWNER, nonce .. description, 'px', lease)
  return {tonumber(redis.call('get', FENCING))}
end
if redis.call('set', OWNER, nonce .. description, 'nx', 'px', lease) then
  leave(LINE, WAITERS, nonce)
  return {next_number()}
end
local before = 0
if channel ~= '' then
  before = join(LINE, WAITERS, nonce, channel .. ' 0 ' .. lease .. ' ' .. description)
end
return {-patience(redis.call('pttl', OWNER), before)}

-- @script finish repeatable
-- ARGV: nonce, number, "v" or "e" and what, for how many ms to keep it or ''. Calls all who
-- wait. Returns 1, or 0 if another run has begun since, or was finished.
local nonce, number, outcome, kept_ms = unpack(ARGV)
local result = redis.call('get', RESULT)
if result then return starts_with(result, number .. ' ') and 1 or 0 end
if not runs(nonce) and tonumber(redis.call('get', FENCING)) ~= tonumber(number) then return 0 end
result = number .. ' ' .. outcome
if kept_ms == '' then
  redis.call('set', RESULT, result)
else
  redis.call('set', RESULT, result, 'px', kept_ms)
end
redis.call('del', OWNER)
for _, entry in ipairs(redis.call('hvals', WAITERS)) do
  redis.call('publish', string.match(entry, '^%S+'), 'done')
end
redis.call('del', LINE, WAITERS)
return 1

-- @script release
-- ARGV: nonce. For a run that failed: the next one may. Returns 0, or nothing if another runs.
if not runs(ARGV[1]) then return false end
redis.call('del', OWNER)
hand_over()
return 0

-- @script leave repeatable
-- ARGV: nonce. For who gives up: nothing of it stays behind.
leave(LINE, WAITERS, ARGV[1])
if runs(ARGV[1]) then redis.call('del', OWNER) end
hand_over()
return 1

-- @script renew repeatable
-- ARGV: nonce, lease in ms. Returns 1, or 0 if another runs.
if not runs(ARGV[1]) then return 0 end
return redis.call('pexpire', OWNER, ARGV[2])

-- @script keep repeatable
-- ARGV: tag, lease in ms. For a session that is alive: its lease does not end.
local value = redis.call('get', OWNER)
if not starts_with(value, ARGV[1] .. 'k') or not is_confirmed(value) then return 0 end
if redis.call('pttl', OWNER) < tonumber(ARGV[2]) then
  redis.call('pexpire', OWNER, ARGV[2])
end
return 1

-- @script ended
-- ARGV: tag, lease in ms. For a session that has ended: it neither runs nor waits.
leave_all(LINE, WAITERS, ARGV[1])
if starts_with(redis.call('get', OWNER), ARGV[1]) then redis.call('del', OWNER) end
hand_over()
return 1

-- @script inspect repeatable
-- Returns the owner's value, its lease in ms, the last number, how many wait, and those who
-- wait, in their order.
return {
  redis.call('get', OWNER), redis.call('pttl', OWNER), redis.call('get', FENCING),
  redis.call('llen', LINE), show_line(LINE, WAITERS),
}

-- @script force_release
-- Returns the value of the owner whose run it was, or nothing.
local value = redis.call('get', OWNER)
if not value then return false end
redis.call('del', OWNER)
next_number()
hand_over()
return value
