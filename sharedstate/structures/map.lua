-- Scripts of maps: the two layouts of a map, and what each operation does in both.
--
-- A plain map is one hash, and every operation on it that has a native command is that
-- command:
--
--     data        hash     field -> stored value
--
-- Redis 7.0 has no expiry of fields. The first use of a ttl turns the map, in one step
-- and whatever its size, into a timed one:
--
--     data        string   a marker that says so
--     timed       hash     what was at data: it was renamed, not copied
--     deadlines   zset     field -> deadline, in ms of the store's clock; only of those
--                          entries that have one
--
-- A fourth key belongs to neither layout; it is only there while one is in need of it:
--
--     turn        string   whose turn it is to update an entry: a ticket of 16 characters,
--                          then the field; expires soon. See map_update.py.
--
-- And a fifth, `fence`, which no script here touches: see sharedstate/fencing.lua.
--
-- From that step on the store itself refuses every native command on data with
-- WRONGTYPE, so that a handle that did not know cannot read an expired entry nor write
-- past the deadlines. It then runs the script that bears the command's name, and goes on
-- with scripts until one of them finds the map plain. Every script serves both layouts
-- and says which one it leaves, so that no handle is ever wrong, only one trip late:
-- each returns {1 if timed else 0, result}.
--
-- Invariants:
-- - The map is timed if and only if data is a string. What is then at timed has at least
--   one entry; a script that takes the last one away makes the map plain again, by
--   leaving nothing.
-- - An entry whose deadline is not in the future does not exist for any script. Those
--   that write also remove some of these entries, always more than they add, so that the
--   dead do not pile up. Those that only read leave them: they change nothing at all, may
--   be repeated, and may run on a replica.
-- - If every entry has a deadline, all three keys expire at the latest one, so that a map
--   that is abandoned leaves nothing behind. Otherwise none of them expires.

local data, timed, deadlines = KEYS[1], KEYS[2], KEYS[3]
local is_timed = redis.call('type', data).ok == 'string'
local hash, now = data, 0

-- unpack() is bounded by Lua's stack, at 8,000.
local CHUNK = 2000
-- What a write removes of the dead, beyond as many as it may have added.
local PURGE = 16

local function text(number)
  return string.format('%.0f', number)
end

local function read_layout()
  hash = is_timed and timed or data
  if is_timed then
    local time = redis.call('time')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
  end
end
read_layout()

local function answer(result)
  return {is_timed and 1 or 0, result}
end

local function is_due(field)
  local deadline = is_timed and redis.call('zscore', deadlines, field)
  return deadline and tonumber(deadline) <= now
end

-- The stored value of a field, or false.
local function value_of(field)
  return not is_due(field) and redis.call('hget', hash, field)
end

-- Run a command over many arguments, some at a time.
local function in_chunks(command, key, arguments)
  for first = 1, #arguments, CHUNK do
    redis.call(command, key, unpack(arguments, first, math.min(first + CHUNK - 1, #arguments)))
  end
end

local function remove(field)
  local removed = redis.call('hdel', hash, field)
  if is_timed then redis.call('zrem', deadlines, field) end
  return removed
end

-- The stored values of many fields, in order; false for what is missing or due.
local function values_of(fields)
  local values = {}
  for first = 1, #fields, CHUNK do
    local last = math.min(first + CHUNK - 1, #fields)
    local found = redis.call('hmget', hash, unpack(fields, first, last))
    local scores = is_timed and redis.call('zmscore', deadlines, unpack(fields, first, last))
    for i, value in ipairs(found) do
      local deadline = scores and scores[i]
      values[first + i - 1] = not (deadline and tonumber(deadline) <= now) and value
    end
  end
  return values
end

-- Remove some of the dead before writing so many fields.
local function purge(count)
  if not is_timed then return end
  local most = math.min(count + PURGE, CHUNK)
  local due = redis.call('zrangebyscore', deadlines, '-inf', text(now), 'limit', 0, most)
  if #due == 0 then return end
  redis.call('hdel', timed, unpack(due))
  redis.call('zrem', deadlines, unpack(due))
end

-- Restore the last two invariants after writing.
local function settle()
  if not is_timed then return end
  local count, last = redis.call('hlen', timed), -1
  if count == 0 then
    redis.call('del', data, deadlines)
    is_timed = false
    return
  end
  if redis.call('zcard', deadlines) == count then
    last = tonumber(redis.call('zrange', deadlines, -1, -1, 'withscores')[2])
  end
  if redis.call('pexpiretime', data) == last then return end
  for _, key in ipairs({data, timed, deadlines}) do
    if last < 0 then redis.call('persist', key) else redis.call('pexpireat', key, text(last)) end
  end
end

local function become_timed()
  if is_timed then return end
  -- If a store that evicts took the marker alone, the others are leftovers.
  redis.call('del', timed, deadlines)
  if redis.call('exists', data) == 1 then redis.call('rename', data, timed) end
  redis.call('set', data, 'timed')
  is_timed = true
  read_layout()
end

-- Write fields and values, alternating, with a lifetime in ms; 0 is for ever.
local function write(pairs_of, lifetime)
  if lifetime > 0 then become_timed() end
  in_chunks('hset', hash, pairs_of)
  if not is_timed then return end
  local fields = {}
  for i = 1, #pairs_of, 2 do
    if lifetime > 0 then fields[#fields + 1] = text(now + lifetime) end
    fields[#fields + 1] = pairs_of[i]
  end
  in_chunks(lifetime > 0 and 'zadd' or 'zrem', deadlines, fields)
end

-- Write the value of one field; if the field is alive, its deadline stays.
local function replace(field, value, is_alive)
  if is_timed and not is_alive then redis.call('zrem', deadlines, field) end
  redis.call('hset', hash, field, value)
end

-- @script hget repeatable unfenced
return answer(value_of(ARGV[1]))

-- @script hexists repeatable unfenced
return answer(is_due(ARGV[1]) and 0 or redis.call('hexists', hash, ARGV[1]))

-- @script hlen repeatable unfenced
local due = is_timed and redis.call('zcount', deadlines, '-inf', text(now)) or 0
return answer(redis.call('hlen', hash) - due)

-- @script hmget repeatable unfenced
return answer(values_of(ARGV))

-- @script hscan repeatable unfenced
-- The hash kept its identity when it was renamed, so a cursor outlives the change.
local cursor, found = unpack(redis.call('hscan', hash, unpack(ARGV)))
if not is_timed then return answer({cursor, found}) end
local fields, alive = {}, {}
for i = 1, #found, 2 do fields[#fields + 1] = found[i] end
for first = 1, #fields, CHUNK do
  local last = math.min(first + CHUNK - 1, #fields)
  local scores = redis.call('zmscore', deadlines, unpack(fields, first, last))
  for i = first, last do
    local deadline = scores[i - first + 1]
    if not (deadline and tonumber(deadline) <= now) then
      alive[#alive + 1] = fields[i]
      alive[#alive + 1] = found[2 * i]
    end
  end
end
return answer({cursor, alive})

-- @script hset
purge(#ARGV / 2)
write(ARGV, 0)
settle()
return answer(1)

-- @script hdel
local count = 0
for _, field in ipairs(ARGV) do
  local was_due = is_due(field)
  local removed = remove(field)
  if not was_due then count = count + removed end
end
purge(0)
settle()
return answer(count)

-- @script hincrby
-- The result as text: as a number of Lua it would be exact only up to 2^53.
local field = ARGV[1]
if is_due(field) then remove(field) end
local result = redis.pcall('hincrby', hash, field, ARGV[2])
purge(1)
settle()
if type(result) == 'table' then return result end
return answer(redis.call('hget', hash, field))

-- @script store
-- ARGV: lifetime in ms (0 is for ever), a condition on the first field ('', 'absent' or
-- 'present'), then fields and values. Returns 1, or 0 if the condition does not hold.
local lifetime, condition = tonumber(ARGV[1]), ARGV[2]
if condition ~= '' and (value_of(ARGV[3]) and 'present' or 'absent') ~= condition then
  return answer(0)
end
local entries = {}
for i = 3, #ARGV do entries[i - 2] = ARGV[i] end
purge(#entries / 2)
write(entries, lifetime)
settle()
return answer(1)

-- @script ttl repeatable unfenced
-- Returns the milliseconds left, -1 for an entry without end, -2 for none.
local deadline = is_timed and redis.call('zscore', deadlines, ARGV[1])
if deadline then
  local left = tonumber(deadline) - now
  return answer(left > 0 and left or -2)
end
return answer(redis.call('hexists', hash, ARGV[1]) == 1 and -1 or -2)

-- @script touch
-- ARGV: the field, its lifetime in ms from now. Returns 1, or 0 for no such entry.
if not value_of(ARGV[1]) then return answer(0) end
become_timed()
redis.call('zadd', deadlines, text(now + tonumber(ARGV[2])), ARGV[1])
purge(0)
settle()
return answer(1)

-- @script persist
-- Returns 1 if the entry had a deadline and now has none, else 0.
if not is_timed or is_due(ARGV[1]) then return answer(0) end
local removed = redis.call('zrem', deadlines, ARGV[1])
settle()
return answer(removed)

-- @script pop
local value = value_of(ARGV[1])
remove(ARGV[1])
purge(0)
settle()
return answer(value)

-- @script popitem
-- Any entry: one that has a deadline if there is one, else a random one. The dead that
-- are met on the way are removed.
purge(0)
local field, value = false, false
if is_timed then
  field = redis.call('zrangebyscore', deadlines, '(' .. text(now), '+inf', 'limit', 0, 1)[1]
end
field = field or redis.call('hrandfield', hash)
while field and not value do
  value = value_of(field)
  remove(field)
  if not value then field = redis.call('hrandfield', hash) end
end
settle()
return answer(field and {field, value})

-- @script setdefault
-- ARGV: the field, the value to write if there is none. Returns the value that was there.
local value = value_of(ARGV[1])
if value then return answer(value) end
purge(1)
write({ARGV[1], ARGV[2]}, 0)
settle()
return answer(false)

-- @script compare_and_set
-- ARGV: the field; '1' and the value expected, or '0' and '' for none; '1' and the new
-- value, or '0' and '' to remove the entry. Returns {1}, or {0, the value found}. With a
-- fourth key and a ticket, returns {2} while it is the turn of another ticket.
local field, ticket = ARGV[1], ARGV[6]
local turn = KEYS[4] and redis.call('get', KEYS[4])
if turn and turn:sub(17) == field and turn:sub(1, 16) ~= ticket then return answer({2}) end
local found = value_of(field)
local expected = ARGV[2] == '1' and ARGV[3]
if found ~= expected then return answer({0, found}) end
if turn and turn:sub(1, 16) == ticket then redis.call('del', KEYS[4]) end
if ARGV[4] == '1' then replace(field, ARGV[5], found) else remove(field) end
purge(1)
settle()
return answer({1})

-- @script take_turn
-- ARGV: the field, a ticket of 16 characters, for how many ms. Returns 1, or 0 if
-- somebody has the turn already.
return answer(redis.call('set', KEYS[4], ARGV[2] .. ARGV[1], 'nx', 'px', ARGV[3]) and 1 or 0)

-- @script increment_many
-- ARGV: fields and amounts, alternating. All or none: returns false, or {the position of
-- the field that cannot be added to, why}. Sums of short numbers are exact as doubles and
-- written together; the others are written before, one by one, by HINCRBY, and taken back
-- if one fails.
local SHORT = 15
local fields, amounts, sums, large = {}, {}, {}, {}
for i = 1, #ARGV, 2 do
  fields[#fields + 1], amounts[#amounts + 1] = ARGV[i], ARGV[i + 1]
end
local values = values_of(fields)
for i, amount in ipairs(amounts) do
  local before = values[i] or '0'
  if #before <= SHORT and #amount <= SHORT and before:match('^-?%d+$') then
    sums[#sums + 1] = fields[i]
    sums[#sums + 1] = text(tonumber(before) + tonumber(amount))
  else
    large[#large + 1] = i
  end
end
if is_timed then
  for i, field in ipairs(fields) do
    if not values[i] then remove(field) end
  end
end
for done, i in ipairs(large) do
  local result = redis.pcall('hincrby', hash, fields[i], amounts[i])
  if type(result) == 'table' then
    for undo = 1, done - 1 do
      local field, before = fields[large[undo]], values[large[undo]]
      if before then redis.call('hset', hash, field, before) else redis.call('hdel', hash, field) end
    end
    settle()
    return answer({i, result.err})
  end
end
in_chunks('hset', hash, sums)
purge(#fields)
settle()
return answer(false)

-- Scripts of transactions, whose reads and writes are apart: transaction_views/ explains
-- them. Who reads gives the moment by which entries are dead, '' for now, and is told it.

-- @script look repeatable unfenced
-- ARGV: the moment, then fields. Returns {the moment, values, deadlines}, in their order.
if ARGV[1] ~= '' then now = tonumber(ARGV[1]) end
local fields, ends = {}, {}
for i = 2, #ARGV do fields[i - 1] = ARGV[i] end
local values = values_of(fields)
for first = 1, is_timed and #fields or 0, CHUNK do
  local last = math.min(first + CHUNK - 1, #fields)
  local scores = redis.call('zmscore', deadlines, unpack(fields, first, last))
  for i = first, last do ends[i] = scores[i - first + 1] end
end
return answer({text(now), values, ends})

-- @script measure repeatable unfenced
-- ARGV: the moment. Returns {the moment, how many entries, the first deadline after it}.
if ARGV[1] ~= '' then now = tonumber(ARGV[1]) end
local count, first = redis.call('hlen', hash), false
if is_timed then
  count = count - redis.call('zcount', deadlines, '-inf', text(now))
  first = redis.call('zrangebyscore', deadlines, '(' .. text(now), '+inf', 'withscores', 'limit', 0, 1)[2]
end
return answer({text(now), count, first or false})

-- @script apply
-- ARGV: '1' to remove all entries first, or '0'; then, for each entry that changes, four
-- words: the field; what becomes of its value: 'set' to the third word, 'keep' or 'del';
-- that word; its end: '' for ever, 'in' and ms from now, or 'at' and a deadline.
if ARGV[1] == '1' then
  redis.call('unlink', data, timed, deadlines)
  is_timed, hash = false, data
end
for i = 2, #ARGV, 4 do
  local field, change, value, ending = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  if change == 'del' then
    remove(field)
  else
    if ending ~= '' then become_timed() end
    if change == 'set' then redis.call('hset', hash, field, value) end
    if ending ~= '' then
      local ms = tonumber(ending:sub(3))
      redis.call('zadd', deadlines, text(ending:sub(1, 2) == 'in' and now + ms or ms), field)
    elseif is_timed then
      redis.call('zrem', deadlines, field)
    end
  end
end
purge((#ARGV - 1) / 4)
settle()
return answer(1)
