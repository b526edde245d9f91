-- Strings of a Python dict, written as an RDB file has them, and not touched: no count of
-- references changes, and so no page of memory that a forked child shares is copied.
-- See untouched.py.
--
-- Numbers of 64 bits are read as two of 32: as a whole each would be an object of Lua.

local ffi = require("ffi")
local bit = require("bit")
local band, bor, rshift = bit.band, bit.bor, bit.rshift

ffi.cdef([[
  typedef struct {
    intptr_t references; void *type;
    int32_t size, more_size, hash, more_hash;
    uint8_t data[1];
  } shared_bytes;
  int PyDict_Next(void *dict, intptr_t *position, shared_bytes **key, shared_bytes **value);
  long long PyLong_AsLongLong(void *number);
  void *calloc(size_t count, size_t size);
  void free(void *memory);
  int memcmp(const void *one, const void *other, size_t size);
]])

local LONGEST_INTEGER = 11
-- A compressed string has to be shorter by so much.
local LEAST_SAVED = 4
-- The most that stands in front of a string: a deadline, a type, lengths.
local HEAD_ROOM = 24

local key_at = ffi.new("shared_bytes *[1]")
local value_at = ffi.new("shared_bytes *[1]")
local position = ffi.new("intptr_t[1]")

local USUAL_OUTPUT, LARGEST_OUTPUT = 262144, 4194304
local output, output_size = ffi.new("uint8_t[?]", USUAL_OUTPUT), USUAL_OUTPUT
local filled = 0

local function have_room(size)
  if filled + size <= output_size then
    return
  end
  local bigger_size = 2 * (filled + size)
  local bigger = ffi.new("uint8_t[?]", bigger_size)
  ffi.copy(bigger, output, filled)
  output, output_size = bigger, bigger_size
end

local function write_byte(byte)
  output[filled] = byte
  filled = filled + 1
end

local function write_length(length)
  if length < 64 then
    write_byte(length)
  elseif length < 16384 then
    write_byte(bor(0x40, rshift(length, 8)))
    write_byte(band(length, 255))
  else
    write_byte(0x80)
    write_byte(band(rshift(length, 24), 255))
    write_byte(band(rshift(length, 16), 255))
    write_byte(band(rshift(length, 8), 255))
    write_byte(band(length, 255))
  end
end

-- The whole number that the text is, as it would be written; nil for any other text.
local function integer_of(text, size)
  local at, is_negative = 0, false
  if text[0] == 45 then
    at, is_negative = 1, true
  end
  if at == size or (text[at] == 48 and size > 1) then
    return nil
  end
  local number = 0
  for place = at, size - 1 do
    local digit = text[place] - 48
    if digit < 0 or digit > 9 then
      return nil
    end
    number = 10 * number + digit
  end
  if is_negative then
    number = -number
  end
  if number < -2147483648 or number > 2147483647 then
    return nil
  end
  return number
end

local function write_integer(number)
  local count, kind = 4, 0xc2
  if number >= -128 and number <= 127 then
    count, kind = 1, 0xc0
  elseif number >= -32768 and number <= 32767 then
    count, kind = 2, 0xc1
  end
  write_byte(kind)
  for _ = 1, count do
    write_byte(band(number, 255))
    number = bit.arshift(number, 8)
  end
end

local function write_compressed(text, size, compress)
  local packed = compress(true, ffi.string(text, size), size - LEAST_SAVED)
  if packed == nil then
    return false
  end
  write_byte(0xc3)
  write_length(#packed)
  write_length(size)
  ffi.copy(output + filled, packed, #packed)
  filled = filled + #packed
  return true
end

local function write_string(string, least_compressed, compress)
  local size = string.size
  local text = string.data
  have_room(size + HEAD_ROOM)
  if size <= LONGEST_INTEGER and size > 0 then
    local number = integer_of(text, size)
    if number then
      write_integer(number)
      return
    end
  elseif size >= least_compressed and write_compressed(text, size, compress) then
    return
  end
  write_length(size)
  ffi.copy(output + filled, text, size)
  filled = filled + size
end

-- Deadlines of keys, in a table with open addressing: to look into a dict would be to
-- touch it.

local function same_name(one, other)
  if one == other then
    return true
  end
  return one.hash == other.hash and one.more_hash == other.more_hash
    and one.size == other.size
    and ffi.C.memcmp(one.data, other.data, one.size) == 0
end

local function slot_of(named, mask, key)
  local slot = band(key.hash, mask)
  while named[slot] ~= nil and not same_name(named[slot], key) do
    slot = band(slot + 1, mask)
  end
  return slot
end

-- Zeros for so many pointers. Not Lua's memory: it would let as much garbage lie as it has
-- memory in use.
local function zeros(count)
  local memory = ffi.C.calloc(count, 8)
  assert(memory ~= nil, "not enough memory")
  return ffi.gc(memory, ffi.C.free)
end

-- The deadlines in a dict of so many of them, for `write`.
local function gather_deadlines(dict, count)
  local size = 4
  while size < 2 * count do
    size = 2 * size
  end
  local mask = size - 1
  local memory = { zeros(size), zeros(size) }
  local named, due = ffi.cast("shared_bytes **", memory[1]), ffi.cast("void **", memory[2])
  dict = ffi.cast("void *", dict)
  position[0] = 0
  while ffi.C.PyDict_Next(dict, position, key_at, value_at) ~= 0 do
    local slot = slot_of(named, mask, key_at[0])
    named[slot] = key_at[0]
    due[slot] = value_at[0]
  end
  -- The memory is freed with what is returned.
  return { named = named, due = due, mask = mask, memory = memory }
end

local deadline = ffi.new("int64_t[1]")

local function write_deadline(key, deadlines)
  local slot = slot_of(deadlines.named, deadlines.mask, key)
  if deadlines.named[slot] ~= nil then
    write_byte(0xfc)
    deadline[0] = ffi.C.PyLong_AsLongLong(deadlines.due[slot])
    ffi.copy(output + filled, deadline, 8)
    filled = filled + 8
  end
end

local function write_key(key, deadlines)
  local size = key.size
  have_room(size + HEAD_ROOM)
  if deadlines then
    write_deadline(key, deadlines)
  end
  write_byte(0)
  -- A name stays as it is, even if it is a number.
  write_length(size)
  ffi.copy(output + filled, key.data, size)
  filled = filled + size
end

local function is_long(string, longest)
  return string.more_size ~= 0 or string.size < 0 or string.size > longest
end

-- Write the strings of a dict from a position on, until there are `limit` bytes, or what
-- is no pair of strings comes. `type` is the address of the type of strings. With
-- `is_database`, each pair is a key with its value and the deadline it has in `deadlines`,
-- if there are any; else a field with its own value.
--
-- Returns what was written, the position of what comes next, how many pairs it was, and
-- the name of what came that is no pair of short strings: nil if there is no such thing.
local function write(
  dict, type, from, limit, is_database, least_compressed, longest, compress, deadlines
)
  dict, type = ffi.cast("void *", dict), ffi.cast("void *", type)
  position[0], filled = from, 0
  local count, odd = 0, nil
  while filled < limit and ffi.C.PyDict_Next(dict, position, key_at, value_at) ~= 0 do
    local key, value = key_at[0], value_at[0]
    if key.type ~= type or value.type ~= type or is_long(key, longest)
      or is_long(value, longest)
    then
      odd = ffi.string(key.data, key.size % 4294967296 + key.more_size * 4294967296)
      break
    end
    if is_database then
      write_key(key, deadlines)
    else
      write_string(key, least_compressed, compress)
    end
    write_string(value, least_compressed, compress)
    count = count + 1
  end
  local written = ffi.string(output, filled)
  if output_size > LARGEST_OUTPUT then
    output, output_size = ffi.new("uint8_t[?]", USUAL_OUTPUT), USUAL_OUTPUT
  end
  return written, tonumber(position[0]), count, odd
end

return function(is_writing, ...)
  if is_writing then
    return write(...)
  end
  return gather_deadlines(...)
end
