"""Scripts of one line that show what a script may do, see and get back."""

from __future__ import annotations

SNIPPETS = r"""
return {1, 2, nil, 4}
return {1.9, -1.9, true, false, 'x', {1}, {ok = 'fine'}, {err = 'bad'}}
return {{}, {{}}}
return {foo = 'bar'}
return {[1] = 1, [2] = 2, foo = 3}
return {ok = 'fine'}
return {err = 'ERR bad thing'}
return {err = 'MY own'}
return {ok = 1}
return {ok = 'a', err = 'b'}
return {1, err = 'x'}
return {double = 1.5}
return {set = {a = true}}
return {map = {a = 1}}
return setmetatable({1, 2}, {__index = function() return 5 end}) and 1
return 'a', 'b'
return
return nil
return true
return false
return 3.99
return -3.99
return 2 ^ 53
return 2 ^ 63
return 1 / 0
return 0 / 0
return function() end
return tostring(nil)
return redis.error_reply('foo')
return redis.error_reply('FOO bar')
return redis.error_reply('-FOO bar')
return redis.error_reply('a\r\nb c')
return redis.error_reply('')
return redis.error_reply()
return redis.error_reply(1)
return redis.status_reply('FOO bar')
return redis.status_reply('a\r\nb')
return redis.status_reply(1)
local r = redis.call() return r
local r = redis.pcall() return r
local r = redis.call('nosuch') return r
local r = redis.call('get') return r
local r = redis.call('get', {}) return r
local r = redis.call('get', true) return r
local r = redis.call('get', nil) return r
local r = redis.call(1) return r
local r = redis.call('multi') return r
local r = redis.pcall('multi') return r
local r = redis.call('blpop', 'a', 0) return r
local r = redis.call('subscribe', 'a') return r
local r = redis.call('eval', 'return 1', 0) return r
local r = redis.call('script', 'load', 'return 1') return r
local r = redis.call('config', 'get', 'maxmemory') return r
local r = redis.call('client', 'id') return r
local r = redis.call('watch', 'a') return r
local r = redis.call('wait', 0, 0) return r
local r = redis.call('auth', 'x') return r
local r = redis.call('hello') return r
redis.call('set', 'a', 'b') local r = redis.call('lpush', 'a', 'c') return r
redis.call('set', 'a', 'b') return redis.pcall('lpush', 'a', 'c')
redis.call('set', 'a', 'b') local ok, e = pcall(redis.call, 'lpush', 'a', 'c') return {tostring(ok), e}
redis.call('set', 'a', 'b') local r = redis.pcall('lpush', 'a', 'c') return r.err
redis.call('set', 'a', 'b') error(redis.pcall('lpush', 'a', 'c'))
redis.call('set', 'a', 10) return {redis.call('incrby', 'a', 3), redis.call('get', 'a')}
redis.call('set', 'a', 1.5) return redis.call('get', 'a')
redis.call('set', 'a', 0.1) return redis.call('get', 'a')
redis.call('set', 'a', 1 / 0) return redis.call('get', 'a')
redis.call('set', 'a', 1e300) return redis.call('get', 'a')
return {redis.call('ping'), redis.call('echo', 'x')}
return redis.call('ping').ok
return redis.call('hgetall', 'a')
return type(redis.call('get', 'a'))
return tostring(redis.call('get', 'a'))
redis.call('select', 1) redis.call('set', 'a', 'x') return redis.call('get', 'a')
redis.call('set', 'a', 'x', 'px', 100000) return redis.call('pttl', 'a') > 90000
redis.call('set', 'a', 'x', 'px', 100000) redis.call('persist', 'a') return redis.call('pttl', 'a')
return redis.call('publish', 'x', 'y')
return #redis.call('time')
return redis.sha1hex('x')
return redis.sha1hex(1)
local r = redis.sha1hex() return r
local r = redis.sha1hex('a', 'b') return r
redis.log(redis.LOG_DEBUG, 'x', 1)
local r = redis.log(1) return r
local r = redis.log(9, 'x') return r
redis.setresp(3) return type(redis.call('get', 'a'))
redis.setresp(3) redis.call('hset', 'a', 'f', '1') return redis.call('hgetall', 'a').map.f
redis.setresp(3) redis.call('zadd', 'a', 1.5, 'm') return tostring(redis.call('zscore', 'a', 'm').double)
redis.setresp(3) redis.call('sadd', 'a', 'm') return tostring(redis.call('smembers', 'a').set.m)
redis.setresp(2) return redis.call('get', 'a')
local r = redis.setresp(4) return r
local r = redis.setresp() return r
return tostring(redis.replicate_commands())
return tostring(redis.breakpoint())
return {redis.LOG_DEBUG, redis.LOG_VERBOSE, redis.LOG_NOTICE, redis.LOG_WARNING}
error('foo')
error('foo', 0)
error({err = 'MY own error'})
error(true)
error()
return 1 + nil
local x = nil; x.y = 1
return foo
return foo()
x = 1
local function f() y = 1 end f()
return print
return loadfile
return dofile
return require
return newproxy
return getfenv
return debug
return io
return package
string.foo = 1
redis.call = nil
string = 1
rawset(string, 'x', 1)
table.insert(redis, 1)
setmetatable(_G, {})
setmetatable(redis, {})
getmetatable('').__index = nil
a b
return (
local a <const> = 1
goto x
return loadstring('return 5')()
return loadstring('return KEYS[1]')()
return tostring(loadstring('return ('))
return tostring(loadstring(string.dump(function() end)))
return load(function() return nil end)
local n = 0 return load(function() n = n + 1 if n == 1 then return 'return 7' end end)()
local t = setmetatable({}, {__index = function(t, k) return k end}) return t.foo
return rawequal(_G._G, _G) and 1
local ok, e = pcall(error, {a = 1}) return e.a
local ok, e = pcall(function() error('x') end) return e
local ok, e = pcall(function() error({err = 'x y'}) end) return e
local ok, e = xpcall(function() error('x') end, function(m) return 'H' .. m end) return e
local ok, e = xpcall(function() return redis.call('get') end, function(e) return type(e) end) return e
return {pcall(function() return 1, 2 end)}
return {select('#', xpcall(function() return 1, 2 end, function() end))}
local c = coroutine.create(function() coroutine.yield(7) end) return {coroutine.resume(c)}
local c = coroutine.wrap(function() coroutine.yield(redis.call('set', 'a', 1)) end) return c()
local c = coroutine.create(function() redis.call('get') end) local ok, e = coroutine.resume(c) return type(e)
return coroutine.running() and 1 or 0
return ('x'):rep(3) .. ('abc'):upper():sub(2)
return {('hello world'):match('(%w+) (%w+)')}
return {('hello'):gsub('l', 'L')}
local t = {} for w in ('a b c'):gmatch('%a') do t[#t + 1] = w end return t
return string.format('%d %s %5.2f %q', 3, 'x', 1.5, 'a"b')
return {table.concat({1, 2, 3}, ','), table.getn({1, 2}), table.maxn({1, [7] = 2})}
local t = {3, 1, 2} table.sort(t) return t
local t = {1, 2} table.insert(t, 3) table.insert(t, 1, 0) table.remove(t) return t
return {unpack({1, 2, 3})}
return {math.floor(1.5), math.max(1, 5), math.fmod(7, 3), math.abs(-2), math.huge > 1}
return math.random() < 1
return math.random(3) <= 3
local r = math.random(5, 1) return r
return {type(redis), type(redis.call), type(cjson), type(_G), type(KEYS), type(string)}
return #KEYS + #ARGV
return KEYS[1]
return collectgarbage('count') > 0
return gcinfo() > 0
return _VERSION
return tostring(cjson.null)
return type(cjson.null)
return cjson.null
return cjson.encode({})
return cjson.encode({1, nil, 3})
return cjson.encode({[1] = 1, [5] = 5})
local r = cjson.encode({[1] = 1, [20] = 5}) return r
return cjson.encode({[1] = 1, [2] = 2, x = 5})
return cjson.encode({[1.5] = 1})
local r = cjson.encode({[true] = 1}) return r
local r = cjson.encode(function() end) return r
local r = cjson.encode({0 / 0}) return r
local r = cjson.encode(1 / 0) return r
local r = cjson.encode() return r
local r = cjson.encode(1, 2) return r
return cjson.encode({1e15, 2 ^ 53, 0.1, 1 / 3, 1e14, -0.0, 1e300, 123456789012345678})
return cjson.encode({cjson.null, true, false, 'x'})
return cjson.encode('a"\\/\n\t\1\127\0é')
return cjson.decode('[1, 2, {"a": null}]')
return cjson.decode('"a\\u00e9\\ud83d\\ude00\\n\\/"')
return tostring(cjson.decode('null') == cjson.null)
local r = cjson.decode({}) return r
return cjson.decode(5)
local t = {} local x = t for i = 1, 2000 do x[1] = {} x = x[1] end local r = cjson.encode(t) return r
local r = cjson.decode(('['):rep(2000) .. (']'):rep(2000)) return r
return cmsgpack.pack({1, 2, 3}, 'x', {})
return cmsgpack.pack({a = 1}, nil, true, false, cjson.null)
return cmsgpack.pack(('x'):rep(40), ('x'):rep(300))
return {cmsgpack.unpack('\1\2\3')}
return {cmsgpack.unpack_one('\1\2\3')}
return {cmsgpack.unpack_one('\1\2\3', 1)}
return {cmsgpack.unpack_limit('\1\2\3', 2)}
return {cmsgpack.unpack_limit('\1\2\3', 2, 1)}
local r = cmsgpack.unpack('\193') return r
local r = cmsgpack.unpack('\146\1') return r
local r = cmsgpack.pack() return r
return cmsgpack.unpack(cmsgpack.pack({1, {2, {3}}, a = 'b'})).a
local t = {} local x = t for i = 1, 30 do x[1] = {} x = x[1] end return cmsgpack.pack(t)
return {bit.band(255, 15), bit.bor(1, 2), bit.bxor(5, 3), bit.bnot(0), bit.bswap(1)}
return {bit.lshift(1, 31), bit.rshift(-1, 28), bit.arshift(-8, 1), bit.rol(1, 33), bit.ror(1, 1)}
return {bit.tobit(2 ^ 32 + 5), bit.tohex(255), bit.tohex(255, 4), bit.tohex(255, -4), bit.tobit(1.5)}
local r = bit.band() return r
local r = bit.band('x') return r
return bit.band('5', 1)
return {struct.pack('>I2', 258), struct.pack('<i4', -2), struct.pack('d', 1.5), struct.pack('s', 'ab')}
return {struct.pack('>bhl', 1, 2, 3), struct.pack('!4bi4', 1, 2), struct.pack('c3', 'abcd'), struct.size('!4bi4')}
return {struct.unpack('>I2', '\1\2')}
return {struct.unpack('s', 'ab\0c')}
return {struct.unpack('bc0', '\3abcd')}
return {struct.unpack('>I2', 'x\1\2', 2)}
local r = struct.pack('y', 1) return r
local r = struct.unpack('i4', 'ab') return r
local r = struct.pack('i') return r
"""  # noqa: E501
"""One a line."""
