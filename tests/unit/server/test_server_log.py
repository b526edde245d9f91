"""The log: nothing that comes from outside can hide in it, or stand for a line of it."""

from __future__ import annotations

from sharedstate_server.server_log import ServerLog


def test_a_text_of_several_lines_does_not_look_like_several_entries() -> None:
    lines: list[str] = []
    log = ServerLog(lambda line, level: lines.append(line))
    log("login as mallory\r\n1:M 01 Jan 2030 00:00:00.000 * all is well")
    (entry,) = lines
    first, second = entry.splitlines()
    assert first.rstrip().endswith("login as mallory")
    assert second.startswith("    1:M")


def test_what_a_stream_cannot_write_is_written_in_other_letters() -> None:
    lines: list[str] = []

    def write(line: str, level: str) -> None:
        line.encode("ascii")
        lines.append(line)

    ServerLog(write)("login as b\udce4r\ufffd failed")
    assert lines[0].endswith("login as b\\udce4r\\ufffd failed\n")
