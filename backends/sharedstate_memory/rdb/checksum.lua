-- CRC-64 with the polynomial of Jones, bits reflected, eight bytes at a time.
--
-- tables[k][byte] is what `byte` becomes when k more bytes follow it, so that the eight
-- bytes of a step are looked up at once and none waits for the one before.

local ffi = require("ffi")
local bit = require("bit")
local band, bxor, rshift = bit.band, bit.bxor, bit.rshift

local POLYNOMIAL = 0x95AC9329AC4BC9B5ULL

-- Each is an array of its own: a part of one array would not keep that alive.
local tables = {}
for following = 0, 7 do
  tables[following] = ffi.new("uint64_t[256]")
end
for byte = 0, 255 do
  local crc = ffi.cast("uint64_t", byte)
  for _ = 1, 8 do
    local is_odd = band(crc, 1ULL) == 1ULL
    crc = rshift(crc, 1)
    if is_odd then
      crc = bxor(crc, POLYNOMIAL)
    end
  end
  tables[0][byte] = crc
end
for following = 1, 7 do
  for byte = 0, 255 do
    local crc = tables[following - 1][byte]
    local last = tonumber(band(crc, 255ULL))
    tables[following][byte] = bxor(rshift(crc, 8), tables[0][last])
  end
end
local t0, t1, t2, t3 = tables[0], tables[1], tables[2], tables[3]
local t4, t5, t6, t7 = tables[4], tables[5], tables[6], tables[7]

local number = ffi.new("union { uint64_t whole; int32_t halves[2]; uint8_t bytes[8]; }")

-- The checksum of `data` after what had the checksum `before`; both are eight bytes,
-- the lowest first.
return function(data, before)
  local bytes = ffi.cast("const uint8_t *", data)
  local words = ffi.cast("const int32_t *", data)
  local size = #data
  local steps = rshift(size, 3)
  ffi.copy(number, before, 8)
  local crc = ffi.cast("uint64_t", number.whole)
  for step = 0, steps - 1 do
    local low = bxor(tonumber(ffi.cast("int32_t", crc)), words[2 * step])
    local high = bxor(tonumber(ffi.cast("int32_t", rshift(crc, 32))), words[2 * step + 1])
    crc = bxor(
      t7[band(low, 255)], t6[band(rshift(low, 8), 255)],
      t5[band(rshift(low, 16), 255)], t4[rshift(low, 24)],
      t3[band(high, 255)], t2[band(rshift(high, 8), 255)],
      t1[band(rshift(high, 16), 255)], t0[rshift(high, 24)]
    )
  end
  for at = 8 * steps, size - 1 do
    crc = bxor(t0[tonumber(band(bxor(crc, bytes[at]), 255ULL))], rshift(crc, 8))
  end
  number.whole = crc
  return ffi.string(number, 8)
end
