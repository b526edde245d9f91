-- Scripts of the reentrant lock: after sharedstate/line.lua and owner.lua, which says what
-- the keys are. Here the owner is a thread, whose nonce is the same for all that it does.
--
-- holds  a hash: a nonce for each hold of the owner -> 1. It expires with the lease, and
--        the lock is free when the last one is gone. Each hold has a nonce of its own, so
--        that acquiring and releasing may be repeated when an answer was lost.
--
-- KEYS of every script: owner, fencing, line, waiters, holds; and `waits` last, as there.

-- Grants one hold to the owner, and begins its lease anew.
local function add_hold(value, lease, hold, thread)
  stop_waiting(thread)
  redis.call('set', KEYS[1], value, 'px', lease)
  redis.call('hset', KEYS[5], hold, '1')
  redis.call('pexpire', KEYS[5], lease)
end

-- The lock is free: nothing is left of those who held it, and the next one is called.
local function pass_on()
  redis.call('del', KEYS[5])
  hand_over()
end

-- @script acquire repeatable
-- ARGV: the owner's nonce, description, lease in ms, channel to be called on or '', id of
-- the thread that means to wait for ever or '', nonce of the hold. Returns the fencing number and how many holds there are; if refused, minus
-- the ms to wait, and 0.
local value = ARGV[1] .. ARGV[2]
local owner = redis.call('get', KEYS[1])
if owner and belongs_to(owner, ARGV[1]) then
  add_hold(redis.call('exists', KEYS[5]) == 1 and owner or value, ARGV[3], ARGV[6], ARGV[5])
  local number = redis.call('get', KEYS[2]) or next_number()
  return {tonumber(number), redis.call('hlen', KEYS[5])}
end
if not owner then
  redis.call('del', KEYS[5])  -- It may outlive its owner by a moment.
  if redis.call('exists', KEYS[3]) == 1 then leave(KEYS[3], KEYS[4], ARGV[1]) end
  add_hold(value, ARGV[3], ARGV[6], ARGV[5])
  return {next_number(), 1}
end
local refusal = refuse(ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5])
if type(refusal) == 'table' then return refusal end
return {refusal, 0}

-- @script release
-- ARGV: the owner's nonce, nonce of the hold. Returns how many holds are left, or nothing
-- if there is no such hold.
if not belongs_to(redis.call('get', KEYS[1]), ARGV[1]) then return false end
if redis.call('hdel', KEYS[5], ARGV[2]) == 0 then return false end
local left = redis.call('hlen', KEYS[5])
if left == 0 then
  redis.call('del', KEYS[1])
  pass_on()
end
return left

-- @script renew repeatable
-- ARGV: the owner's nonce, nonce of the hold, lease in ms. Returns 1, or 0 if there is no
-- such hold.
if not belongs_to(redis.call('get', KEYS[1]), ARGV[1]) then return 0 end
if redis.call('hexists', KEYS[5], ARGV[2]) == 0 then return 0 end
redis.call('pexpire', KEYS[5], ARGV[3])
return redis.call('pexpire', KEYS[1], ARGV[3])

-- @script leave
-- ARGV: the owner's nonce, nonce of the hold. For who gives up: nothing of it stays behind.
leave(KEYS[3], KEYS[4], ARGV[1])
local owner = redis.call('get', KEYS[1])
if belongs_to(owner, ARGV[1]) then
  redis.call('hdel', KEYS[5], ARGV[2])
  if redis.call('exists', KEYS[5]) == 0 then
    redis.call('del', KEYS[1])
    owner = false
  end
end
if not owner then pass_on() end
return 1

-- @script keep repeatable
-- ARGV: tag, lease in ms. For a session that is alive: its lease does not end.
if not is_of_session(redis.call('get', KEYS[1]), ARGV[1] .. 'k') then return 0 end
if redis.call('pttl', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('pexpire', KEYS[1], ARGV[2])
  redis.call('pexpire', KEYS[5], ARGV[2])
end
return 1

-- @script ended
-- ARGV: tag, lease in ms, 1 if KEYS has `waits`. For a session that has ended: it neither
-- holds nor waits.
if ARGV[3] == '1' then forget_waits(ARGV[1]) end
leave_all(KEYS[3], KEYS[4], ARGV[1])
local owner = redis.call('get', KEYS[1])
if is_of_session(owner, ARGV[1]) then
  redis.call('del', KEYS[1])
  owner = false
end
if not owner then pass_on() end
return 1

-- @script force_release
-- Returns the value of the owner whose lock it was, or nothing.
local value = redis.call('get', KEYS[1])
if not value then return false end
redis.call('del', KEYS[1])
pass_on()
return value
