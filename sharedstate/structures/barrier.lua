-- Scripts of barriers.
--
-- state     a hash:
--             parties     how many pass together; everybody has to agree
--             generation  the number of the present round. Rises with each, also over a loss
--                         of the keys, for it is the clock's microseconds or more
--             broken      why the barrier is broken; there while it is
--             acting      the party that runs the action: all have come, and wait for it
--             gaps        there if a party has gone away again, so that indexes are missing
--             before      the number of the last round that was released
-- members   a hash: the id of each party that has come in this round -> its index
-- present   a sorted set: id -> the ms until which it counts as alive: the end of its lease
-- former    the members of the round `before`, for one whose answer was lost
-- released  a sorted set: the numbers of the latest rounds that were released
--
-- A round ends once: it is released, or broken. Invariant: a round that is not the present
-- one was released if `released` has it, and broken if not. It holds the last hundred, so
-- that a party which slept through more of them is told, wrongly but safely, of a break.
--
-- The message of each end is "generation outcome reason".
--
-- KEYS are always: state, members, present, former, released. ARGV[1] is the channel.

local state, members, present, former, released = unpack(KEYS)
local channel = ARGV[1]
local KEPT_ROUNDS = 100

local function now_us()
  local now = redis.call('time')
  return tonumber(now[1]) * 1000000 + tonumber(now[2])
end

local function generation()
  return redis.call('hget', state, 'generation')
end

local function begin_round()
  local last = tonumber(generation() or 0)
  local number = string.format('%.0f', math.max(last + 1, now_us()))
  redis.call('hset', state, 'generation', number)
  redis.call('hdel', state, 'acting', 'gaps')
  redis.call('del', members, present)
end

local function release()
  local round = generation()
  redis.call('zadd', released, round, round)
  redis.call('zremrangebyrank', released, 0, -KEPT_ROUNDS - 1)
  redis.call('hset', state, 'before', round)
  redis.call('del', former)
  if redis.call('exists', members) == 1 then redis.call('rename', members, former) end
  begin_round()
  redis.call('publish', channel, round .. ' released')
end

local function break_round(reason)
  if redis.call('hexists', state, 'broken') == 1 then return end
  if not generation() then begin_round() end
  redis.call('hset', state, 'broken', reason)
  redis.call('hdel', state, 'acting', 'gaps')
  redis.call('del', members, present, former)
  redis.call('publish', channel, generation() .. ' broken ' .. reason)
end

-- Breaks the round if the lease of a party has run out.
local function bury(now_ms)
  if #redis.call('zrangebyscore', present, '-inf', now_ms, 'limit', 0, 1) > 0 then
    break_round('a party died while it waited: it showed no sign of life for its lease time')
  end
end

-- The ms until somebody's lease may run out, or ours has to be renewed.
local function next_look(now_ms, lease)
  local at = now_ms + lease / 3
  local first = redis.call('zrange', present, 0, 0, 'withscores')[2]
  if first then at = math.min(at, tonumber(first)) end
  return math.max(1, math.ceil(at - now_ms) + 1)
end

local function free_index()
  if redis.call('hexists', state, 'gaps') == 0 then return redis.call('hlen', members) end
  local taken, index = {}, 0
  for _, each in ipairs(redis.call('hvals', members)) do taken[each] = true end
  while taken[tostring(index)] do index = index + 1 end
  return index
end

-- How a round went that is not the present one, or that is broken.
local function outcome(round)
  if redis.call('zscore', released, round) then return {'released', ''} end
  local reason
  if round == generation() then reason = redis.call('hget', state, 'broken') end
  return {'broken', reason or 'it was reset, or its keys were lost'}
end

-- A party comes in, unless the present round is full.
local function come(id, now_ms, parties, lease, acts)
  local set = redis.call('hget', state, 'parties')
  if set and set ~= parties then return {'other', set} end
  local passed = redis.call('hget', former, id)
  if passed then
    return {'released', '', tonumber(passed), redis.call('hget', state, 'before')}
  end
  if redis.call('hexists', state, 'acting') == 1 then
    return {'full', '', 0, '', next_look(now_ms, lease)}
  end
  if not generation() then begin_round() end
  redis.call('hset', state, 'parties', parties)
  local round, index = generation(), free_index()
  redis.call('hset', members, id, index)
  redis.call('zadd', present, now_ms + lease, id)
  if redis.call('hlen', members) < tonumber(parties) then
    return {'waiting', '', index, round, next_look(now_ms, lease)}
  end
  if acts ~= '1' then
    release()
    return {'released', '', index, round}
  end
  redis.call('hset', state, 'acting', id)
  return {'acts', '', index, round, next_look(now_ms, lease)}
end

-- @script attend repeatable
-- ARGV[2..]: id, the round it came in or '', parties, lease in ms, 1 if it has an action.
-- Comes in, or looks how it stands and renews the lease; the same call twice is as good as
-- once. Returns {outcome, reason, index, round, ms until the next look}.
local _, id, round, parties, lease, acts = unpack(ARGV)
lease = tonumber(lease)
local now_ms = math.floor(now_us() / 1000)
if round ~= '' and round ~= generation() then return outcome(round) end
bury(now_ms)
local broken = redis.call('hget', state, 'broken')
if broken then return {'broken', broken} end
local index = redis.call('hget', members, id)
if not index then
  if round ~= '' then return {'broken', 'the party is not in it any more'} end
  return come(id, now_ms, parties, lease, acts)
end
redis.call('zadd', present, now_ms + lease, id)
local acting = redis.call('hget', state, 'acting') == id
local now = acting and 'acts' or 'waiting'
return {now, '', tonumber(index), generation(), next_look(now_ms, lease)}

-- @script finish repeatable
-- ARGV[2..]: id, round. After the action: lets everybody through. Returns {outcome, reason}.
if ARGV[3] == generation() and redis.call('hget', state, 'acting') == ARGV[2] then
  release()
end
return outcome(ARGV[3])

-- @script give_up repeatable
-- ARGV[2..]: round, or '' for one that found no place; reason. The time of a party is over:
-- breaks the barrier, unless its round has ended. Returns {outcome, reason}.
if ARGV[2] ~= '' and ARGV[2] ~= generation() then return outcome(ARGV[2]) end
break_round(ARGV[3])
return outcome(generation())

-- @script leave repeatable
-- ARGV[2]: id. A party goes away for another reason than the barrier, and makes room. Once
-- all have come it is not missed; but nobody else can finish what it was to run.
if redis.call('hget', state, 'acting') == ARGV[2] then
  break_round('the party that was to run the action has gone away')
end
redis.call('zrem', present, ARGV[2])
if redis.call('hexists', state, 'acting') == 1 then return 0 end
if redis.call('hdel', members, ARGV[2]) == 0 then return 0 end
redis.call('hset', state, 'gaps', '1')
return 1

-- @script abort repeatable
-- ARGV[2]: reason.
break_round(ARGV[2])
return 1

-- @script reset
-- ARGV[2]: the parties of the new round. Who waits learns that the round was broken.
local round = generation()
local waiting = redis.call('hlen', members) > 0
if round then begin_round() end
redis.call('hset', state, 'parties', ARGV[2])
redis.call('hdel', state, 'broken')
redis.call('del', former)
if waiting then redis.call('publish', channel, round .. ' broken it was reset') end
return 1

-- The next two are left with the store by a process that has a session there. ARGV[2..]: the
-- tag with which the ids of its parties begin, their lease in ms.

-- @script part
-- The process is gone. A barrier that it was needed for is broken.
for _, id in ipairs(redis.call('hkeys', members)) do
  if id:sub(1, #ARGV[2]) == ARGV[2] and redis.call('zscore', present, id) then
    break_round('a party died while it waited: the session of its process has ended')
    return 1
  end
end
return 0

-- @script keep
-- The process is there, even if it cannot run Python.
local lease_end = math.floor(now_us() / 1000) + tonumber(ARGV[3])
for _, id in ipairs(redis.call('zrange', present, 0, -1)) do
  if id:sub(1, #ARGV[2]) == ARGV[2] then redis.call('zadd', present, lease_end, id) end
end
return 1
