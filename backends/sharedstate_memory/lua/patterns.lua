-- Patterns of Lua, matched in Lua: slowly, but so that a script that tries for ever to match
-- one can be interrupted. Lua's own matcher is code of C's, which nothing interrupts, and
-- for which `('a?'):rep(30) .. ('a'):rep(30)` is work for hours.
--
-- Receives what the files of the sandbox share. Returns `find`, `match`, `gmatch` and
-- `gsub`, which take what Lua's take, checked.
--
-- A pattern is taken apart once. Each of its parts is a function of a place in the text and
-- of the parts that come next; it returns where the match ends, or nil.

local guard = ...

local byte, char, sub = string.byte, string.char, string.sub
local find, gsub = guard.plain_strings.find, guard.plain_strings.gsub
local floor, huge, max = math.floor, math.huge, math.max
local concat, unpack = table.concat, unpack
local error, tonumber, tostring, type = error, tonumber, tostring, type

local MOST_CAPTURES = 32
local UNFINISHED, POSITION = -1, -2

-- So many steps take Lua's own functions about a second.
local MOST_STEPS = 1e9

-- An error of the pattern's. It is reported where the script called.
local function fail(message) error(guard.where() .. message, 0) end

-- The bytes that a single item, such as `%a` or `[^,]`, stands for.
local function bytes_of(item)
  local set = {}
  if item == '.' then
    for code = 0, 255 do set[code] = true end
    return set
  end
  for code = 0, 255 do
    -- A zero byte would end the text of a pattern, but not a text that is matched.
    if find(char(code), '^' .. item) then set[code] = true end
  end
  return set
end

-- Where the item that begins somewhere ends; or nil, and what is wrong with it.
local function item_end(pattern, at)
  local first = sub(pattern, at, at)
  if first == '%' then
    if at == #pattern then return nil, "malformed pattern (ends with '%')" end
    return at + 2
  end
  if first ~= '[' then return at + 1 end
  at = at + 1
  if sub(pattern, at, at) == '^' then at = at + 1 end
  repeat
    if at > #pattern then return nil, "malformed pattern (missing ']')" end
    if sub(pattern, at, at) == '%' and at < #pattern then at = at + 1 end
    at = at + 1
  until sub(pattern, at, at) == ']'
  return at + 1
end

-- A matcher of one text with one pattern: a function of a place, which returns where the
-- match that begins there ends, and one that returns a capture.
local function new_matcher(text, pattern)
  local length = #text
  local starts, lengths, level = {}, {}, 0
  local part_at

  local function part_of_set(set, quantifier, rest)
    if quantifier == '?' then
      return function(at)
        if set[byte(text, at)] then
          local stop = rest(at + 1)
          if stop then return stop end
        end
        return rest(at)
      end
    elseif quantifier == '-' then
      return function(at)
        while true do
          local stop = rest(at)
          if stop then return stop end
          if not set[byte(text, at)] then return nil end
          at = at + 1
        end
      end
    elseif quantifier == '' then
      return function(at)
        if set[byte(text, at)] then return rest(at + 1) end
      end
    end
    local least = quantifier == '+' and 1 or 0
    return function(at)
      local last = at
      while set[byte(text, last)] do last = last + 1 end
      for stop = last, at + least, -1 do
        local found = rest(stop)
        if found then return found end
      end
    end
  end

  local function part_that_opens(kind, rest)
    return function(at)
      if level >= MOST_CAPTURES then fail('too many captures') end
      level = level + 1
      starts[level], lengths[level] = at, kind
      local stop = rest(at)
      if not stop then level = level - 1 end
      return stop
    end
  end

  local function part_that_closes(rest)
    return function(at)
      local open = level
      while open > 0 and lengths[open] ~= UNFINISHED do open = open - 1 end
      if open == 0 then fail('invalid pattern capture') end
      lengths[open] = at - starts[open]
      local stop = rest(at)
      if not stop then lengths[open] = UNFINISHED end
      return stop
    end
  end

  local function part_that_repeats(index, rest)
    return function(at)
      local size = lengths[index]
      if index < 1 or index > level or size == UNFINISHED then
        fail('invalid capture index')
      end
      if size < 0 then return nil end
      local captured = sub(text, starts[index], starts[index] + size - 1)
      if sub(text, at, at + size - 1) == captured then return rest(at + size) end
    end
  end

  local function part_that_balances(open, close, rest)
    return function(at)
      if byte(text, at) ~= open then return nil end
      local depth = 1
      for stop = at + 1, length do
        local code = byte(text, stop)
        if code == close then
          depth = depth - 1
          if depth == 0 then return rest(stop + 1) end
        elseif code == open then
          depth = depth + 1
        end
      end
    end
  end

  local function part_at_frontier(set, rest)
    return function(at)
      local before = at > 1 and byte(text, at - 1) or 0
      if not set[before] and set[byte(text, at) or 0] then return rest(at) end
    end
  end

  local function broken(message)
    return function() fail(message) end
  end

  local function part_of_escape(at)
    local letter = sub(pattern, at + 1, at + 1)
    if letter == 'b' then
      if at + 3 > #pattern then return broken('unbalanced pattern') end
      return part_that_balances(byte(pattern, at + 2), byte(pattern, at + 3), part_at(at + 4))
    elseif letter == 'f' then
      if sub(pattern, at + 2, at + 2) ~= '[' then
        return broken("missing '[' after '%f' in pattern")
      end
      local stop, why = item_end(pattern, at + 2)
      if not stop then return broken(why) end
      return part_at_frontier(bytes_of(sub(pattern, at + 2, stop - 1)), part_at(stop))
    elseif find(letter, '%d') then
      return part_that_repeats(tonumber(letter), part_at(at + 2))
    end
  end

  -- The part that begins somewhere in the pattern.
  function part_at(at)
    local first = sub(pattern, at, at)
    if first == '' then return function(place) return place end end
    if first == '(' then
      if sub(pattern, at + 1, at + 1) == ')' then
        return part_that_opens(POSITION, part_at(at + 2))
      end
      return part_that_opens(UNFINISHED, part_at(at + 1))
    end
    if first == ')' then return part_that_closes(part_at(at + 1)) end
    if first == '$' and at == #pattern then
      return function(place) return place > length and place or nil end
    end
    local escape = first == '%' and part_of_escape(at)
    if escape then return escape end
    local stop, why = item_end(pattern, at)
    if not stop then return broken(why) end
    local quantifier = find(sub(pattern, stop, stop), '[*+?-]') and sub(pattern, stop, stop)
    local rest = part_at(stop + (quantifier and 1 or 0))
    return part_of_set(bytes_of(sub(pattern, at, stop - 1)), quantifier or '', rest)
  end

  local first_part = part_at(1)

  local function match_at(at)
    level = 0
    return first_part(at)
  end

  -- A capture of a match from `at` to `stop`; the first is the whole if there is none.
  local function capture(index, at, stop)
    if index > level then
      if index > 1 then fail('invalid capture index') end
      return sub(text, at, stop - 1)
    end
    if lengths[index] == UNFINISHED then fail('unfinished capture') end
    if lengths[index] == POSITION then return starts[index] end
    return sub(text, starts[index], starts[index] + lengths[index] - 1)
  end

  local function captures(at, stop, least)
    local found = {}
    local count = max(level, least)
    for index = 1, count do found[index] = capture(index, at, stop) end
    return unpack(found, 1, count)
  end

  return match_at, captures, capture
end

-- The pattern without what is behind a zero byte, and whether it holds at the start only.
local function read_pattern(pattern)
  pattern = gsub(pattern, '%z.*', '')
  if sub(pattern, 1, 1) == '^' then return sub(pattern, 2), true end
  return pattern, false
end

local function first_place(text, init)
  init = init and floor(init) or 1
  if init < 0 then init = #text + init + 1 end
  return init < 1 and 1 or init > #text + 1 and #text + 1 or init
end

-- The first match from a place on.
local function search(text, pattern, init, is_find)
  local is_anchored
  pattern, is_anchored = read_pattern(pattern)
  local match_at, captures = new_matcher(text, pattern)
  local first = first_place(text, init)
  for at = first, is_anchored and first or #text + 1 do
    local stop = match_at(at)
    if stop then
      if is_find then return at, stop - 1, captures(at, stop, 0) end
      return captures(at, stop, 1)
    end
  end
  return nil
end

local patterns = {}

-- Plain text is looked for by Lua's own function, a piece of the text at a time.
function patterns.find_plain(text, plain, init)
  local piece = max(floor(MOST_STEPS / max(#plain, 1)), 1)
  for at = first_place(text, init), #text + 1, piece do
    local first = find(sub(text, at, at + piece + #plain - 2), plain, 1, true)
    if first then return at + first - 1, at + first + #plain - 2 end
  end
  return nil
end

function patterns.find(text, pattern, init)
  -- Without a special character, it is plain text.
  if not find(gsub(pattern, '%z.*', ''), '[%^$*+?.(%[%%-]') then
    return patterns.find_plain(text, pattern, init)
  end
  return search(text, pattern, init, true)
end

function patterns.match(text, pattern, init) return search(text, pattern, init, false) end

function patterns.gmatch(text, pattern)
  local match_at, captures = new_matcher(text, (gsub(pattern, '%z.*', '')))
  local place = 1
  return function()
    for at = place, #text + 1 do
      local stop = match_at(at)
      if stop then
        place = stop > at and stop or stop + 1
        return captures(at, stop, 1)
      end
    end
    place = #text + 2
  end
end

-- What stands for a match, by a replacement that is text.
local function fill_in(replacement, capture, at, stop, text)
  return (gsub(replacement, '%%(.?)', function(letter)
    if letter == '0' then return sub(text, at, stop - 1) end
    if find(letter, '%d') then return tostring(capture(tonumber(letter), at, stop)) end
    -- Behind the last letter stands a zero byte.
    return letter == '' and '\0' or letter
  end))
end

local function replace(replacement, captures, capture, at, stop, text)
  local kind, value = type(replacement), nil
  if kind == 'function' then
    value = replacement(captures(at, stop, 1))
  elseif kind == 'table' then
    value = replacement[capture(1, at, stop)]
  else
    return fill_in(tostring(replacement), capture, at, stop, text)
  end
  if not value then return sub(text, at, stop - 1) end
  if type(value) ~= 'string' and type(value) ~= 'number' then
    fail('invalid replacement value (a ' .. type(value) .. ')')
  end
  return value
end

function patterns.gsub(text, pattern, replacement, most)
  local is_anchored
  pattern, is_anchored = read_pattern(pattern)
  local match_at, captures, capture = new_matcher(text, pattern)
  local out, count, at = {}, 0, 1
  most = most and floor(most) or huge
  while count < most do
    local stop = match_at(at)
    if stop then
      count = count + 1
      out[#out + 1] = replace(replacement, captures, capture, at, stop, text)
    end
    if stop and stop > at then
      at = stop
    elseif at <= #text then
      out[#out + 1] = sub(text, at, at)
      at = at + 1
    else
      break
    end
    if is_anchored then break end
  end
  return concat(out) .. sub(text, at), count
end

patterns.gfind = patterns.gmatch

return patterns
