-- Scripts of counters.
--
-- value   a string: the counter in decimal text. Missing is zero.
-- fence   which no script here touches: see sharedstate/fencing.lua.
--
-- Whole counters hold 64 bits, but a number of Lua is a double and exact only up to
-- 2^53. So the arithmetic is INCRBY's, and bounds are compared as decimal text. Only a
-- sum of two short numbers is worked out here, before it is written; a longer one is
-- written first, looked at, and taken back. Nobody sees that: a script is one step.
-- Whole numbers are returned as text for the same reason.

-- Up to so many characters a number, and the sum of two, is exact as a double.
local SHORT = 15

-- Whether the decimal text a is less than b: signs, then lengths, then digits.
local function is_less(a, b)
  local a_negative, b_negative = a:sub(1, 1) == '-', b:sub(1, 1) == '-'
  if a_negative ~= b_negative then return a_negative end
  if a_negative then a, b = b, a end
  if #a ~= #b then return #a < #b end
  return a < b
end

-- @script add_within
-- ARGV: the amount, the minimum, the maximum; an empty bound is none.
-- Returns the new value, or false, and nothing changed, if it would leave the bounds.
local amount, minimum, maximum = ARGV[1], ARGV[2], ARGV[3]

local function is_within(value)
  return (minimum == '' or not is_less(value, minimum))
    and (maximum == '' or not is_less(maximum, value))
end

local before = redis.call('get', KEYS[1])
local start = before or '0'
if #start <= SHORT and #amount <= SHORT and start:match('^-?%d+$') then
  local after = string.format('%.0f', tonumber(start) + tonumber(amount))
  if not is_within(after) then return false end
  redis.call('incrby', KEYS[1], amount)
  return after
end

local result = redis.pcall('incrby', KEYS[1], amount)
if type(result) == 'table' then
  -- Beyond 64 bits is beyond any bound on that side.
  local bound = amount:sub(1, 1) == '-' and minimum or maximum
  if bound ~= '' and result.err:find('overflow', 1, true) then return false end
  return result
end
local after = redis.call('get', KEYS[1])
if is_within(after) then return after end
if before then
  redis.call('set', KEYS[1], before, 'keepttl')
else
  redis.call('del', KEYS[1])
end
return false

-- @script compare_and_set
-- ARGV: the value expected, the new value. Returns 1 if it was set, else 0.
if (redis.call('get', KEYS[1]) or '0') ~= ARGV[1] then return 0 end
redis.call('set', KEYS[1], ARGV[2], 'keepttl')
return 1

-- @script add_float_within
-- As add_within, for doubles: both bounds and values are doubles in every language.
local before = redis.call('get', KEYS[1])
local after = redis.call('incrbyfloat', KEYS[1], ARGV[1])
local value, minimum, maximum = tonumber(after), tonumber(ARGV[2]), tonumber(ARGV[3])
if (not minimum or value >= minimum) and (not maximum or value <= maximum) then
  return after
end
if before then
  redis.call('set', KEYS[1], before, 'keepttl')
else
  redis.call('del', KEYS[1])
end
return false

-- @script compare_and_set_float
if tonumber(redis.call('get', KEYS[1]) or '0') ~= tonumber(ARGV[1]) then return 0 end
redis.call('set', KEYS[1], ARGV[2], 'keepttl')
return 1
