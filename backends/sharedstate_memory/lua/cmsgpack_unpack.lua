-- Unpacking MessagePack, for cmsgpack.lua. Returns a function that takes a text, an offset
-- and a number of values, and returns that many values or as many as there are, how many,
-- and the offset of what comes next.

local byte, sub = string.byte, string.sub
local floor, ldexp, huge = math.floor, math.ldexp, math.huge
local error, next = error, next

-- So many values fit on the stack.
local MOST_VALUES = 7900

local BYTE, LONG = 2 ^ 8, 2 ^ 32

-- Errors are reported where the script called, those of Lua itself without a place: see
-- the entry points in cmsgpack.lua.
local function fail(message) error({text = message}, 0) end
local function fail_as_lua(message) error({text = message, level = 0}, 0) end

local function need(text, at, count)
  if at + count - 1 > #text then fail('Missing bytes in input.') end
end

-- The whole number that stands in so many bytes.
local function read_unsigned(text, at, count)
  need(text, at, count)
  local number = 0
  for index = at, at + count - 1 do number = number * BYTE + byte(text, index) end
  return number
end

-- Of 64 bits, the halves are added at last: so it is rounded but once. Lua has no whole
-- numbers without a sign, so the original reads all of these with one.
local function read_signed64(text, at)
  need(text, at, 8)
  local high = read_unsigned(text, at, 4)
  if high >= LONG / 2 then high = high - LONG end
  return high * LONG + read_unsigned(text, at + 4, 4)
end

local function read_signed(text, at, count)
  local number, limit = read_unsigned(text, at, count), 2 ^ (8 * count)
  return number >= limit / 2 and number - limit or number
end

-- A number from its sign bit, its stored exponent, and its stored bits as a fraction.
local function put_together(is_negative, exponent, fraction, least, most)
  local number
  if exponent == 0 then
    number = ldexp(fraction, least)
  elseif exponent < most then
    number = ldexp(1 + fraction, exponent + least - 1)
  elseif fraction == 0 then
    number = huge
  else
    -- On usual processors, 0/0 has its sign set.
    return is_negative and 0 / 0 or -(0 / 0)
  end
  return is_negative and -number or number
end

local function read_float(text, at)
  local bits = read_unsigned(text, at, 4)
  local exponent = floor(bits / 2 ^ 23) % BYTE
  return put_together(bits >= LONG / 2, exponent, bits % 2 ^ 23 / 2 ^ 23, -126, 255)
end

local function read_double(text, at)
  need(text, at, 8)
  local high, low = read_unsigned(text, at, 4), read_unsigned(text, at + 4, 4)
  local fraction = (high % 2 ^ 20 * LONG + low) / 2 ^ 52
  local exponent = floor(high / 2 ^ 20) % 2 ^ 11
  return put_together(high >= LONG / 2, exponent, fraction, -1022, 2 ^ 11 - 1)
end

local read

local function read_text(text, at, length)
  need(text, at, length)
  return sub(text, at, at + length - 1), at + length
end

local function read_array(text, at, count)
  local list = {}
  for index = 1, count do list[index], at = read(text, at) end
  return list, at
end

local function read_map(text, at, count)
  local map = {}
  for _ = 1, count do
    local key, value
    key, at = read(text, at)
    value, at = read(text, at)
    if key == nil then fail_as_lua('table index is nil') end
    if key ~= key then fail_as_lua('table index is NaN') end
    map[key] = value
  end
  return map, at
end

-- What follows a first byte: how many bytes the number has that comes next, and what is
-- made of it.
local numbers = {
  [0xCA] = {4, read_float}, [0xCB] = {8, read_double}, [0xCF] = {8, read_signed64},
  [0xD3] = {8, read_signed64},
}
for index, count in next, {1, 2, 4} do
  numbers[0xCB + index] = {count, read_unsigned}
  numbers[0xCF + index] = {count, read_signed}
end

local lengths = {
  [0xD9] = {1, read_text}, [0xDA] = {2, read_text}, [0xDB] = {4, read_text},
  [0xDC] = {2, read_array}, [0xDD] = {4, read_array},
  [0xDE] = {2, read_map}, [0xDF] = {4, read_map},
}

local words = {[0xC2] = false, [0xC3] = true}

-- The value that begins somewhere, and where the next one does.
function read(text, at)
  local first = byte(text, at)
  if not first then fail('Missing bytes in input.') end
  if first < 0x80 then return first, at + 1 end
  if first < 0x90 then return read_map(text, at + 1, first - 0x80) end
  if first < 0xA0 then return read_array(text, at + 1, first - 0x90) end
  if first < 0xC0 then return read_text(text, at + 1, first - 0xA0) end
  if first >= 0xE0 then return first - BYTE, at + 1 end
  if first == 0xC0 then return nil, at + 1 end
  if words[first] ~= nil then return words[first], at + 1 end
  local form = numbers[first]
  if form then return form[2](text, at + 1, form[1]), at + 1 + form[1] end
  form = lengths[first]
  if not form then fail('Bad data format in input.') end
  local length = read_unsigned(text, at + 1, form[1])
  return form[2](text, at + 1 + form[1], length)
end

return function(text, offset, limit)
  local values, count, at = {}, 0, offset + 1
  while at <= #text and count < limit do
    count = count + 1
    values[count], at = read(text, at)
    if count > MOST_VALUES then
      fail('too many return values at once; use unpack_one or unpack_limit instead.')
    end
  end
  return values, count, at - 1
end
