-- JSON for scripts, as the cjson library of Redis has it: same results, same messages.
--
-- Written in Lua, so that the time and memory that it takes are the script's. Receives
-- what the files of the sandbox share, and the decoder; returns the library.
--
-- A table is an array if all its keys are positive whole numbers and not too few of them
-- are there; an empty one is an object. What a script sets lasts until it ends.

local guard, decode = ...

local null = guard.null
local char, format = string.char, string.format
local gsub, find = guard.plain_strings.gsub, guard.plain_strings.find
local floor, concat = math.floor, table.concat
local error, next, pcall, rawget, select = error, next, pcall, rawget, select
local pairs, tonumber, tostring, type = pairs, tonumber, tostring, type

local MOST = 2147483647

local defaults = {
  encode_max_depth = 1000,
  decode_max_depth = 1000,
  encode_number_precision = 14,
  encode_invalid_numbers = false,
  decode_invalid_numbers = true,
  encode_keep_buffer = true,
  -- An array with a greatest index over `safe` must have every `ratio`-th item; what has
  -- not is an object, or refused.
  sparse_as_object = false, sparse_ratio = 2, sparse_safe = 10,
}

-- Of the encoder that is at work: it calls nothing that could start another one.
local settings

-- Errors are reported where the script called: see the entry points below.
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
    local way = settings.encode_invalid_numbers
    if way == 'null' then return 'null' end
    if not way then fail('Cannot serialise number: must not be NaN or Inf') end
    return number ~= number and 'nan' or number > 0 and 'inf' or '-inf'
  end
  return format(settings.number_format, number)
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
  local ratio = settings.sparse_ratio
  if ratio > 0 and greatest > settings.sparse_safe and greatest > count * ratio then
    if settings.sparse_as_object then return nil end
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
    at = write(out, at, rawget(content, index), depth)
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
    if depth > settings.encode_max_depth then
      fail('Cannot serialise, excessive nesting (%d)', depth)
    end
    local length = array_length(value)
    if length then return write_array(out, at, value, length, depth) end
    return write_object(out, at, value, depth)
  else
    fail('Cannot serialise %s: type not supported', kind)
  end
  return at + 1
end

local function encode(value, given)
  settings = given
  local out = {}
  write(out, 0, value, 0)
  return concat(out)
end

-- Settings ------------------------------------------------------------------------------

local function refuse(index, name, why)
  error("bad argument #" .. index .. " to '" .. name .. "' (" .. why .. ')', 4)
end

-- A number in a range: what is given, or what it was.
local function choose_number(name, index, given, old, least, most)
  if given == nil then return old end
  local number = tonumber(given)
  if not number then refuse(index, name, 'number expected, got ' .. type(given)) end
  number = number < 0 and -floor(-number) or floor(number)
  if not (number >= least and number <= most) then
    refuse(1, name, format('expected integer between %d and %d', least, most))
  end
  return number
end

local switch = {off = false, on = true}

-- One of some choices, by their names, or as a boolean.
local function choose(name, given, old, choices)
  if given == nil then return old end
  if type(given) == 'boolean' then return given end
  if type(given) ~= 'string' and type(given) ~= 'number' then
    refuse(1, name, 'string expected, got ' .. type(given))
  end
  local choice = choices[given]
  if choice == nil then refuse(1, name, "invalid option '" .. given .. "'") end
  return choice
end

local function refuse_more(name, most, ...)
  if select('#', ...) > most then refuse(most + 1, name, 'found too many arguments') end
end

-- The functions that show the settings, and change those that they are given.
local function setters(set, values)
  local found = {}

  local function number_setter(name, least, most)
    found[name] = function(...)
      refuse_more(name, 1, ...)
      set(name, (choose_number(name, 1, (...), values[name], least, most)))
      return values[name]
    end
  end

  local function choice_setter(name, choices)
    found[name] = function(...)
      refuse_more(name, 1, ...)
      set(name, (choose(name, (...), values[name], choices)))
      return values[name]
    end
  end

  number_setter('encode_max_depth', 1, MOST)
  number_setter('decode_max_depth', 1, MOST)
  number_setter('encode_number_precision', 1, 14)
  choice_setter('encode_invalid_numbers', {off = false, on = true, null = 'null'})
  choice_setter('decode_invalid_numbers', switch)
  choice_setter('encode_keep_buffer', switch)

  function found.encode_sparse_array(...)
    local name = 'encode_sparse_array'
    refuse_more(name, 3, ...)
    local convert, ratio, safe = ...
    set('sparse_as_object', (choose(name, convert, values.sparse_as_object, switch)))
    set('sparse_ratio', (choose_number(name, 2, ratio, values.sparse_ratio, 0, MOST)))
    set('sparse_safe', (choose_number(name, 3, safe, values.sparse_safe, 0, MOST)))
    return values.sparse_as_object, values.sparse_ratio, values.sparse_safe
  end

  return found
end

-- Entry points --------------------------------------------------------------------------

local function deliver(ok, result)
  if ok then return result end
  -- The tail calls below are a level of their own: the third is the script.
  error(type(result) == 'table' and result.json or result, 3)
end

-- A library with settings of its own, which last if it is the script's.
local function new_library(is_shared)
  local values = {}

  local function reset()
    for name, value in pairs(defaults) do values[name] = value end
    values.number_format = '%.14g'
  end

  local function set(name, value)
    if values[name] == value then return end
    values[name] = value
    values.number_format = '%.' .. values.encode_number_precision .. 'g'
    if is_shared then guard.undo_at_end(reset) end
  end

  reset()
  local library = setters(set, values)
  library._NAME, library._VERSION, library.null = 'cjson', '2.1.0', null

  function library.encode(...)
    if select('#', ...) ~= 1 then
      error("bad argument #1 to 'encode' (expected 1 argument)", 2)
    end
    return deliver(pcall(encode, (...), values))
  end

  function library.decode(...)
    local text = ...
    if select('#', ...) ~= 1 then
      error("bad argument #1 to 'decode' (expected 1 argument)", 2)
    end
    if type(text) == 'number' then text = tostring(text) end
    if type(text) ~= 'string' then
      error("bad argument #1 to 'decode' (string expected, got " .. type(text) .. ')', 2)
    end
    return deliver(pcall(decode, text, values))
  end

  function library.new() return new_library(false) end

  return library
end

return new_library(true)
