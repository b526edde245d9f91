-- Scripts of the token lock.
--
-- owner     a string: the holder's nonce and description. It expires with the lease, and
--           whoever writes it while it is missing is the holder.
-- fencing   a string: the number of the last grant. It never expires, so that a late
--           holder's number is lower than that of everybody after it.
-- waiting   a string: how many wait and have not been sent a token. Missing is none. It
--           expires soon after the last of them was counted.
-- wake      the wake list: a token for each waiter that should ask again.
--
-- An owner's value is unique to one acquisition. It is what makes `acquire` and `renew`
-- safe to repeat when an answer was lost: the second time they find their own value.
-- `acquire` may count a waiter twice then, which costs one needless wake-up. `release`
-- is not repeatable, since the second time looks like a lost lease; its caller, who knows
-- how long the lease was good for, asks again and tells the two apart.

-- Send one waiter a token, if one waits. KEYS: waiting, wake.
local function wake_one(waiting, wake, kept_ms)
  local count = tonumber(redis.call('get', waiting) or 0)
  if count < 1 then return end
  if count == 1 then redis.call('del', waiting) else redis.call('decr', waiting) end
  redis.call('rpush', wake, '1')
  redis.call('pexpire', wake, kept_ms)
end

-- @script acquire repeatable
-- KEYS: owner, fencing, waiting. ARGV: value, lease in ms, 1 to be counted as waiting if
-- refused, how long to keep the count in ms.
-- Returns the fencing number; if refused, minus the lease that is left in ms.
if redis.call('set', KEYS[1], ARGV[1], 'nx', 'px', ARGV[2]) then
  return redis.call('incr', KEYS[2])
end
if redis.call('get', KEYS[1]) == ARGV[1] then
  return tonumber(redis.call('get', KEYS[2]))
end
if ARGV[3] == '1' then
  redis.call('incr', KEYS[3])
  redis.call('pexpire', KEYS[3], ARGV[4])
end
return -math.max(1, redis.call('pttl', KEYS[1]))

-- @script release
-- KEYS: owner, waiting, wake. ARGV: value, how long to keep a token in ms.
-- Returns 0 holds left, or nothing if the owner is another.
if redis.call('get', KEYS[1]) ~= ARGV[1] then return false end
redis.call('del', KEYS[1])
wake_one(KEYS[2], KEYS[3], ARGV[2])
return 0

-- @script renew repeatable
-- KEYS: owner. ARGV: value, lease in ms.
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('pexpire', KEYS[1], ARGV[2])

-- @script stop_waiting
-- KEYS: owner, waiting, wake. ARGV: how long to keep a token in ms.
-- Uses up a count, or else the token that was sent for it. Who gives up although the
-- lock is free may have been woken for it: the wake-up goes on to another.
local count = tonumber(redis.call('get', KEYS[2]) or 0)
if count < 1 then
  redis.call('lpop', KEYS[3])
elseif count == 1 then
  redis.call('del', KEYS[2])
else
  redis.call('decr', KEYS[2])
end
if redis.call('exists', KEYS[1]) == 0 then wake_one(KEYS[2], KEYS[3], ARGV[1]) end
return 1

-- @script inspect repeatable
-- KEYS: owner, fencing, waiting. Returns the owner's value, its lease in ms, the last
-- fencing number, and how many wait.
return {
  redis.call('get', KEYS[1]),
  redis.call('pttl', KEYS[1]),
  redis.call('get', KEYS[2]),
  redis.call('get', KEYS[3]),
}

-- @script force_release
-- KEYS: owner, waiting, wake. ARGV: how long to keep a token in ms.
if redis.call('del', KEYS[1]) == 0 then return 0 end
wake_one(KEYS[2], KEYS[3], ARGV[1])
return 1
