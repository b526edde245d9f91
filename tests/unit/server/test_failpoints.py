"""Failpoints: what is armed happens, so often, and nothing else does."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import pytest

from sharedstate_server import failpoints


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.armed.clear()


def test_nothing_is_armed_at_first() -> None:
    assert not failpoints.armed
    assert failpoints.hit("aof.write", 10) == 10


def test_an_error_is_raised_as_often_as_was_said() -> None:
    failpoints.arm("rdb.fsync", "error:EIO*2")
    for _ in range(2):
        with pytest.raises(OSError, match=os.strerror(errno.EIO)) as caught:
            failpoints.hit("rdb.fsync")
        assert caught.value.errno == errno.EIO
    failpoints.hit("rdb.fsync")


def test_the_first_hits_may_pass() -> None:
    failpoints.arm("rdb.write", "error:ENOSPC*1@3")
    failpoints.hit("rdb.write")
    failpoints.hit("rdb.write")
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        failpoints.hit("rdb.write")
    failpoints.hit("rdb.write")


def test_a_short_write_writes_the_beginning() -> None:
    failpoints.arm("rdb.write", "short:3*1")
    reader, writer = os.pipe()
    assert failpoints.write("rdb.write", writer, b"abcdef") == 3
    assert failpoints.write("rdb.write", writer, b"def") == 3
    assert os.read(reader, 100) == b"abcdef"
    os.close(reader)
    os.close(writer)


def test_hits_in_a_forked_child_count_for_its_parent() -> None:
    failpoints.arm("rdb.open", "error:EIO@2")
    pid = os.fork()
    if not pid:
        failpoints.hit("rdb.open")
        os._exit(0)
    os.waitpid(pid, 0)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        failpoints.hit("rdb.open")


def test_a_line_arms_several() -> None:
    failpoints.arm_from("aof.fsync=error:EIO*3; rdb.write=short:10;;")
    assert set(failpoints.armed) == {"aof.fsync", "rdb.write"}
    failpoints.arm("aof.fsync", "off")
    assert set(failpoints.armed) == {"rdb.write"}


@pytest.mark.parametrize(
    "text",
    ["x", "x=", "x=error", "x=error:ENOTHING", "x=short:", "x=kill:9", "x=delay:1*x"],
)
def test_what_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(failpoints.FailpointError):
        failpoints.arm_from(text)
    assert not failpoints.armed
