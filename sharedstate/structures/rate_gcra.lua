-- Scripts of the strategy "gcra".
--
-- gcra        a string: "whole part at". The sum of the first two is the theoretical arrival
--             time in µs: when all that was granted would have come, one each interval. Two
--             numbers, for one double would round intervals to a quarter of a µs. `at` is
--             the time of the last change.
-- gcra_holes  a sorted set of places that were given back while later ones were taken: the
--             end of each as "whole part", by its µs. Taken by those who ask for one grant.
--
-- A grant of n is a stretch of n intervals on a line of time. It is due when the end of the
-- stretch is no further ahead than `burst` intervals. Both keys expire when the line has
-- fallen behind the clock: a limiter that is idle is like a new one.
--
-- When the clock was set back, the line goes back with it, as of the last change.
--
-- KEYS: gcra, gcra_holes. The last two of ARGV: the interval in µs, the burst.

local line, holes = KEYS[1], KEYS[2]
local interval, burst = tonumber(ARGV[#ARGV - 1]), tonumber(ARGV[#ARGV])
local n = tonumber(ARGV[1])
local allowance = burst * interval
-- Sums of intervals are rounded; a wait shorter than this is none.
local TINY = 0.001

local clock = redis.call('time')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])

local function numbers(text)
  local whole, part, at = string.match(text, '^(%S+) (%S+) ?(%S*)$')
  return tonumber(whole), tonumber(part), tonumber(at)
end

-- How far the end of the line is ahead of the clock, and whether that was set back.
local function read()
  local text = redis.call('get', line)
  if not text then return 0, false end
  local whole, part, at = numbers(text)
  local is_set_back = now < at
  return math.max(0, whole - (is_set_back and at or now) + part), is_set_back
end

-- A moment that is so far ahead, as text.
local function moment(ahead)
  local whole = math.floor(ahead)
  return string.format('%.0f %.17g', now + whole, ahead - whole)
end

local function write(ahead)
  if ahead <= 0 then return redis.call('del', line, holes) end
  -- One more, since deadlines count from the millisecond that has begun.
  local ms = math.ceil(ahead / 1000) + 1
  redis.call('set', line, moment(ahead) .. string.format(' %.0f', now), 'px', ms)
  redis.call('pexpire', holes, ms)
end

-- The first hole that is still to come: its text, and how far ahead it ends.
local function first_hole()
  local from = string.format('%.0f', now + allowance)
  local text = redis.call('zrangebyscore', holes, from, '+inf', 'limit', 0, 1)[1]
  if not text then return end
  local whole, part = numbers(text)
  return text, whole - now + part
end

local function wait_of(finish)
  local wait = finish - allowance
  return wait < TINY and 0 or math.ceil(wait)
end

-- @script reserve
local longest = tonumber(ARGV[2])
local ahead, is_set_back = read()
if is_set_back then
  redis.call('del', holes)
  write(ahead)
end
local finish, hole = ahead + n * interval, nil
if n == 1 and wait_of(finish) > 0 then
  local text, its_finish = first_hole()
  if text and its_finish < finish then finish, hole = its_finish, text end
end
local wait = wait_of(finish)
if longest >= 0 and wait > longest then return {0, string.format('%.0f', wait), ''} end
if hole then
  redis.call('zrem', holes, hole)
else
  write(finish)
end
return {1, string.format('%.0f', wait), hole or moment(finish)}

-- @script give_back
local ahead, is_set_back = read()
if is_set_back or ahead == 0 then return 0 end
local whole, part = numbers(ARGV[2])
local function ends_the_line(finish)
  return math.abs(finish - ahead) < interval / 2
end
for unit = 0, n - 1 do
  local finish = whole - now + part - unit * interval
  if ends_the_line(finish) then
    ahead = ahead - interval
    -- Whoever stood before it may have gone already.
    while true do
      local text = redis.call('zrange', holes, -1, -1)[1]
      if not text then break end
      local its_whole, its_part = numbers(text)
      if not ends_the_line(its_whole - now + its_part) then break end
      redis.call('zrem', holes, text)
      ahead = ahead - interval
    end
  elseif finish > allowance and finish < ahead then
    redis.call('zadd', holes, now + finish, moment(finish))
  end
end
write(ahead)
return 1

-- @script look repeatable
local ahead = read()
local finish = ahead + n * interval
if n == 1 and wait_of(finish) > 0 then
  local text, its_finish = first_hole()
  if text then finish = math.min(finish, its_finish) end
end
local free = math.floor((allowance - ahead + TINY) / interval)
return {string.format('%.0f', wait_of(finish)), math.max(0, math.min(burst, free))}
