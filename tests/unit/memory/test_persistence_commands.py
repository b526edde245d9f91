"""Commands of persistence on an engine whose owner has no files, or refuses to write."""

from __future__ import annotations

import pytest

from sharedstate_memory.engine import Engine
from tests.unit.memory.conftest import Client


@pytest.mark.parametrize(
    "line", ["SAVE", "BGSAVE", "BGSAVE SCHEDULE", "BGREWRITEAOF", "SHUTDOWN SAVE"]
)
def test_an_engine_without_files_says_so(client: Client, line: str) -> None:
    refusal = client.refusal(line)
    assert "keeps nothing on disk" in refusal or "Errors trying to SHUTDOWN" in refusal


def test_an_engine_without_files_was_saved_when_it_began(
    client: Client, engine: Engine
) -> None:
    assert client("LASTSAVE") == engine.started_at_ms // 1000


def test_a_bad_word_is_a_syntax_error(client: Client) -> None:
    assert client.refusal("BGSAVE NOW") == "ERR syntax error"


class TestWhenTheDiskFails:
    """`Engine.write_refusal` stands between writers and the data."""

    REFUSAL = "MISCONF the disk is full"

    @pytest.fixture(autouse=True)
    def failing_disk(self, client: Client, engine: Engine) -> None:
        client("SET k v")
        engine.write_refusal = self.REFUSAL.encode()
        engine.review_sessions()

    @pytest.mark.parametrize("line", ["SET k w", "DEL k", "FLUSHALL", "PING", "BLPOP l 1"])
    def test_writers_and_pings_are_refused(self, client: Client, line: str) -> None:
        assert client.refusal(line) == self.REFUSAL
        assert client("GET k") == b"v"

    def test_a_transaction_that_writes_is_refused_as_a_whole(self, client: Client) -> None:
        client("MULTI")
        assert client.refusal("SET k w") == self.REFUSAL
        client("GET k")
        assert client.refusal("EXEC").startswith("EXECABORT")

    def test_one_that_was_queued_before_is_refused(
        self, client: Client, engine: Engine
    ) -> None:
        engine.write_refusal = b""
        client("MULTI")
        client("SET k w")
        engine.write_refusal = self.REFUSAL.encode()
        engine.review_sessions()
        assert client.refusal("EXEC").endswith(self.REFUSAL)
        assert client("GET k") == b"v"

    def test_a_script_may_read_and_not_write(self, client: Client) -> None:
        assert client("EVAL", "return redis.call('get', 'k')", 0) == b"v"
        refusal = client.refusal("EVAL", "return redis.call('set', 'k', 'w')", 0)
        assert refusal.startswith(self.REFUSAL)
        assert client("GET k") == b"v"

    def test_a_declared_script_runs_only_if_it_declares_not_to_write(
        self, client: Client
    ) -> None:
        reads = "return redis.call('get', 'k')"
        assert client("EVAL", f"#!lua flags=no-writes\n{reads}", 0) == b"v"
        assert client.refusal("EVAL", f"#!lua\n{reads}", 0) == self.REFUSAL

    def test_all_is_well_again_when_the_disk_is(
        self, client: Client, engine: Engine
    ) -> None:
        engine.write_refusal = b""
        engine.review_sessions()
        client("SET k w")
        assert client("GET k") == b"w"


class TestWhileLoading:
    """`Engine.is_loading` lets only those commands pass that need no data."""

    @pytest.fixture(autouse=True)
    def loading(self, engine: Engine) -> None:
        engine.is_loading = True
        engine.review_sessions()

    @pytest.mark.parametrize(
        "line", ["PING", "GET k", "SET k v", "DBSIZE", "SAVE", "KEYS *"]
    )
    def test_what_needs_the_data_is_refused(self, client: Client, line: str) -> None:
        assert client.refusal(line) == "LOADING Redis is loading the dataset in memory"

    @pytest.mark.parametrize("line", ["INFO", "SELECT 1", "TIME", "LASTSAVE", "MULTI"])
    def test_what_needs_none_is_answered(self, client: Client, line: str) -> None:
        assert client(line)

    def test_nothing_expires_in_the_background(
        self, client: Client, engine: Engine
    ) -> None:
        engine.databases[0].overwrite(b"k", b"v")
        engine.databases[0].set_deadline(b"k", 1)
        engine.cron()
        assert b"k" in engine.databases[0].data
