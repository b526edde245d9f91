"""Scripts of one line that show how values are converted, what errors say, which
subcommands may be called, and what the libraries answer.
"""

from __future__ import annotations

CONVERSIONS = r"""
return true
return false
redis.setresp(3) return true
redis.setresp(3) return false
redis.setresp(3) return {true, false}
redis.setresp(3) return nil
redis.setresp(3) return redis.call('get', 'no')
redis.setresp(3) return {redis.call('get', 'no')}
redis.setresp(3) return redis.call('hgetall', 'h')
redis.setresp(3) return redis.call('smembers', 's')
redis.setresp(3) return redis.call('zscore', 'z', 'm')
redis.setresp(3) return redis.call('zrange', 'z', 0, -1, 'withscores')
redis.setresp(3) local r = redis.call('zrange', 'z', 0, -1, 'withscores') return type(r[1][2].double)
redis.setresp(3) return redis.call('zmscore', 'z', 'm', 'n')
redis.setresp(3) return redis.call('lpop', 'no', 5)
redis.setresp(3) local r = redis.call('lpop', 'no', 5) return type(r)
local r = redis.call('lpop', 'no', 5) return type(r)
redis.setresp(3) local r = redis.call('lmpop', 1, 'no', 'LEFT') return type(r)
redis.setresp(3) local r = redis.call('info', 'modules') return type(r.verbatim_string.string) .. r.verbatim_string.format
redis.setresp(3) local r = redis.call('hgetall', 'h') return r.map.f
redis.setresp(3) local r = redis.call('smembers', 's') return tostring(r.set.m)
redis.setresp(3) return redis.call('hrandfield', 'h', 1, 'withvalues')
redis.setresp(3) return type(redis.call('sismember', 's', 'm'))
redis.setresp(3) return redis.call('incrbyfloat', 'n', 1.5)
redis.setresp(3) return {redis.pcall('get')}
return {map = {a = 1}}
return {map = {a = 1}, set = {x = 1}}
return {map = {{1}, 2}}
return {map = {}}
return {map = 'x'}
return {map = {a = {map = {b = {1, 2, {double = 2}}}}}}
return {set = {a = true}}
return {set = {a = false}}
return {set = {}}
return {set = 'x'}
return {double = 3}
return {double = 1.5}
return {double = 1 / 0}
return {double = -1 / 0}
return {double = '3'}
return {double = {}}
return {big_number = '123'}
return {big_number = 123}
return {verbatim_string = {string = 'hi', format = 'txt'}}
return {verbatim_string = {string = 'hi', format = 'mkd'}}
return {verbatim_string = {string = 'hi', format = 't'}}
return {verbatim_string = {string = 'hi'}}
return {verbatim_string = {format = 'txt'}}
return {verbatim_string = 'x'}
return {err = 'x', map = {a = 1}}
return {ok = 'x', map = {a = 1}}
return {err = 5}
return {ok = 5}
return {err = {}}
return {1, {err = 'x'}, {ok = 'y'}}
return {3.7, '3.7', -3.7}
return {nil, 1}
return {1, nil, 3}
return {false, 1}
return {1e20}
return {0 / 0}
return {[0] = 1, [1] = 2}
return {cjson.null}
return {function() end}
redis.call('set', 'x', 1e15) return redis.call('get', 'x')
redis.call('set', 'x', 2 ^ 53) return redis.call('get', 'x')
redis.call('set', 'x', 2 ^ 63) return redis.call('get', 'x')
redis.call('set', 'x', -2 ^ 63) return redis.call('get', 'x')
redis.call('set', 'x', 1e17) return redis.call('get', 'x')
redis.call('set', 'x', 99999999999999999) return redis.call('get', 'x')
redis.call('set', 'x', 12345678901234567890) return redis.call('get', 'x')
redis.call('set', 'x', 0 / 0) return redis.call('get', 'x')
redis.call('rpush', 'l', 1, 'a', 2.5) return redis.call('lrange', 'l', 0, -1)
return KEYS == _G.KEYS and rawget(_G, 'ARGV') == ARGV
"""  # noqa: E501
"""In maps and sets there is one item at most: the order of more is nobody's."""

ERRORS = r"""
return redis.call('lpush', 'x', 1)
return redis.pcall('lpush', 'x', 1)
return redis.call('nosuch')
return redis.call('get')
return redis.call()
return redis.sha1hex()
return redis.setresp(4)
return redis.log(1)
return redis.log('x', 'y')
return redis.set_repl(5)
return redis.set_repl()
return redis.acl_check_cmd()
return redis.acl_check_cmd('nosuch')
return redis.acl_check_cmd({})
return cjson.decode('x')
return cjson.encode(function() end)
return cmsgpack.unpack('\193')
return struct.pack('y', 1)
return bit.band('x')
return string.rep({})
return ('x'):rep(1, {}, {}):find({})
return setmetatable(1, {})
return pairs(nil)
return unpack(nil)
return unpack({}, 1, 1e7)
return load('x')
return loadstring({})
return table.insert(nil, 1)
return table.concat({{}})
return error('x')
return error({err = 'E x'})
local f = function() return redis.call('nosuch') end return f()
local f = function() local r = redis.call('nosuch') return r end local r = f() return r
local ok, e = pcall(redis.call, 'nosuch') return e
local ok, e = pcall(function() return redis.call('nosuch') end) return e
local ok, e = pcall(function() local r = nosuch end) return e
local ok, e = xpcall(function() local r = redis.call('nosuch') end, function(e) return e.err .. type(e.ignore_error_stats_update) end) return e
local r = redis.pcall('nosuch') return {r.err, tostring(r.ignore_error_stats_update)}
local c = coroutine.wrap(function() local r = redis.call('nosuch') end) c()
local function f(n) if n == 0 then return 'deep' end return f(n - 1) end return f(30000)
KEYS = 1
ARGV = {}
redis.call = nil
_G.x = 1
return x
return x.y
return _G.x
local x; return x.y
return ('x') + 1
return {} < {}
return #nil
return coroutine.resume(1)
return coroutine.wrap(1)
return getmetatable(redis)
return rawset(redis, 'x', 1)
return collectgarbage('x')
return collectgarbage('count') > 0
return {collectgarbage('stop'), collectgarbage(), tostring(collectgarbage('step'))}
local t = {} for name in pairs(redis) do t[#t + 1] = name end table.sort(t) return t
local t = {} for name in pairs(cjson) do t[#t + 1] = name end table.sort(t) return t
local t = {} for name in pairs(cmsgpack) do t[#t + 1] = name end table.sort(t) return t
local t = {} for name in pairs(bit) do t[#t + 1] = name end table.sort(t) return t
local t = {} for name in pairs(string) do t[#t + 1] = name end table.sort(t) return t
local t = {} for name in pairs(table) do t[#t + 1] = name end table.sort(t) return t
local t = {} for name in pairs(math) do t[#t + 1] = name end table.sort(t) return t
local t = {} for name in pairs(coroutine) do t[#t + 1] = name end table.sort(t) return t
return rawget(string, 'rep') == string.rep
return redis.nosuch
"""  # noqa: E501
"""Whatever goes wrong, and how it is told."""

SUBCOMMANDS = r"""
local r = redis.call('client') return r
local r = redis.call('client', 'nosuch') return r
local r = redis.call('client', 'id') return r
local r = redis.call('client', 'id', 'x') return r
local r = redis.call('client', 'kill') return r
return type(redis.call('client', 'help'))
local r = redis.call('config', 'get', 'maxmemory') return r
return type(redis.call('config', 'help'))
local r = redis.call('object', 'encoding', 'x') return r
local r = redis.call('OBJECT', 'Encoding', 'x') return r
local r = redis.call('object', 'encoding', 'x', 'y') return r
local r = redis.call('object', 'nosuch') return r
local r = redis.call('memory', 'usage', 'no') return r
local r = redis.call('pubsub', 'channels') return r
local r = redis.call('pubsub', 'numsub', 'x') return r
local r = redis.call('acl', 'whoami') return r
local r = redis.call('function', 'list') return r
local r = redis.call('script', 'exists', 'x') return r
local r = redis.call('script', 'nosuch') return r
local r = redis.call('debug', 'sleep', 0) return r
local r = redis.call('shutdown') return r
local r = redis.call('fcall', 'x', 0) return r
local r = redis.call('publish', 'x', 'y') return r
local r = redis.call('spublish', 'x', 'y') return r
local r = redis.call('blmpop', 0, 1, 'no', 'LEFT') return r
local r = redis.call('bzmpop', 0, 1, 'no', 'MIN') return r
return redis.acl_check_cmd('get', 'x')
return redis.acl_check_cmd('client')
return redis.acl_check_cmd('client', 'kill')
local r = redis.acl_check_cmd('client', 'nosuch') return r
return type(redis.call('slowlog', 'len'))
"""
"""A command with subcommands is allowed or not by its subcommand."""

LIBRARIES = r"""
return {cjson.encode_max_depth(), cjson.decode_max_depth(), cjson.encode_number_precision()}
return tostring(cjson.encode_invalid_numbers()) .. tostring(cjson.decode_invalid_numbers()) .. tostring(cjson.encode_keep_buffer())
local a, b, c = cjson.encode_sparse_array() return tostring(a) .. b .. c
local a, b, c = cjson.encode_sparse_array(true, 3, 4) local r = cjson.encode({[1] = 1, [20] = 2}) cjson.encode_sparse_array(false, 2, 10) return {r, tostring(a), b, c}
cjson.encode_sparse_array(true, 0) local r = cjson.encode({[1] = 1, [30] = 2}) cjson.encode_sparse_array(false, 2, 10) return r
local r = cjson.encode_sparse_array(1) return r
local r = cjson.encode_sparse_array(false, -1) return r
local r = cjson.encode_sparse_array(false, 'x') return r
local r = cjson.encode_sparse_array(false, 1, 2, 3) return r
cjson.encode_max_depth(2) local r = {pcall(cjson.encode, {{{}}})} cjson.encode_max_depth(1000) return r[2]
cjson.encode_max_depth(2) local r = {pcall(cjson.encode, {{1}})} cjson.encode_max_depth(1000) return r[2]
cjson.decode_max_depth(2) local r = {pcall(cjson.decode, '[[[]]]')} cjson.decode_max_depth(1000) return r[2]
local r = cjson.encode_max_depth(0) return r
local r = cjson.encode_max_depth('x') return r
local r = cjson.encode_max_depth({}) return r
local r = cjson.encode_max_depth(2 ^ 40) return r
local r = cjson.encode_max_depth(1, 2) return r
cjson.encode_number_precision(3) local r = cjson.encode({1 / 3, 123456, 0.1}) cjson.encode_number_precision(14) return r
local r = cjson.encode_number_precision(15) return r
cjson.encode_invalid_numbers(true) local r = cjson.encode({1 / 0, -1 / 0, 0 / 0}) cjson.encode_invalid_numbers(false) return r
cjson.encode_invalid_numbers('null') local r = cjson.encode({1 / 0}) cjson.encode_invalid_numbers('off') return r
local r = cjson.encode_invalid_numbers('x') return r
local r = cjson.encode_keep_buffer('x') return r
cjson.decode_invalid_numbers(false) local r = {} for i, text in ipairs({'[nan]', '[-inf]', '[0x1F]', '[01]', '[-01]', '[-0]', '[+1]', '[-]', '[1.]', '[.5]', '[0.5]', '[00]', '[0e1]', '[Infinity]', '[-0x1]'}) do local ok, e = pcall(cjson.decode, text) r[i] = tostring(ok) .. (ok and '' or e) end cjson.decode_invalid_numbers(true) return r
local c = cjson.new() c.encode_max_depth(5) c.x = 1 return {c.encode_max_depth(), cjson.encode_max_depth(), c.encode({c.x}), tostring(c.null == cjson.null)}
return {cjson._NAME, cjson._VERSION, cmsgpack._NAME, cmsgpack._VERSION, cmsgpack._COPYRIGHT, cmsgpack._DESCRIPTION}
return cjson.encode(setmetatable({1}, {__index = function() return 2 end}))
local ok, e = pcall(cjson.decode, '"a\0b"') return e
local ok, e = pcall(cjson.decode, '[1]\0x') return ok and 'read' or e
local ok, e = pcall(cjson.decode, '\0[1]') return e
return {cmsgpack.pack(1.5), cmsgpack.pack(0.1), cmsgpack.pack(-0.1), cmsgpack.pack(1e300), cmsgpack.pack(2 ^ -140), cmsgpack.pack(2 ^ -1060), cmsgpack.pack(1 / 0), cmsgpack.pack(-1 / 0), cmsgpack.pack(0 / 0)}
return {cmsgpack.pack(127), cmsgpack.pack(128), cmsgpack.pack(255), cmsgpack.pack(256), cmsgpack.pack(65536), cmsgpack.pack(2 ^ 32), cmsgpack.pack(2 ^ 53), cmsgpack.pack(2 ^ 62), cmsgpack.pack(2 ^ 63)}
return {cmsgpack.pack(-1), cmsgpack.pack(-32), cmsgpack.pack(-33), cmsgpack.pack(-129), cmsgpack.pack(-32769), cmsgpack.pack(-2 ^ 31 - 1), cmsgpack.pack(-2 ^ 63), cmsgpack.pack(-2 ^ 53 + 1)}
return {tostring(cmsgpack.unpack(cmsgpack.pack(0.1))), tostring(cmsgpack.unpack(cmsgpack.pack(2 ^ -1060))), tostring(cmsgpack.unpack('\202\0\0\0\1')), tostring(cmsgpack.unpack('\202\127\128\0\0')), tostring(cmsgpack.unpack('\203\255\240\0\0\0\0\0\0'))}
return {tostring(cmsgpack.unpack('\207\255\255\255\255\255\255\255\255')), tostring(cmsgpack.unpack('\211\255\255\255\255\255\255\255\254')), tostring(cmsgpack.unpack('\211\128\0\0\0\0\0\0\0'))}
local ok, e = pcall(cmsgpack.unpack, '\129\192\1') return e
local ok, e = pcall(cmsgpack.unpack, '\196\1a') return e
local ok, e = pcall(cmsgpack.unpack, '\221\255\255\255\255') return e
local ok, e = pcall(cmsgpack.unpack_one, '\1', 5) return e
local ok, e = pcall(cmsgpack.unpack_one, '\1', -5) return e
local ok, e = pcall(cmsgpack.unpack_limit, '\1', -5) return e
return {cmsgpack.unpack_limit('\1\2\3', 0)}
return {cmsgpack.unpack_limit('\1\2\3', 0, 1)}
return {cmsgpack.unpack_one('\1\2\3', 3)}
return {bit.tobit(1e16), bit.tobit(-1e300), bit.band(1e300, 255), bit.tobit(2 ^ 31), bit.tobit(0.5), bit.tobit(1.5), bit.tobit(-1.5)}
return {bit.tohex(1, 0), bit.tohex(-1, 20), bit.tohex(255, -20)}
local r = bit.bor(1, {}, 'x') return r
return {struct.pack('>i3', -2), struct.pack('<i16', -2), struct.pack('!8bi3d', 1, 2, 3), struct.pack('c0', 'abc'), struct.pack('bxh', 1, 2)}
return {struct.unpack('<i3', '\254\255\255'), struct.unpack('>I4', '\255\255\255\255')}
return {struct.size('c10x!4bi'), struct.size('bT'), struct.size('y')}
local r = struct.size('s') return r
local r = struct.size('c0') return r
local r = struct.pack('i33', 1) return r
local r = struct.pack('!3i', 1) return r
local r = struct.pack('=i', 1) return r
local r = struct.pack('i99999999999', 1) return r
local r = struct.unpack('i', 'abcd', 0) return r
local r = struct.unpack('i', 'abcd', 2) return r
local r = struct.unpack('c0', 'abcd') return r
return {struct.unpack('bc0', '\2ab')}
"""  # noqa: E501
"""What the libraries answer, with all that can be set."""
