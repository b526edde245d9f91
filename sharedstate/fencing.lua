-- Writes that carry fencing tokens; `fencing.py` says what for.
--
-- fence   a hash: the key prefix of a lock -> the highest token of that lock that this
--         structure has seen, in decimal text. It never expires, and clearing the
--         structure leaves it.
--
-- `check` is no script: it is put in front of one, and takes from the end of KEYS and
-- ARGV what is not that one's own. Then the script sees what it would see without.

-- @script check
-- KEYS, at the end: fence. ARGV, at the end: prefixes and tokens, alternating, and how
-- many pairs there are. Returns an error with the place of the pair that is refused and
-- the highest token in its place; none of the tokens is then recorded.
do
  local fence, count = table.remove(KEYS), tonumber(table.remove(ARGV))
  local first, news = #ARGV - 2 * count, {}
  for i = 1, count do
    local prefix, token = ARGV[first + 2 * i - 1], ARGV[first + 2 * i]
    local highest = redis.call('hget', fence, prefix)
    if highest ~= token then
      -- As decimal text: a number of Lua is exact only up to 2^53.
      if highest and (#token < #highest or (#token == #highest and token < highest)) then
        return redis.error_reply('STALETOKEN ' .. i .. ' ' .. highest)
      end
      news[#news + 1] = prefix
      news[#news + 1] = token
    end
  end
  if #news > 0 then
    -- A store that is full says so here, with the code that it has for it.
    local done = redis.pcall('hset', fence, unpack(news))
    if type(done) == 'table' then return done end
  end
  for _ = 1, 2 * count do table.remove(ARGV) end
end

-- @script announce
return 1

-- @script commands
-- ARGV: for each command, how many words it has, and the words. All of them are executed.
-- Returns their replies, or the first error, as the store would have given them. A sum
-- that is beyond the whole numbers of Lua is returned as text.
local EXACT = 2 ^ 53

-- Where the result of a command that adds to a whole number can be read as text.
local function exact(name, key, field)
  if name:upper() == 'HINCRBY' then return redis.call('hget', key, field) end
  return redis.call('get', key)
end

local replies, failure, at = {}, nil, 1
while at <= #ARGV do
  local last = at + tonumber(ARGV[at])
  local reply = redis.pcall(unpack(ARGV, at + 1, last))
  if type(reply) == 'number' and (reply >= EXACT or reply <= -EXACT) then
    reply = exact(ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
  end
  if type(reply) == 'table' and reply.err then failure = failure or reply end
  replies[#replies + 1] = reply
  at = last + 1
end
return failure or replies
