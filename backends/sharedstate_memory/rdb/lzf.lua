-- LZF: the compression of strings. See lzf.py for the form.
--
-- The compressor is greedy and looks at one candidate for each three bytes: where the
-- same three (or others with the same hash) were seen last. Positions in `seen` are
-- counted on from call to call, so that it need not be emptied for each string.

local ffi = require("ffi")
local bit = require("bit")
local band, bor, bxor = bit.band, bit.bor, bit.bxor
local lshift, rshift = bit.lshift, bit.rshift

local HASH_BITS = 14
local FARTHEST = 8192
local LONGEST = 264
local MOST_LITERALS = 32
-- Positions are kept below this, where the bits of a number end.
local LAST_POSITION = 0x7fff0000

local seen = ffi.new("int32_t[?]", lshift(1, HASH_BITS))
local next_position = 1

local room, room_size = ffi.new("uint8_t[?]", 65536), 65536

local function have_room(size)
  if size > room_size then
    room, room_size = ffi.new("uint8_t[?]", size), size
  end
  return room
end

-- Big strings are rare, and their memory is not for keeping.
local function give_room_back()
  if room_size > 1048576 then
    room, room_size = ffi.new("uint8_t[?]", 65536), 65536
  end
end

local function hash(input, at)
  local three = bor(lshift(input[at], 16), lshift(input[at + 1], 8), input[at + 2])
  return band(rshift(three * 2 + bxor(three, rshift(three, 9)) * 5, 3), lshift(1, HASH_BITS) - 1)
end

local function write_literals(output, filled, input, start, stop)
  while start < stop do
    local count = stop - start
    if count > MOST_LITERALS then
      count = MOST_LITERALS
    end
    output[filled] = count - 1
    ffi.copy(output + filled + 1, input + start, count)
    filled = filled + 1 + count
    start = start + count
  end
  return filled
end

local function write_copy(output, filled, distance, length)
  local far = distance - 1
  local more = length - 2
  if more < 7 then
    output[filled] = bor(lshift(more, 5), rshift(far, 8))
    output[filled + 1] = band(far, 255)
    return filled + 2
  end
  output[filled] = bor(0xe0, rshift(far, 8))
  output[filled + 1] = more - 7
  output[filled + 2] = band(far, 255)
  return filled + 3
end

local function same_length(input, one, other, most)
  local length = 3
  while length < most and input[one + length] == input[other + length] do
    length = length + 1
  end
  return length
end

-- `data` compressed to at most `limit` bytes; nil if that cannot be done.
local function compress(data, limit)
  local size = #data
  local input = ffi.cast("const uint8_t *", data)
  local output = have_room(size + rshift(size, 4) + 64)
  if next_position + size >= LAST_POSITION then
    ffi.fill(seen, ffi.sizeof(seen))
    next_position = 1
  end
  local base = next_position
  next_position = base + size
  local filled, pending, at = 0, 0, 0
  while at < size - 2 do
    local slot = hash(input, at)
    local candidate = seen[slot] - base
    seen[slot] = base + at
    local distance = at - candidate
    if candidate >= 0 and distance <= FARTHEST
      and input[candidate] == input[at]
      and input[candidate + 1] == input[at + 1]
      and input[candidate + 2] == input[at + 2]
    then
      local most = size - at
      if most > LONGEST then
        most = LONGEST
      end
      local length = same_length(input, candidate, at, most)
      filled = write_literals(output, filled, input, pending, at)
      filled = write_copy(output, filled, distance, length)
      at = at + length
      pending = at
      if filled > limit then
        return nil
      end
    else
      -- The longer nothing was found, the fewer places are looked at.
      at = at + 1 + rshift(at - pending, 6)
      -- What begins with so much that is new will hardly become shorter.
      if at - pending > limit - filled then
        return nil
      end
    end
  end
  filled = write_literals(output, filled, input, pending, size)
  local result = nil
  if filled <= limit then
    result = ffi.string(output, filled)
  end
  give_room_back()
  return result
end

-- Decompress what stands at `input` into `size` bytes at `output`. Whether it became so
-- many, and no more.
local function expand(input, stop, output, size)
  local at, filled = 0, 0
  while at < stop do
    local control = input[at]
    at = at + 1
    if control < MOST_LITERALS then
      local count = control + 1
      if at + count > stop or filled + count > size then
        return false
      end
      ffi.copy(output + filled, input + at, count)
      at = at + count
      filled = filled + count
    else
      local length = rshift(control, 5)
      if length == 7 then
        if at >= stop then
          return false
        end
        length = length + input[at]
        at = at + 1
      end
      if at >= stop then
        return false
      end
      local from = filled - lshift(band(control, 31), 8) - input[at] - 1
      at = at + 1
      length = length + 2
      if from < 0 or filled + length > size then
        return false
      end
      -- Byte by byte: what is copied may begin before it has ended.
      for offset = 0, length - 1 do
        output[filled + offset] = output[from + offset]
      end
      filled = filled + length
    end
  end
  return filled == size
end

-- What some strings, that stand in `data` one after the other, were made from, one after
-- the other; nil if one of them is damaged. `sizes` are pairs of four bytes each: of how
-- many bytes a string is, and how many it becomes. `total` is the sum of the latter.
local function decompress(data, sizes, total)
  local input = ffi.cast("const uint8_t *", data)
  local pairs_of_sizes = ffi.cast("const uint32_t *", sizes)
  local output = have_room(total)
  local result = nil
  local read, written = 0, 0
  for pair = 0, #sizes / 8 - 1 do
    local size, whole = pairs_of_sizes[2 * pair], pairs_of_sizes[2 * pair + 1]
    if not expand(input + read, size, output + written, whole) then
      return nil
    end
    read = read + size
    written = written + whole
  end
  result = ffi.string(output, total)
  give_room_back()
  return result
end

return function(is_compressing, ...)
  if is_compressing then
    return compress(...)
  end
  return decompress(...)
end
