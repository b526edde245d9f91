-- Scripts of the paced lock.
--
-- owner     a string: the holder's value, or empty during the pause after a release. It
--           expires with the lease, or the pause; whoever writes it then is the holder.
-- fencing   a string: the number of the last grant. It never expires.
-- waiting   a string: how many wait and have not been sent a token.
-- wake      a list: a token for each waiter that should ask again.
--
-- KEYS are these four, in this order, in every script.

local owner, fencing, waiting, wake = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

-- Send one waiter a token, if one waits.
local function wake_one(kept_ms)
  if tonumber(redis.call('get', waiting) or 0) < 1 then return end
  redis.call('decr', waiting)
  redis.call('rpush', wake, '1')
  redis.call('pexpire', wake, kept_ms)
end

-- @script acquire
-- ARGV: value, lease in ms, 1 to be counted as waiting if refused, how long to keep the
-- count in ms. Returns the fencing number; if refused, minus the ms to wait.
if redis.call('set', owner, ARGV[1], 'nx', 'px', ARGV[2]) then
  return redis.call('incr', fencing)
end
if ARGV[3] == '1' then
  redis.call('incr', waiting)
  redis.call('pexpire', waiting, ARGV[4])
end
return -math.max(1, redis.call('pttl', owner))

-- @script release
-- ARGV: value, pause in ms, how long to keep a token in ms. Returns 0 holds left, or
-- nothing if the owner is another. Who is woken learns how long the pause is.
if redis.call('get', owner) ~= ARGV[1] then return false end
redis.call('set', owner, '', 'px', ARGV[2])
wake_one(ARGV[3])
return 0

-- @script renew repeatable
-- ARGV: value, lease in ms.
if redis.call('get', owner) ~= ARGV[1] then return 0 end
return redis.call('pexpire', owner, ARGV[2])

-- @script stop_waiting
-- Takes back a count, or else the token that was sent for it.
if tonumber(redis.call('get', waiting) or 0) > 0 then
  redis.call('decr', waiting)
else
  redis.call('lpop', wake)
end
return 1

-- @script inspect repeatable
return {
  redis.call('get', owner),
  redis.call('pttl', owner),
  redis.call('get', fencing),
  redis.call('get', waiting),
}

-- @script force_release
-- ARGV: how long to keep a token in ms. Ends a pause too.
local value = redis.call('get', owner)
redis.call('del', owner)
wake_one(ARGV[1])
return (value and value ~= '') and 1 or 0
