-- Reading JSON, for cjson.lua: the same values and the same messages as Redis's cjson.
--
-- Receives what the files of the sandbox share. Returns the decoder, which takes a text
-- and the settings to read it with.

local guard = ...

local null = guard.null
local byte, char, sub, lower = string.byte, string.char, string.sub, string.lower
local find = guard.plain_strings.find
local format, floor, concat = string.format, math.floor, table.concat
local error, ipairs, pairs, tonumber = error, ipairs, pairs, tonumber

-- Of the decoder that is at work: it calls nothing that could start another one.
local settings

-- Errors are reported where the script called: see the entry points in cjson.lua.
local function fail(message, ...)
  error({json = format(message, ...)}, 0)
end

local T_END, T_STRING, T_NUMBER = 'T_END', 'T_STRING', 'T_NUMBER'

local marks = {
  [byte('{')] = 'T_OBJ_BEGIN', [byte('}')] = 'T_OBJ_END', [byte('[')] = 'T_ARR_BEGIN',
  [byte(']')] = 'T_ARR_END', [byte(':')] = 'T_COLON', [byte(',')] = 'T_COMMA',
}

local unescapes = {
  ['"'] = '"', ['\\'] = '\\', ['/'] = '/',
  b = '\b', f = '\f', n = '\n', r = '\r', t = '\t',
}

-- The UTF-8 bytes of a code point.
local function utf8(code)
  if code < 0x80 then return char(code) end
  if code < 0x800 then return char(0xC0 + floor(code / 0x40), 0x80 + code % 0x40) end
  local low = char(0x80 + floor(code / 0x40) % 0x40, 0x80 + code % 0x40)
  if code < 0x10000 then return char(0xE0 + floor(code / 0x1000)) .. low end
  return char(0xF0 + floor(code / 0x40000), 0x80 + floor(code / 0x1000) % 0x40) .. low
end

-- The code point of an escape `\uXXXX`, or of two that are a surrogate pair, and where
-- it ends; nil if it is none.
local function unicode_escape(text, at)
  local _, stop, digits = find(text, '^\\u(%x%x%x%x)', at)
  if not stop then return nil end
  local code = tonumber(digits, 16)
  if code < 0xD800 or code > 0xDFFF then return code, stop end
  local _, pair_stop, low_digits = find(text, '^\\u(%x%x%x%x)', stop + 1)
  local low = pair_stop and tonumber(low_digits, 16)
  if code > 0xDBFF or not low or low < 0xDC00 or low > 0xDFFF then return nil end
  return 0x10000 + (code - 0xD800) * 0x400 + (low - 0xDC00), pair_stop
end

-- A token is what it is, where it begins, where the next begins, and its value. What is
-- no token is told by a sentence in place of its kind.
local function string_token(text, from)
  local parts, at = {}, from + 1
  while true do
    local stop = find(text, '["\\%z]', at) or #text + 1
    parts[#parts + 1] = sub(text, at, stop - 1)
    local code = byte(text, stop) or 0
    if code == 34 then return T_STRING, from, stop + 1, concat(parts) end
    if code == 0 then return 'unexpected end of string', stop end
    local letter = sub(text, stop + 1, stop + 1)
    if letter == 'u' then
      local code, last = unicode_escape(text, stop)
      if not code then return 'invalid unicode escape code', stop end
      parts[#parts + 1] = utf8(code)
      at = last + 1
    else
      local plain = unescapes[letter]
      if not plain then return 'invalid escape code', stop end
      parts[#parts + 1] = plain
      at = stop + 2
    end
  end
end

-- On usual processors, 0/0 has its sign set.
local NAN, INFINITY = -(0 / 0), 1 / 0

-- Where a number ends that has these whole digits, a fraction and an exponent; nil if it
-- is none. Part by part: one pattern for all would try every place between two digits.
local function number_end(text, from, whole, fraction, exponent)
  local _, stop = find(text, whole, from)
  if not stop then return nil end
  _, from = find(text, fraction, stop + 1)
  stop = from or stop
  _, from = find(text, exponent, stop + 1)
  return from or stop
end

local function number_token(text, from)
  local stop = number_end(text, from, '^[+-]?0[xX]%x+', '^%.%x*', '^[pP][+-]?%d+')
    or number_end(text, from, '^[+-]?%d+', '^%.%d*', '^[eE][+-]?%d+')
  if stop then return T_NUMBER, from, stop + 1, tonumber(sub(text, from, stop)) end
  for _, word in ipairs({'infinity', 'inf', 'nan'}) do
    local sign = find(text, '^[+-]', from) and 1 or 0
    local last = from + sign + #word - 1
    if lower(sub(text, from + sign, last)) == word then
      local value = word == 'nan' and NAN or INFINITY
      return T_NUMBER, from, last + 1, byte(text, from) == 45 and -value or value
    end
  end
  return 'invalid number', from
end

-- Whether what begins like a number is none in JSON: hexadecimal, or a nought in front.
local function is_beyond_json(text, from)
  return find(text, '^-?0[xX%d]', from) or find(text, '^-[iInN]', from)
end

local is_scalar = {T_STRING = true, T_NUMBER = true, T_BOOLEAN = true, T_NULL = true}
local words = {['true'] = true, ['false'] = false, null = null}
local word_kinds = {['true'] = 'T_BOOLEAN', ['false'] = 'T_BOOLEAN', null = 'T_NULL'}

local function word_token(text, from)
  for word, kind in pairs(word_kinds) do
    if sub(text, from, from + #word - 1) == word then
      return kind, from, from + #word, words[word]
    end
  end
  if settings.decode_invalid_numbers and find(text, '^[+iInN]', from) then
    local kind, start, after, value = number_token(text, from)
    if kind == T_NUMBER then return kind, start, after, value end
  end
  return 'invalid token', from
end

local function next_token(text, at)
  local _, blank = find(text, '^[ \t\r\n]*', at)
  local from = blank + 1
  local code = byte(text, from) or 0
  if code == 0 then return T_END, from end
  if code == 34 then return string_token(text, from) end
  if marks[code] then return marks[code], from, from + 1 end
  if code >= 48 and code <= 57 or code == 45 then
    if not settings.decode_invalid_numbers and is_beyond_json(text, from) then
      return 'invalid number', from
    end
    return number_token(text, from)
  end
  return word_token(text, from)
end

local function expected(what, kind, at)
  fail('Expected %s but found %s at character %d', what, kind, at)
end

local read_value

local function read_array(text, at, depth)
  local list, count = {}, 0
  local kind, from, after, value = next_token(text, at)
  if kind == 'T_ARR_END' then return list, after end
  while true do
    count = count + 1
    list[count], at = read_value(text, depth, kind, from, after, value)
    kind, from, after = next_token(text, at)
    if kind == 'T_ARR_END' then return list, after end
    if kind ~= 'T_COMMA' then expected('comma or array end', kind, from) end
    kind, from, after, value = next_token(text, after)
  end
end

local function read_object(text, at, depth)
  local object = {}
  local kind, from, after, name = next_token(text, at)
  if kind == 'T_OBJ_END' then return object, after end
  while true do
    if kind ~= T_STRING then expected('object key string', kind, from) end
    kind, from, after = next_token(text, after)
    if kind ~= 'T_COLON' then expected('colon', kind, from) end
    object[name], at = read_value(text, depth, next_token(text, after))
    kind, from, after = next_token(text, at)
    if kind == 'T_OBJ_END' then return object, after end
    if kind ~= 'T_COMMA' then expected('comma or object end', kind, from) end
    kind, from, after, name = next_token(text, after)
  end
end

-- The value that begins with a token, and where the text goes on after it.
function read_value(text, depth, kind, from, after, value)
  if kind == 'T_OBJ_BEGIN' or kind == 'T_ARR_BEGIN' then
    depth = depth + 1
    if depth > settings.decode_max_depth then
      fail('Found too many nested data structures (%d) at character %d', depth, from)
    end
    return (kind == 'T_OBJ_BEGIN' and read_object or read_array)(text, after, depth)
  end
  if is_scalar[kind] then return value, after end
  expected('value', kind, from)
end

return function(text, given)
  settings = given
  if find(text, '^%z.') or find(text, '^.%z') then
    fail('JSON parser does not support UTF-16 or UTF-32')
  end
  local value, at = read_value(text, 0, next_token(text, 1))
  local kind, from = next_token(text, at)
  if kind ~= T_END then expected('the end', kind, from) end
  return value
end
