"""Loading: everybody is told of it meanwhile, and it can be ended, or fail."""

from __future__ import annotations

import gc
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from sharedstate.testing.background import wait_until
from sharedstate_server import loading_display
from sharedstate_server.loading import Loading, set_loading
from sharedstate_server.loading_display import display_for
from sharedstate_server.server import Server
from sharedstate_server.server_log import ServerLog, to_stderr
from tests.unit.server.started import client

MEGABYTE = 1024 * 1024


class Loaded:
    """A server in a thread, and something that it loads until a test lets it finish."""

    def __init__(self, folder: Path, log: ServerLog | None = None) -> None:
        self.server = Server(log=log or ServerLog(lambda line, level: None))
        self.server.listen_unix(str(folder / "s"))
        self.path = folder / "s"
        self.may_end = threading.Event()
        self.error: Exception | None = None
        self.results: list[Exception | None] = []
        persistence = self.server.data.open()
        persistence.loading = Loading(self.server, self._steps(), 200, self._on_end)
        persistence.loading.begin()
        self.thread = threading.Thread(
            target=self.server.run, kwargs={"catch_signals": False}
        )
        self.thread.start()

    def _steps(self) -> Iterator[int]:
        while not self.may_end.is_set():
            yield 50
        if self.error is not None:
            raise self.error
        self.server.engine.databases[0].put(b"k", b"v")
        yield 200

    def _on_end(self, error: Exception | None) -> None:
        self.results.append(error)
        persistence = self.server.data.open()
        persistence.loading = None
        set_loading(self.server, is_loading=False)

    def close(self) -> None:
        self.may_end.set()
        self.server.request_stop()
        self.thread.join()


@pytest.fixture
def loaded(tmp_path: Path) -> Iterator[Loaded]:
    loaded = Loaded(tmp_path)
    yield loaded
    loaded.close()


def test_others_are_served_meanwhile_and_told(loaded: Loaded) -> None:
    with client(path=loaded.path) as one:
        with pytest.raises(Exception, match="loading the dataset"):
            one.execute_command("GET", "k")
        with pytest.raises(Exception, match="loading the dataset"):
            one.execute_command("PING")
        wait_until(lambda: one.info("persistence")["loading_loaded_bytes"] == 50)
        facts = one.info("persistence")
        assert facts["loading"] == 1
        assert facts["loading_total_bytes"] == 200
        assert facts["loading_loaded_perc"] == 25
        assert facts["loading_start_time"] > 1_600_000_000
        assert facts["loading_eta_seconds"] >= 0
        loaded.may_end.set()
        wait_until(lambda: loaded.results == [None])
        assert one.get("k") == "v"
        assert one.info("persistence")["loading"] == 0
        assert "loading_total_bytes" not in one.info("persistence")


def test_no_garbage_is_looked_for_meanwhile(loaded: Loaded) -> None:
    assert not gc.isenabled()
    loaded.may_end.set()
    wait_until(lambda: bool(loaded.results))
    assert gc.isenabled()


def test_a_failure_is_told_to_who_began_it(loaded: Loaded) -> None:
    loaded.error = ValueError("damaged")
    loaded.may_end.set()
    wait_until(lambda: loaded.results == [loaded.error])
    assert gc.isenabled()


def test_a_server_that_ends_meanwhile_saves_nothing(tmp_path: Path) -> None:
    loaded = Loaded(tmp_path)
    try:
        loaded.server.engine.settings.load("save", ["1", "1"])
        loaded.server.engine.settings.load("dir", [str(tmp_path)])
        loaded.server.engine.databases[0].put(b"half", b"v")
        with (
            client(path=loaded.path, retry=None) as one,
            pytest.raises(redis.ConnectionError),
        ):
            one.execute_command("SHUTDOWN", "SAVE")
        loaded.thread.join(20)
        assert not loaded.thread.is_alive()
        assert not (tmp_path / "dump.rdb").exists()
        assert gc.isenabled()
    finally:
        loaded.close()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestDisplay:
    """What somebody at the console sees, or reads in the log."""

    @pytest.fixture(autouse=True)
    def at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(loading_display, "FIRST_SECONDS", 0.0)
        monkeypatch.setattr(loading_display, "_BAR_SECONDS", 0.0)
        monkeypatch.setattr(loading_display, "_LINE_SECONDS", 0.0)

    def test_a_log_gets_lines(self) -> None:
        lines: list[str] = []
        display = display_for(ServerLog(lambda line, level: lines.append(line)), MEGABYTE)
        display.show(MEGABYTE // 4, 3.0)
        display.close()
        assert lines[0].endswith("Loading: 25 % of 1.0 MB, 9 s left\n")

    @pytest.mark.parametrize("has_rich", [True, False])
    def test_a_console_gets_a_bar_that_is_cleared_in_the_end(
        self, monkeypatch: pytest.MonkeyPatch, *, has_rich: bool
    ) -> None:
        terminal = Terminal()
        monkeypatch.setattr("sys.stderr", terminal)
        if not has_rich:
            monkeypatch.setitem(__import__("sys").modules, "rich.progress", None)
        display = display_for(ServerLog(to_stderr), MEGABYTE)
        display.show(MEGABYTE // 2, 1.0)
        shown = terminal.getvalue()
        assert "Loading" in shown
        assert "50 % of 1.0 MB" in shown
        assert ("[####" in shown) != has_rich
        display.close()
        # Cleared: by an escape of the terminal, or by blanks.
        assert terminal.getvalue().endswith("\x1b[2K" if has_rich else " \r")

    def test_a_terminal_that_has_gone_stops_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        terminal = Terminal()
        monkeypatch.setattr("sys.stderr", terminal)
        monkeypatch.setitem(__import__("sys").modules, "rich.progress", None)
        display = display_for(ServerLog(to_stderr), MEGABYTE)
        terminal.close()
        display.show(1, 1.0)
        display.close()

    def test_a_short_loading_shows_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(loading_display, "FIRST_SECONDS", 60.0)
        terminal = Terminal()
        monkeypatch.setattr("sys.stderr", terminal)
        display = display_for(ServerLog(to_stderr), MEGABYTE)
        display.show(1, 1.0)
        display.close()
        assert terminal.getvalue() == ""
