-- Scripts of the paced lock. The functions that let waiters stand in a line come with
-- sharedstate (line.lua), and stand in front of these.
--
-- owner    a string: the holder's value, or empty during the pause after a release. It
--          expires with the lease, or the pause; whoever writes it then is the holder.
-- fencing  a string: the number of the last grant. It never expires.
-- line, waiters  those who wait.
--
-- KEYS are these four, in this order, in every script.

local owner, fencing, line, waiters = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

-- @script acquire repeatable
-- ARGV: nonce, description, lease in ms, channel to be called on or ''. Returns the fencing
-- number; if refused, minus the ms to wait.
local value = ARGV[1] .. ' ' .. ARGV[2]
if redis.call('set', owner, value, 'nx', 'px', ARGV[3]) then
  leave(line, waiters, ARGV[1])
  return redis.call('incr', fencing)
end
local holder = redis.call('get', owner)
if string.sub(holder, 1, #ARGV[1] + 1) == ARGV[1] .. ' ' then
  -- The answer to an earlier question was lost.
  redis.call('set', owner, value, 'px', ARGV[3])
  return tonumber(redis.call('get', fencing))
end
local before = 0
if ARGV[4] ~= '' then
  local entry = ARGV[4] .. ' 0 ' .. ARGV[3] .. ' ' .. ARGV[2]
  before = join(line, waiters, ARGV[1], entry)
end
return -patience(redis.call('pttl', owner), before)

-- @script release
-- ARGV: value, pause in ms. Returns 0 holds left, or nothing if the owner is another. Who
-- is called asks, and learns how long the pause is.
if redis.call('get', owner) ~= ARGV[1] then return false end
redis.call('set', owner, '', 'px', ARGV[2])
call_first(line, waiters)
return 0

-- @script leave
-- ARGV: nonce, description. Nothing of it stays behind; if it had the lock, the next is called.
leave(line, waiters, ARGV[1])
local value = ARGV[1] .. ' ' .. ARGV[2]
if redis.call('get', owner) == value then redis.call('del', owner) end
if redis.call('exists', owner) == 0 then call_first(line, waiters) end
return 1

-- @script renew repeatable
-- ARGV: value, lease in ms.
if redis.call('get', owner) ~= ARGV[1] then return 0 end
return redis.call('pexpire', owner, ARGV[2])

-- @script inspect repeatable
return {
  redis.call('get', owner),
  redis.call('pttl', owner),
  redis.call('get', fencing),
  redis.call('llen', line),
}

-- @script force_release
-- Ends a pause too.
local value = redis.call('get', owner)
redis.call('del', owner)
call_first(line, waiters)
return (value and value ~= '') and 1 or 0
