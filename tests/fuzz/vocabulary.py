"""The words that hostile commands are made of, and what they find on the server.

Every command and subcommand of the table is there, whatever it does, but for those that
end the server, stop it on purpose, or let nobody in any more. Arguments are drawn from
numbers at the edges, the options of all commands, and keys that hold each type.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sharedstate.commands import COMMANDS, CommandSpec, subcommands

Words = tuple[bytes, ...]

KEYS = (
    *(b"string", b"bits", b"integer", b"float", b"list", b"hash", b"set", b"integers"),
    *(b"sorted", b"tied", b"expiring", b"missing", b"other", b"w_1", b"w_a"),
)

FILLING: tuple[Words, ...] = (
    (b"SET", b"string", b"hello hello"),
    (b"SETRANGE", b"bits", b"300", b"\xff\x01"),
    (b"SET", b"integer", b"10"),
    (b"SET", b"float", b"1.5"),
    (b"SET", b"expiring", b"x", b"PX", b"100000"),
    (b"RPUSH", b"list", b"a", b"b", b"1", b"2", b"", b"a"),
    (b"HSET", b"hash", b"a", b"1", b"b", b"x", b"1", b"2.5", b"", b"y"),
    (b"HPEXPIRE", b"hash", b"100000", b"FIELDS", b"1", b"a"),
    (b"SADD", b"set", b"a", b"b", b"c", b"1"),
    (b"SADD", b"integers", b"1", b"2", b"3"),
    (b"ZADD", b"sorted", b"1", b"a", b"2.5", b"b", b"inf", b"c", b"-inf", b"1"),
    (b"ZADD", b"tied", b"0", b"a", b"0", b"b", b"0", b"c"),
    (b"MSET", b"w_1", b"2", b"w_a", b"1"),
    (
        b"FUNCTION",
        b"LOAD",
        b"#!lua name=lib\n"
        b"redis.register_function('f', function(keys, args)"
        b" return redis.pcall(unpack(args)) end)\n"
        b"redis.register_function{function_name='g', flags={'no-writes'},"
        b" callback=function(keys, args) return redis.call(unpack(args)) end}",
    ),
)
"""Commands that leave a key of each type, and functions to call."""

NUMBERS = (
    *(b"0", b"1", b"-1", b"2", b"3", b"7", b"10", b"-2", b"-100", b"64", b"1000000"),
    *(b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808"),
    *(b"9223372036854775806", b"-9223372036854775807", b"18446744073709551616"),
    *(b"4294967295", b"4294967296", b"2147483647", b"-2147483648", b"536870911"),
    *(b"-1000000000", b"1000000000", b"9" * 400, b"01", b" 1", b"+1", b"1_0", b"-0"),
)

FLOATS = (
    *(b"0.0", b"1.5", b"-1.5", b"1e308", b"-1e308", b"1e309", b"inf", b"-inf", b"+inf"),
    *(b"nan", b"-nan", b"1e-400", b"5e-324", b"1e", b"0x10", b"0x1p-2000", b"infinity"),
    *(b"(1", b"(inf", b"(nan", b"[a", b"(a", b"-", b"+", b"[", b"(", b"0." + b"1" * 400),
)

OPTIONS = tuple(
    b"""
    NX XX GT LT CH INCR EX PX EXAT PXAT KEEPTTL GET PERSIST WITHSCORES WITHVALUES BYSCORE
    BYLEX REV LIMIT WEIGHTS AGGREGATE SUM MIN MAX COUNT MATCH TYPE LEFT RIGHT BEFORE AFTER
    RANK MAXLEN ASC DESC ALPHA BY STORE # nosort w_* w_*->a IDX MINMATCHLEN LEN
    WITHMATCHLEN OVERFLOW WRAP SAT FAIL SET INCRBY u8 i64 u63 u64 i1 u1 #0 #1 AND OR XOR
    NOT BIT BYTE ASYNC SYNC REPLACE DB FIELDS FNX ON OFF BCAST PREFIX OPTIN OPTOUT NOLOOP
    REDIRECT YES NO TIMEOUT ERROR ID USER ADDR LADDR SKIPME NORMAL PUBSUB SETNAME AUTH
    SAMPLES FILTERBY MODULE ACLCAT PATTERN WITHCODE LIBRARYNAME APPEND FLUSH RESTORE RESET
    VERSION keyspace string hash list set zset @all +@all -@read +get|x ~* %R~a* &* >word
    #aa nopass (~x) all everything server clients memory commandstats latencystats
    lib-name lib-ver maxmemory hz timeout slowlog-max-len f g lib lua
    """.split()
)

PATTERNS = (
    *(b"*", b"?", b"[", b"[a-", b"[^", b"[^]", b"[z-a]", b"\\", b"a*", b"*[a-z]?"),
    *(b"*a*a*a*a*a*a*b", b"\x00*", b"[\\", b"*" * 50 + b"x", b"?" * 200),
)

TEXTS = (
    *(b"", b"a", b"b", b"c", b"\x00", b"\xff\xfe", b"a\r\nb", b"\r\n", b"'", b'"', b"%s%n"),
    *(b"x" * 100, b"x" * 20_000, "é€😀".encode(), b"\xed\xa0\x80", b"{}", b"[[1,2],null]"),
)

SCRIPTS = (
    b"return redis.call(unpack(ARGV))",
    b"return redis.pcall(unpack(ARGV))",
    b"redis.setresp(3) return redis.call(unpack(ARGV))",
    b"redis.setresp(3) return redis.pcall(unpack(ARGV))",
    b"return {redis.pcall(unpack(ARGV)), KEYS, 1.5, false, {ok='x'}, {err='y'}}",
    b"return ARGV",
    b"return cjson.decode(ARGV[1])",
    b"return cjson.encode(redis.pcall(unpack(ARGV)))",
    b"return cmsgpack.unpack(ARGV[1])",
    b"return struct.unpack(ARGV[1], ARGV[2])",
    b"return struct.pack(ARGV[1], ARGV[2])",
    b"return string.format(ARGV[1], ARGV[2])",
    b"return string.find(ARGV[1], ARGV[2])",
    b"return bit.tohex(tonumber(ARGV[1]))",
    b"local t = {} t.t = t return t",
    b"error({err='a\\r\\nb'})",
    b"return {double=0/0, map={a=1}, set={a=true}, big_number='1', verbatim_string={}}",
    b"#!lua flags=no-writes\nreturn redis.call(unpack(ARGV))",
    b"#!lua name=other\nredis.register_function('f', print)",
    b"#!lua",
    b"return (",
    b"\x00",
)

# What ends the server, stops it for everybody, lets nobody in, or writes files.
_LEFT_OUT = frozenset(
    (
        *("SHUTDOWN", "DEBUG", "CONFIG|REWRITE", "ACL|SAVE", "ACL|LOAD"),
        *("CLIENT|PAUSE", "WAIT"),
    )
)

SETTINGS = (b"maxmemory", b"hz", b"timeout", b"slowlog-max-len", b"maxmemory-policy")
"""What CONFIG SET may change without harm to a test."""


def all_specs() -> dict[Words, CommandSpec]:
    """Every command and subcommand, by its name's words."""
    table = {**COMMANDS, **subcommands()}
    return {tuple(name.encode().split(b"|")): table[name] for name in sorted(table)}


def specs() -> dict[Words, CommandSpec]:
    """Every command that may be tried on a server that has other clients."""
    return {
        words: spec
        for words, spec in all_specs().items()
        if spec.name not in _LEFT_OUT and "blocking" not in spec.flags
    }


def is_harmless(words: Sequence[bytes]) -> bool:
    """Whether a command leaves the door open for others, and changes no setting that a
    test relies on.
    """
    head = tuple(word.upper() for word in words[:2])
    if head[:1] == (b"SHUTDOWN",) or head == (b"CLIENT", b"PAUSE"):
        return False
    if head in ((b"ACL", b"SETUSER"), (b"ACL", b"DELUSER")):
        return b"default" not in words
    if head == (b"CONFIG", b"SET"):
        return all(name.lower() in SETTINGS for name in words[2::2])
    return True


def pack(words: Iterable[bytes]) -> bytes:
    """A command as clients send it."""
    words = list(words)
    parts = [b"*%d\r\n" % len(words)]
    parts += [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
    return b"".join(parts)
