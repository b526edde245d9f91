-- Scripts of the token lock: after sharedstate/line.lua and owner.lua, which says what the
-- keys are.
--
-- Whoever asks while the lock is free gets it, even if others wait: that spares a free lock
-- the time until somebody wakes. So a release *calls* the first in the line, and leaves the
-- lock free. If another one was quicker, the caller keeps its place, and is *handed* the
-- lock the next time: nobody is passed over twice in a row.

-- @script acquire repeatable
-- ARGV: value, lease in ms; from those who mean to wait, also the channel to be called on,
-- and the id of the thread that means to wait for ever, or ''. Returns the fencing number;
-- if refused, minus the ms to wait.
local is_mine = redis.call('set', KEYS[1], ARGV[1], 'nx', 'px', ARGV[2])
if is_mine and not ARGV[3] then return next_number() end
-- @shared
local nonce, description = parts_of(ARGV[1])
local channel, thread = ARGV[3] or '', ARGV[4] or ''
if is_mine then
  leave(KEYS[3], KEYS[4], nonce)
  stop_waiting(thread)
  return next_number()
end
if belongs_to(redis.call('get', KEYS[1]), nonce) then
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
call_next(KEYS)
return 0
