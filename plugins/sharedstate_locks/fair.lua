-- Scripts of the fair lock: after sharedstate/line.lua and owner.lua, which says what the
-- keys are.
--
-- A lock that is released is never free while somebody waits: it is handed to the first in
-- the line. It is free with somebody waiting only when a lease has ended, and then whoever
-- asks first serves the line before itself.

-- @script acquire repeatable
-- ARGV: value, lease in ms; from those who mean to wait, also the channel to be called on,
-- and the id of the thread that means to wait for ever, or ''. Returns the fencing number;
-- if refused, minus the ms to wait.
local is_mine = redis.call('exists', KEYS[3]) == 0
  and redis.call('set', KEYS[1], ARGV[1], 'nx', 'px', ARGV[2])
if is_mine and not ARGV[3] then return next_number() end
-- @shared
local nonce, description = parts_of(ARGV[1])
local channel, thread = ARGV[3] or '', ARGV[4] or ''
local owner = is_mine and ARGV[1] or redis.call('get', KEYS[1])
if not owner then
  hand_over()
  owner = redis.call('get', KEYS[1])
end
if not owner then
  leave(KEYS[3], KEYS[4], nonce)
  is_mine = redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])
end
if is_mine then
  stop_waiting(thread)
  return next_number()
end
if belongs_to(owner, nonce) then
  stop_waiting(thread)
  return confirm(ARGV[1], ARGV[2])
end
return refuse(nonce, description, ARGV[2], channel, thread)

-- @script release
-- ARGV: value. Returns 0 holds left, or nothing if the owner is another.
if redis.call('get', KEYS[1]) ~= ARGV[1] then return false end
redis.call('del', KEYS[1])
if redis.call('exists', KEYS[3]) == 0 then return 0 end
-- @shared
hand_over()
return 0
