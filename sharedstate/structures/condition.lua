-- Scripts of conditions: after sharedstate/line.lua.
--
-- asleep, sleepers  those who wait to be notified: line and waiters as line.lua has them. Those
--                   who wait for the condition's own lock have these names here already.
-- notified          a string: the nonce of the last notice that woke somebody. It expires,
--                   and is there so that a notice whose answer was lost is not given twice.
--
-- A waiter joins before it releases the lock, and whoever notifies holds the lock: so no
-- notice can come in between. Who is in `sleepers` has not been notified.
--
-- KEYS of every script: asleep, sleepers, notified.

local LINE, WAITERS, NOTIFIED = KEYS[1], KEYS[2], KEYS[3]

-- For longer than anybody repeats a command, in ms.
local NOTICE_MS = 60000

-- Wakes up to so many who listen, in their order. How many.
local function wake(most)
  local count = 0
  while count < most do
    local first = call_first(LINE, WAITERS)
    if not first then break end
    leave(LINE, WAITERS, first.id)
    count = count + 1
  end
  return count
end

-- @script join repeatable
-- ARGV: id, channel to be called on, description. Repeated, it changes the channel.
return join(LINE, WAITERS, ARGV[1], ARGV[2] .. ' 0 0 ' .. ARGV[3])

-- @script look repeatable
-- ARGV: id, channel, description. Returns 1 if the one who asks still waits, on that channel
-- from now on; else 0.
if redis.call('hexists', WAITERS, ARGV[1]) == 0 then return 0 end
join(LINE, WAITERS, ARGV[1], ARGV[2] .. ' 0 0 ' .. ARGV[3])
return 1

-- @script leave repeatable
-- ARGV: id. Returns 1 if the one who gives up waited; 0 if it had been notified, or asks for
-- the second time: it then takes itself for notified, which a condition allows.
return leave(LINE, WAITERS, ARGV[1]) and 1 or 0

-- @script pass_on repeatable
-- ARGV: id. For who is interrupted: if it had been notified, the next one is.
if not leave(LINE, WAITERS, ARGV[1]) then wake(1) end
return 1

-- @script notify repeatable
-- ARGV: how many, nonce. Returns how many were woken, or 0 for a notice given before.
if redis.call('get', NOTIFIED) == ARGV[2] then return 0 end
local count = wake(tonumber(ARGV[1]))
if count > 0 then redis.call('set', NOTIFIED, ARGV[2], 'px', NOTICE_MS) end
return count

-- @script ended repeatable
-- ARGV: tag. For a session that has ended: it does not wait.
leave_all(LINE, WAITERS, ARGV[1])
return 1
