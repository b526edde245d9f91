-- JSON for scripts, as the cjson library of Redis has it: same results, same messages.
--
-- Written in Lua, so that the time and memory that it takes are the script's. Receives
-- the value that stands for null, and returns the library.
--
-- A table is an array if all its keys are positive whole numbers and not too few of them
-- are there; an empty one is an object. Numbers are written with 14 digits.

local null = ...

local byte, char, find, gsub, sub = string.byte, string.char, string.find, string.gsub, string.sub
local format, floor, concat = string.format, math.floor, table.concat
local error, next, pairs, tonumber, type = error, next, pairs, tonumber, type

local DEPTH_LIMIT = 1000
-- An array with a greatest index over SAFE must have every RATIO-th item.
local SPARSE_RATIO, SPARSE_SAFE = 2, 10

-- Errors are reported where the script called: see the protected entry points below.
local function fail(message, ...)
  error({json = format(message, ...)}, 0)
end

-- Encoding ------------------------------------------------------------------------------

local escapes = {
  ['"'] = '\\"', ['\\'] = '\\\\', ['/'] = '\\/', ['\127'] = '\\u007f',
  ['\b'] = '\\b', ['\t'] = '\\t', ['\n'] = '\\n', ['\f'] = '\\f', ['\r'] = '\\r',
}
for code = 0, 31 do
  escapes[char(code)] = escapes[char(code)] or format('\\u%04x', code)
end

local function quote(text)
  return '"' .. gsub(text, '[%c"\\/]', escapes) .. '"'
end

local function number_text(number)
  if number ~= number or number == 1 / 0 or number == -1 / 0 then
    fail('Cannot serialise number: must not be NaN or Inf')
  end
  return format('%.14g', number)
end

-- The greatest index of an array; nil for what must be an object.
local function array_length(content)
  local greatest, count = 0, 0
  for key in next, content do
    if type(key) ~= 'number' or key < 1 or floor(key) ~= key then return nil end
    if key > greatest then greatest = key end
    count = count + 1
  end
  if count == 0 then return nil end
  if greatest > SPARSE_SAFE and greatest > count * SPARSE_RATIO then
    fail('Cannot serialise table: excessively sparse array')
  end
  return greatest
end

local write

local function write_array(out, at, content, length, depth)
  out[at + 1] = '['
  at = at + 1
  for index = 1, length do
    if index > 1 then at = at + 1; out[at] = ',' end
    at = write(out, at, content[index], depth)
  end
  out[at + 1] = ']'
  return at + 1
end

local function member_name(key)
  if type(key) == 'string' then return quote(key) end
  if type(key) == 'number' then return '"' .. number_text(key) .. '"' end
  fail('Cannot serialise %s: table key must be a number or string', type(key))
end

local function write_object(out, at, content, depth)
  out[at + 1] = '{'
  at = at + 1
  local is_first = true
  for key, value in next, content do
    if not is_first then at = at + 1; out[at] = ',' end
    is_first = false
    out[at + 1] = member_name(key)
    out[at + 2] = ':'
    at = write(out, at + 2, value, depth)
  end
  out[at + 1] = '}'
  return at + 1
end

-- Appends the text of a value to `out`, which has `at` items; returns how many then.
function write(out, at, value, depth)
  local kind = type(value)
  if kind == 'string' then
    out[at + 1] = quote(value)
  elseif kind == 'number' then
    out[at + 1] = number_text(value)
  elseif kind == 'boolean' then
    out[at + 1] = value and 'true' or 'false'
  elseif value == nil or value == null then
    out[at + 1] = 'null'
  elseif kind == 'table' then
    depth = depth + 1
    if depth > DEPTH_LIMIT then fail('Cannot serialise, excessive nesting (%d)', depth) end
    local length = array_length(value)
    if length then return write_array(out, at, value, length, depth) end
    return write_object(out, at, value, depth)
  else
    fail('Cannot serialise %s: type not supported', kind)
  end
  return at + 1
end

local function encode(value)
  local out = {}
  write(out, 0, value, 0)
  return concat(out)
end

-- Decoding ------------------------------------------------------------------------------

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
    local stop = find(text, '["\\]', at)
    if not stop then return 'unexpected end of string', #text + 1 end
    parts[#parts + 1] = sub(text, at, stop - 1)
    if byte(text, stop) == 34 then return T_STRING, from, stop + 1, concat(parts) end
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

local function number_token(text, from)
  local _, stop = find(text, '^[+-]?0[xX]%x+%.?%x*[pP][+-]?%d+', from)
  if not stop then _, stop = find(text, '^[+-]?0[xX]%x+%.?%x*', from) end
  if not stop then _, stop = find(text, '^[+-]?%d+%.?%d*[eE][+-]?%d+', from) end
  if not stop then _, stop = find(text, '^[+-]?%d+%.?%d*', from) end
  if stop then return T_NUMBER, from, stop + 1, tonumber(sub(text, from, stop)) end
  for _, word in ipairs({'infinity', 'inf', 'nan'}) do
    local sign = find(text, '^[+-]', from) and 1 or 0
    local last = from + sign + #word - 1
    if sub(text, from + sign, last):lower() == word then
      local value = word == 'nan' and NAN or INFINITY
      return T_NUMBER, from, last + 1, byte(text, from) == 45 and -value or value
    end
  end
  return 'invalid number', from
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
  if find(text, '^[iInN]', from) then
    local kind, start, after, value = number_token(text, from)
    if kind == T_NUMBER then return kind, start, after, value end
  end
  return 'invalid token', from
end

local function next_token(text, at)
  local _, blank = find(text, '^[ \t\r\n]*', at)
  local from = blank + 1
  local code = byte(text, from)
  if not code then return T_END, from end
  if code == 34 then return string_token(text, from) end
  if marks[code] then return marks[code], from, from + 1 end
  if code >= 48 and code <= 57 or code == 43 or code == 45 then
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
    if depth > DEPTH_LIMIT then
      fail('Found too many nested data structures (%d) at character %d', depth, from)
    end
    return (kind == 'T_OBJ_BEGIN' and read_object or read_array)(text, after, depth)
  end
  if is_scalar[kind] then return value, after end
  expected('value', kind, from)
end

local function decode(text)
  local value, at = read_value(text, 0, next_token(text, 1))
  local kind, from = next_token(text, at)
  if kind ~= T_END then expected('the end', kind, from) end
  return value
end

-- Entry points --------------------------------------------------------------------------

local function deliver(ok, result)
  if ok then return result end
  -- The tail calls below are a level of their own: the third is the script.
  error(type(result) == 'table' and result.json or result, 3)
end

local cjson = {_NAME = 'cjson', _VERSION = '2.1.0', null = null}

function cjson.encode(...)
  if select('#', ...) ~= 1 then
    error("bad argument #1 to 'encode' (expected 1 argument)", 2)
  end
  return deliver(pcall(encode, (...)))
end

function cjson.decode(...)
  local text = ...
  if select('#', ...) ~= 1 then
    error("bad argument #1 to 'decode' (expected 1 argument)", 2)
  end
  if type(text) == 'number' then text = tostring(text) end
  if type(text) ~= 'string' then
    error("bad argument #1 to 'decode' (string expected, got " .. type(text) .. ')', 2)
  end
  return deliver(pcall(decode, text))
end

return cjson
