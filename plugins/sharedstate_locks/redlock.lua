-- What one of the servers does for the lock of a majority. It knows nothing of the others.
--
-- vote    a string: the nonce of the owner that has this server's vote, and its description
--         in JSON. It expires with the lease.
-- number  a string: the highest fencing number that was granted, as far as this server
--         was told. It never expires.
--
-- KEYS of every script: vote, number.

-- Whether the server has been up for longer than so many seconds. It counts in whole ones,
-- and up to one too many.
local function is_up_for(seconds)
  local facts = redis.call('info', 'server')
  return tonumber(string.match(facts, 'uptime_in_seconds:(%d+)')) > seconds
end

-- @script acquire repeatable
-- ARGV: nonce, value, lease in ms, seconds that the server has to be up for. Returns 1 and
-- the lowest number that the grant may have; 0 if another has the vote; -1 if the server
-- does not vote yet, since it may have forgotten one.
local delay = tonumber(ARGV[4])
if delay > 0 and not is_up_for(delay) then return {-1} end
local owner = redis.call('get', KEYS[1])
local prefix = ARGV[1] .. '{'
if owner and string.sub(owner, 1, #prefix) ~= prefix then return {0} end
redis.call('set', KEYS[1], ARGV[2], 'px', ARGV[3])
local time = redis.call('time')
local last = tonumber(redis.call('get', KEYS[2]) or 0)
return {1, math.max(last + 1, time[1] * 1000000 + time[2])}

-- @script note repeatable
-- ARGV: value, number of the grant. Returns 1, or 0 if another has the vote by now.
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
if tonumber(redis.call('get', KEYS[2]) or 0) < tonumber(ARGV[2]) then
  redis.call('set', KEYS[2], ARGV[2])
end
return 1

-- @script renew repeatable
-- ARGV: value, lease in ms. Returns 1, or 0 if the owner does not have the vote.
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('pexpire', KEYS[1], ARGV[2])

-- @script release
-- ARGV: value. Returns 1, or 0 if the owner does not have the vote.
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('del', KEYS[1])

-- @script leave repeatable
-- ARGV: nonce. Gives back a vote, whatever its description.
local prefix = ARGV[1] .. '{'
local owner = redis.call('get', KEYS[1])
if owner and string.sub(owner, 1, #prefix) == prefix then redis.call('del', KEYS[1]) end
return 1

-- @script inspect repeatable
-- Returns the value of the vote, its lease in ms, and the last number.
return {redis.call('get', KEYS[1]), redis.call('pttl', KEYS[1]), redis.call('get', KEYS[2])}

-- @script force_release
-- Returns the value of the vote, or nothing.
local value = redis.call('get', KEYS[1])
redis.call('del', KEYS[1])
return value
