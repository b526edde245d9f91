-- MessagePack for scripts, as the library of that name in Redis has it: same results, same
-- messages.
--
-- Written in Lua, so that the time and memory that it takes are the script's. Packing
-- takes the shortest form of a number, a double that is exactly a float included; a table
-- whose keys are 1 to n is an array; what MessagePack has no type for is nil. Binary and
-- extension types are not known.
--
-- Receives the function that takes texts apart, which is in a file of its own.
--
-- Source: https://github.com/msgpack/msgpack/blob/master/spec.md

local unpack_from = ...

local char, gsub, sub, concat = string.char, string.gsub, string.sub, table.concat
local floor, frexp, ldexp, huge = math.floor, math.frexp, math.ldexp, math.huge
local error, next, pcall, rawget, select = error, next, pcall, rawget, select
local tonumber, tostring, type, unpack = tonumber, tostring, type, unpack

-- Tables nested deeper are packed as nil, as by the original.
local DEEPEST = 16

local BYTE, WORD, LONG = 2 ^ 8, 2 ^ 16, 2 ^ 32

-- Packing -------------------------------------------------------------------------------

-- The bytes of a whole number of so many bits that is not negative, the highest first.
local function bytes16(number) return char(floor(number / BYTE), number % BYTE) end

local function bytes32(number)
  return bytes16(floor(number / WORD)) .. bytes16(number % WORD)
end

local function bytes64(number)
  return bytes32(floor(number / LONG)) .. bytes32(number % LONG)
end

local function pack_positive(number)
  if number < 0x80 then return char(number) end
  if number < BYTE then return '\204' .. char(number) end
  if number < WORD then return '\205' .. bytes16(number) end
  if number < LONG then return '\206' .. bytes32(number) end
  return '\207' .. bytes64(number)
end

local function pack_negative(number)
  if number >= -0x20 then return char(BYTE + number) end
  if number >= -0x80 then return '\208' .. char(BYTE + number) end
  if number >= -0x8000 then return '\209' .. bytes16(WORD + number) end
  if number >= -0x80000000 then return '\210' .. bytes32(LONG + number) end
  -- Of a sum with 2^64 the lowest bits would be lost.
  return '\211' .. bytes32(LONG + floor(number / LONG)) .. bytes32(number % LONG)
end

-- A double's sign bit, its exponent as it is stored, and its fraction from 0 to 1, if so
-- many bits are stored of it and the exponent is at least `least`.
local function take_apart(number, least)
  local fraction, exponent = frexp(number < 0 and -number or number)
  if number == 0 then return 0, 0, 0 end
  local sign = number < 0 and 1 or 0
  if exponent < least then return sign, 0, ldexp(fraction, exponent - least + 1) end
  return sign, exponent - least + 1, fraction * 2 - 1
end

local function pack_double(number)
  if number ~= number then
    local sign = sub(tostring(number), 1, 1) == '-' and '\255' or '\127'
    return '\203' .. sign .. '\248\0\0\0\0\0\0'
  end
  if number == huge then return '\202\127\128\0\0' end
  if number == -huge then return '\202\255\128\0\0' end
  local sign, exponent, fraction = take_apart(number, -125)
  local bits = fraction * 2 ^ 23
  if exponent < 255 and bits == floor(bits) then
    return '\202' .. bytes32((sign * BYTE + exponent) * 2 ^ 23 + bits)
  end
  sign, exponent, fraction = take_apart(number, -1021)
  bits = fraction * 2 ^ 52
  local high = (sign * 2 ^ 11 + exponent) * 2 ^ 20 + floor(bits / LONG)
  return '\203' .. bytes32(high) .. bytes32(bits % LONG)
end

local function pack_number(number)
  if number ~= floor(number) or number >= 2 ^ 63 or number < -2 ^ 63 then
    return pack_double(number)
  end
  return number < 0 and pack_negative(number) or pack_positive(number)
end

local function pack_text(text)
  local length = #text
  if length < 0x20 then return char(0xA0 + length) .. text end
  if length < BYTE then return '\217' .. char(length) .. text end
  if length < WORD then return '\218' .. bytes16(length) .. text end
  return '\219' .. bytes32(length) .. text
end

-- What begins an array or a map, by the bytes for a short, a longer and the longest one.
local function head(count, short, longer, longest)
  if count < 0x10 then return char(short + count) end
  if count < WORD then return longer .. bytes16(count) end
  return longest .. bytes32(count)
end

-- How many items a table has, and whether they are an array.
local function measure(content)
  local greatest, count, is_array = 0, 0, true
  for key in next, content do
    count = count + 1
    if type(key) ~= 'number' or key <= 0 or key ~= floor(key) then
      is_array = false
    elseif key > greatest then
      greatest = key
    end
  end
  return count, is_array and greatest == count
end

-- Appends the parts of a value to `out`, which has `at` of them; returns how many then.
local function pack(out, at, value, depth)
  local kind = type(value)
  if kind == 'string' then
    out[at + 1] = pack_text(value)
  elseif kind == 'number' then
    out[at + 1] = pack_number(value)
  elseif kind == 'boolean' then
    out[at + 1] = value and '\195' or '\194'
  elseif kind ~= 'table' or depth == DEEPEST then
    out[at + 1] = '\192'
  else
    local count, is_array = measure(value)
    out[at + 1] = is_array and head(count, 0x90, '\220', '\221')
      or head(count, 0x80, '\222', '\223')
    at = at + 1
    if is_array then
      for index = 1, count do at = pack(out, at, rawget(value, index), depth + 1) end
      return at
    end
    for key, item in next, value do
      at = pack(out, pack(out, at, key, depth + 1), item, depth + 1)
    end
    return at
  end
  return at + 1
end

local function pack_all(...)
  local out, at = {}, 0
  for index = 1, select('#', ...) do at = pack(out, at, (select(index, ...)), 0) end
  return concat(out)
end

-- Entry points --------------------------------------------------------------------------

-- What the functions below return: results, or an error that is reported where the script
-- called. They call this at last, which is a level of its own: the third is the script.
local function deliver(ok, ...)
  if ok then return ... end
  local failure = ...
  if type(failure) ~= 'table' then error((gsub(failure, '^[a-z_]+:%d+: ', '')), 3) end
  error(failure.text, failure.level or 3)
end

local function refuse(index, name, why)
  error("bad argument #" .. index .. " to '" .. name .. "' (" .. why .. ')', 4)
end

local function type_of(count, index, value)
  return count < index and 'no value' or type(value)
end

local function text_argument(name, count, value)
  local kind = type(value)
  if kind == 'string' then return value end
  if kind == 'number' then return tostring(value) end
  refuse(1, name, 'string expected, got ' .. type_of(count, 1, value))
end

-- A whole number of 64 bits.
local function number_argument(name, index, count, value, default)
  if value == nil and default then return default end
  local number = tonumber(value)
  if type(value) ~= 'number' and type(value) ~= 'string' or not number then
    refuse(index, name, 'number expected, got ' .. type_of(count, index, value))
  end
  if number ~= number or number >= 2 ^ 63 or number < -2 ^ 63 then return -2 ^ 63 end
  return number < 0 and -floor(-number) or floor(number)
end

-- A number as the original tells it: the lowest 32 bits.
local function told(number)
  number = number % LONG
  return number >= LONG / 2 and number - LONG or number
end

local cmsgpack = {
  _NAME = 'cmsgpack', _VERSION = 'lua-cmsgpack 0.4.0',
  _COPYRIGHT = 'Copyright (C) 2012, Salvatore Sanfilippo',
  _DESCRIPTION = 'MessagePack C implementation for Lua',
}

local function check_range(offset, limit, length)
  if offset < 0 or limit < 0 then
    error('Invalid request to unpack with offset of ' .. told(offset) .. ' and limit of '
      .. length .. '.', 3)
  end
  if offset > length then
    error('Start offset ' .. told(offset) .. ' greater than input length ' .. length
      .. '.', 3)
  end
end

function cmsgpack.pack(...)
  if select('#', ...) == 0 then
    error("bad argument #0 to 'pack' (MessagePack pack needs input.)", 2)
  end
  return deliver(pcall(pack_all, ...))
end

local function unpack_every(text)
  local ok, values, count = pcall(unpack_from, text, 0, huge)
  if not ok then return false, values end
  return true, unpack(values, 1, count)
end

-- So many values, behind the offset of what comes next, or -1.
local function unpack_some(text, offset, limit)
  local ok, values, count, at = pcall(unpack_from, text, offset, limit)
  if not ok then return false, values end
  return true, at < #text and at or -1, unpack(values, 1, count)
end

function cmsgpack.unpack(...)
  return deliver(unpack_every((text_argument('unpack', select('#', ...), (...)))))
end

function cmsgpack.unpack_one(...)
  local count, text, offset = select('#', ...), ...
  offset = number_argument('unpack_one', 2, count, offset, 0)
  text = text_argument('unpack_one', count, text)
  check_range(offset, 1, #text)
  return deliver(unpack_some(text, offset, 1))
end

function cmsgpack.unpack_limit(...)
  local count, text, limit, offset = select('#', ...), ...
  limit = number_argument('unpack_limit', 2, count, limit)
  offset = number_argument('unpack_limit', 3, count, offset, 0)
  text = text_argument('unpack_limit', count, text)
  check_range(offset, limit, #text)
  -- As if neither were given.
  if limit == 0 and offset == 0 then return deliver(unpack_every(text)) end
  return deliver(unpack_some(text, offset, limit))
end

return cmsgpack
