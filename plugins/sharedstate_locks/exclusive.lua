-- The scripts that all locks with a single owner share: after sharedstate/line.lua and
-- owner.lua, which says what the keys are.

-- @script leave
-- ARGV: nonce. For who gives up: nothing of it stays behind. If it was handed the lock
-- meanwhile, or called, that is passed on.
leave(KEYS[3], KEYS[4], ARGV[1])
local value = redis.call('get', KEYS[1])
if belongs_to(value, ARGV[1]) then
  redis.call('del', KEYS[1])
  value = false
end
if not value then hand_over() end
return 1

-- @script renew repeatable
-- KEYS: owner. ARGV: value, lease in ms. Returns 1, or 0 if the owner is another.
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('pexpire', KEYS[1], ARGV[2])

-- @script keep repeatable
-- ARGV: tag, lease in ms. For a session that is alive: its lease does not end. Owners that
-- are not to be renewed have no k after the tag.
local value = redis.call('get', KEYS[1])
if not is_of_session(value, ARGV[1] .. 'k') or not is_confirmed(value) then return 0 end
if redis.call('pttl', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('pexpire', KEYS[1], ARGV[2])
end
return 1

-- @script ended
-- ARGV: tag, lease in ms, 1 if KEYS has `waits`. For a session that has ended: it neither
-- holds nor waits.
if ARGV[3] == '1' then forget_waits(ARGV[1]) end
leave_all(KEYS[3], KEYS[4], ARGV[1])
local value = redis.call('get', KEYS[1])
if is_of_session(value, ARGV[1]) then
  redis.call('del', KEYS[1])
  value = false
end
if not value then hand_over() end
return 1

-- @script inspect repeatable
-- Returns the owner's value, its lease in ms, the last number, how many wait, and those
-- who wait, in their order.
return {
  redis.call('get', KEYS[1]),
  redis.call('pttl', KEYS[1]),
  redis.call('get', KEYS[2]),
  redis.call('llen', KEYS[3]),
  show_line(KEYS[3], KEYS[4]),
}

-- @script force_release
-- Returns the value of the owner whose lock it was, or nothing.
local value = redis.call('get', KEYS[1])
if not value then return false end
redis.call('del', KEYS[1])
hand_over()
return value
