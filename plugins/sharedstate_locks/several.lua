-- Scripts of a lock of several names, all or none: after sharedstate/line.lua,
-- deadlocks.lua and owner.lua.
--
-- Each name has the keys of a plain lock, and what is said there holds for each. So who
-- wants `a` alone and who wants `a` and `b` exclude each other, and wait in one line.
--
-- KEYS of every script: owner, fencing, line and waiters of the first name, then of the
-- second, … The names stand in the order that is the same for everybody. `waits` comes last
-- where deadlocks are looked for.
--
-- Who is refused stands in one line only: that of the first name that another one has.
-- There its lease is 0, which means that it is called and never handed the lock, for it
-- holds nothing while it waits. When it is called and finds another of its names taken, it
-- goes over to the line of that one, and calls the next where it stood. When another one was
-- quicker at the same name, it stays. The entry counts how often it was called in vain, in
-- either way: {"vain":3,"until":0,"host":…
--
-- Such a one could be unlucky for ever. So after PATIENCE such calls it takes what is free in
-- front of the first taken name, holds it, and lets itself be handed the rest, name by name.
-- Nobody who holds something so waits for a name in front of it: there is no circle among
-- them. There can be one with those who hold a plain lock, and wait for another in any
-- order. So it holds nothing beyond `until`, one lease time (in ms), and then begins anew.

local PATIENCE = 8

local NAMES = {}
for at = 1, #KEYS - 3, 4 do
  NAMES[#NAMES + 1] = {KEYS[at], KEYS[at + 1], KEYS[at + 2], KEYS[at + 3]}
end

local function is_ours(keys, nonce)
  return belongs_to(redis.call('get', keys[1]), nonce)
end

-- A name may have become free, or somebody who was called there does not take it.
local function pass_on(keys)
  if redis.call('exists', keys[1]) == 0 and redis.call('exists', keys[3]) == 1 then
    call_next(keys)
  end
end

-- Neither waits for a name nor holds it.
local function give_up(keys, nonce)
  local left = leave(keys[3], keys[4], nonce)
  local ours = is_ours(keys, nonce)
  if ours then redis.call('del', keys[1]) end
  if left or ours then pass_on(keys) end
end

-- Takes a name that is free, or ours. Its number.
local function take(keys, nonce, value, lease)
  leave(keys[3], keys[4], nonce)
  local known = is_ours(keys, nonce) and redis.call('get', keys[2])
  redis.call('set', keys[1], value, 'px', lease)
  return tonumber(known or next_number(keys))
end

-- How often it was called in vain, and up to when it may hold what it has.
local function history_of(entry)
  local vain, until_ms = string.match(entry, '{"vain":(%d+),"until":(%d+),')
  return tonumber(vain or 0), tonumber(until_ms or 0)
end

local function now_ms()
  local time = redis.call('time')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- @script acquire repeatable
-- ARGV: nonce, description, lease in ms, channel to be called on or '', id of the thread
-- that means to wait for ever or '', 'behind' from who lets those go first that wait for a
-- free name. Returns a number for each name; if refused, minus the ms to wait.
local nonce, lease, channel, thread = ARGV[1], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local value = nonce .. ARGV[2]

local function is_taken(keys)
  if redis.call('exists', keys[1]) == 1 then return not is_ours(keys, nonce) end
  if ARGV[6] ~= 'behind' then return false end
  drop_dead_heads(keys[3], keys[4])
  return redis.call('exists', keys[3]) == 1
end

local taken
for at, keys in ipairs(NAMES) do
  if is_taken(keys) then
    taken = at
    break
  end
end

if not taken then
  local numbers = {}
  for at, keys in ipairs(NAMES) do numbers[at] = take(keys, nonce, value, lease) end
  stop_waiting(thread)
  return numbers
end

local there = NAMES[taken]
if channel == '' then
  for _, keys in ipairs(NAMES) do give_up(keys, nonce) end
  return -patience(redis.call('pttl', there[1]), 0)
end

local vain, until_ms, called = 0, 0, '0'
for at, keys in ipairs(NAMES) do
  local entry = redis.call('hget', keys[4], nonce)
  if entry then
    vain, until_ms = history_of(entry)
    if at == taken then called = string.match(entry, '^%S+ (%d)') end
    if at ~= taken or called == '1' then vain = vain + 1 end
  end
end
local holds = #NAMES > 1 and vain >= PATIENCE
-- Each call counts once. Who is to be handed the lock is so at the next one.
if #NAMES > 1 and not holds then called = '0' end

-- Stands in the line, and there alone; with what is free in front of it, or with nothing.
local function stand(holds)
  for at, keys in ipairs(NAMES) do
    if holds and at < taken then
      take(keys, nonce, value, lease)
    elseif at ~= taken then
      give_up(keys, nonce)
    end
  end
  local history = '{"vain":' .. vain .. ',"until":' .. string.format('%d', until_ms)
  local wanted = (holds or #NAMES == 1) and lease or 0
  local entry = channel .. ' ' .. called .. ' ' .. wanted .. ' ' .. history .. ','
  return join(there[3], there[4], nonce, entry .. string.sub(ARGV[2], 2))
end

if holds and until_ms == 0 then
  until_ms = now_ms() + lease
elseif holds and now_ms() >= until_ms then
  vain, until_ms, holds, called = 0, 0, false, '0'
end
local before = stand(holds)
local cycle = thread ~= '' and find_cycle(thread, nonce, there)
if cycle and holds then
  -- It may come from what is held while waiting.
  vain, until_ms, holds, called = 0, 0, false, '0'
  before = stand(holds)
  cycle = find_cycle(thread, nonce, there)
end
if cycle then
  leave(there[3], there[4], nonce)
  stop_waiting(thread)
  return redis.error_reply('DEADLOCK ' .. cjson.encode(cycle))
end
local left = patience(redis.call('pttl', there[1]), before)
if holds then left = math.min(left, math.ceil(lease / 3)) end
return -left

-- @script leave
-- ARGV: nonce. For who gives up: nothing of it stays behind.
for _, keys in ipairs(NAMES) do give_up(keys, ARGV[1]) end
return 1

-- @script release
-- ARGV: value. Frees all that the owner has; returns 0 holds left, or nothing if another
-- one has any of the names.
local had_all = true
for _, keys in ipairs(NAMES) do
  if redis.call('get', keys[1]) == ARGV[1] then
    redis.call('del', keys[1])
    pass_on(keys)
  else
    had_all = false
  end
end
return had_all and 0

-- @script renew repeatable
-- ARGV: value, lease in ms. Returns 1, or 0 if the owner has lost any of the names.
for _, keys in ipairs(NAMES) do
  if redis.call('get', keys[1]) ~= ARGV[1] then return 0 end
end
for _, keys in ipairs(NAMES) do redis.call('pexpire', keys[1], ARGV[2]) end
return 1

-- @script keep repeatable
-- ARGV: tag, lease in ms. For a session that is alive: its leases do not end.
for _, keys in ipairs(NAMES) do
  if is_of_session(redis.call('get', keys[1]), ARGV[1] .. 'k')
      and redis.call('pttl', keys[1]) < tonumber(ARGV[2]) then
    redis.call('pexpire', keys[1], ARGV[2])
  end
end
return 1

-- @script ended
-- ARGV: tag, lease in ms, 1 if KEYS has `waits`. For a session that has ended: it neither
-- holds nor waits.
if ARGV[3] == '1' then forget_waits(ARGV[1]) end
for _, keys in ipairs(NAMES) do
  leave_all(keys[3], keys[4], ARGV[1])
  if is_of_session(redis.call('get', keys[1]), ARGV[1]) then redis.call('del', keys[1]) end
  pass_on(keys)
end
return 1

-- @script inspect repeatable
-- Returns for each name: the owner's value, its lease in ms, the last number, how many wait,
-- and those who wait, in their order.
local shown = {}
for at, keys in ipairs(NAMES) do
  shown[at] = {
    redis.call('get', keys[1]),
    redis.call('pttl', keys[1]),
    redis.call('get', keys[2]),
    redis.call('llen', keys[3]),
    show_line(keys[3], keys[4]),
  }
end
return shown

-- @script force_release
-- Returns how many of the names somebody held.
local held = 0
for _, keys in ipairs(NAMES) do
  if redis.call('del', keys[1]) == 1 then
    held = held + 1
    pass_on(keys)
  end
end
return held
