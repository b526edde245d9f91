-- Scripts of the reentrant lock: after sharedstate/line.lua and owner.lua, which says what
-- the keys are. Here the owner is a thread: its identity stands in the owner's value in the
-- place of a nonce, and is the same for all that it does.
--
-- holds  a hash: a nonce for each hold of the owner -> 1, and `owner`: whose they are. It
--        expires with the lease, and the lock is free when the last hold is gone. Each hold
--        has a nonce of its own, so that acquiring and releasing may be repeated when an
--        answer was lost, and that a waiter has a place of its own in the line.
--
-- KEYS of every script: owner, fencing, line, waiters, holds; and `waits` last, as there.

local HOLDS = KEYS[5]

-- How many holds there are, of whomever.
local function count_holds() return math.max(redis.call('hlen', HOLDS) - 1, 0) end

-- Grants one hold to the owner. Its lease begins anew, unless it lasts longer already.
local function add_hold(thread, value, lease, hold)
  if redis.call('hget', HOLDS, 'owner') ~= thread then
    redis.call('del', HOLDS)
    redis.call('hset', HOLDS, 'owner', thread)
  end
  redis.call('hset', HOLDS, hold, '1')
  lease = math.max(tonumber(lease), redis.call('pttl', KEYS[1]))
  redis.call('set', KEYS[1], value, 'px', lease)
  redis.call('pexpire', HOLDS, lease)
end

-- The lease does not end for so long.
local function extend(lease)
  if redis.call('pttl', KEYS[1]) >= tonumber(lease) then return end
  redis.call('pexpire', HOLDS, lease)
  redis.call('pexpire', KEYS[1], lease)
end

-- The lock is free: nothing is left of those who held it, and the next one is called.
local function pass_on()
  redis.call('del', HOLDS)
  hand_over()
end

-- What all of a session begins with, whatever its edition.
local function base_of(tag) return string.match(tag, '^%x+%.') or tag end

-- @script acquire repeatable
-- ARGV: the thread's identity, description, lease in ms, channel to be called on or '', the
-- identity again if it means to wait for ever or '', nonce of the hold. Returns the fencing
-- number and how many holds there are; if refused, minus the ms to wait, and 0.
local thread, description, lease, channel, patient, hold = unpack(ARGV)
local value = thread .. description
local owner = redis.call('get', KEYS[1])
if belongs_to(owner, thread) then
  stop_waiting(patient)
  leave(KEYS[3], KEYS[4], hold)
  add_hold(thread, is_confirmed(owner) and owner or value, lease, hold)
  local number = redis.call('get', KEYS[2]) or next_number()
  return {tonumber(number), count_holds()}
end
if not owner then
  leave(KEYS[3], KEYS[4], hold)
  stop_waiting(patient)
  add_hold(thread, value, lease, hold)
  return {next_number(), count_holds()}
end
local refusal = refuse(hold, value, lease, channel, patient)
if type(refusal) == 'table' then return refusal end
return {refusal, 0}

-- @script release
-- ARGV: the thread's identity, nonce of the hold. Returns how many holds are left, or
-- nothing if there is no such hold.
if not belongs_to(redis.call('get', KEYS[1]), ARGV[1]) then return false end
if redis.call('hdel', HOLDS, ARGV[2]) == 0 then return false end
local left = count_holds()
if left == 0 then
  redis.call('del', KEYS[1])
  pass_on()
end
return left

-- @script renew repeatable
-- ARGV: the thread's identity, nonce of the hold, lease in ms. Returns 1, or 0 if there is
-- no such hold.
if not belongs_to(redis.call('get', KEYS[1]), ARGV[1]) then return 0 end
if redis.call('hexists', HOLDS, ARGV[2]) == 0 then return 0 end
extend(ARGV[3])
return 1

-- @script leave
-- ARGV: the thread's identity, nonce of the hold. For who gives up: nothing of it stays
-- behind.
leave(KEYS[3], KEYS[4], ARGV[2])
local owner = redis.call('get', KEYS[1])
if belongs_to(owner, ARGV[1]) then
  redis.call('hdel', HOLDS, ARGV[2])
  if count_holds() == 0 then
    redis.call('del', KEYS[1])
    owner = false
  end
end
if not owner then pass_on() end
return 1

-- @script keep repeatable
-- ARGV: tag, lease in ms. For a session that is alive: its lease does not end, if one of its
-- holds is renewed (k). Who was handed the lock, and does not know of it, has none.
if not is_of_session(redis.call('get', KEYS[1]), base_of(ARGV[1])) then return 0 end
for _, hold in ipairs(redis.call('hkeys', HOLDS)) do
  if is_of_session(hold, ARGV[1] .. 'k') then
    extend(ARGV[2])
    return 1
  end
end
return 0

-- @script ended
-- ARGV: tag, lease in ms, 1 if KEYS has `waits`. For a session that has ended: it neither
-- holds nor waits.
local base = base_of(ARGV[1])
if ARGV[3] == '1' then forget_waits(base) end
leave_all(KEYS[3], KEYS[4], base)
local owner = redis.call('get', KEYS[1])
if is_of_session(owner, base) then
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
