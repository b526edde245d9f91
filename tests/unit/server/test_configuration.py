"""Configuration: the command line, lines and files, the log, and who may come in."""

from __future__ import annotations

import os
import re
import socket
import syslog
from pathlib import Path
from random import Random

import pytest

from sharedstate_memory.engine import Engine
from sharedstate_memory.settings import Settings
from sharedstate_server.acl_file import users_for_config
from sharedstate_server.admission import PROTECTED, TOO_MANY, Admission
from sharedstate_server.command_line import CommandLine
from sharedstate_server.config_file import (
    ConfigError,
    ConfigLineError,
    ConfigLoader,
)
from sharedstate_server.config_rewrite import replace_whole, rewrite_file, rewritten
from sharedstate_server.directives import server_settings
from sharedstate_server.server_log import ServerLog, log_from, to_file, to_stdout


@pytest.fixture
def settings() -> Settings:
    return server_settings()


def follow(settings: Settings, text: str) -> ConfigLoader:
    """Follow the lines of a text."""
    loader = ConfigLoader(settings)
    loader.load_lines(text.split("\n"), of="the test")
    return loader


class TestCommandLine:
    """Words become a file's name and lines."""

    @pytest.mark.parametrize(
        ("words", "lines"),
        [
            ([], []),
            (["--port", "1"], ['port "1"']),
            (["--bind", "::1", "-::2"], ['bind "::1" "-::2"']),
            (["--port 1", "--hz", "2"], ["port 1", 'hz "2"']),
            (
                ["--requirepass", "--secret", "--hz", "1"],
                ['requirepass "--secret"', 'hz "1"'],
            ),
            (["--save", "--hz", "1"], ['save ""', 'hz "1"']),
            (["--save"], ['save ""']),
            (["--save", "", "--hz", "1"], ['save ""', 'hz "1"']),
            (["--requirepass", 'a "b"\n'], ['requirepass "a \\"b\\"\\n"']),
        ],
    )
    def test_an_option_is_a_line(self, words: list[str], lines: list[str]) -> None:
        command = CommandLine(words)
        assert (command.path, command.reads_input, command.lines) == (None, False, lines)

    @pytest.mark.parametrize(
        ("words", "path", "reads_input"),
        [
            (["x.conf"], "x.conf", False),
            (["x.conf", "--hz", "1"], "x.conf", False),
            (["x.conf", "--hz", "1", "-"], "x.conf", True),
            (["-", "--hz", "1"], None, True),
            (["-"], None, True),
        ],
    )
    def test_a_file_comes_first_and_a_dash_is_the_input(
        self, words: list[str], path: str | None, reads_input: bool
    ) -> None:
        command = CommandLine(words)
        assert (command.path, command.reads_input) == (path, reads_input)


class TestLines:
    """Lines become settings."""

    @pytest.mark.parametrize(
        ("line", "password"),
        [
            ("requirepass plain", "plain"),
            ('requirepass "two words"', "two words"),
            (r'requirepass "\x41\n\"\\"', 'A\n"\\'),
            (r"requirepass 'it\'s \n'", r"it's \n"),
            ("  REQUIREPASS\tx\r", "x"),
            ('requirepass ""', ""),
        ],
    )
    def test_words_are_quoted_as_on_redis(
        self, settings: Settings, line: str, password: str
    ) -> None:
        follow(settings, line)
        assert settings["requirepass"] == password

    def test_the_last_line_wins(self, settings: Settings) -> None:
        follow(settings, "# hz 1\n\nhz 2\nhz 3\n")
        assert settings["hz"] == 3

    def test_limits_of_classes_add_up(self, settings: Settings) -> None:
        follow(
            settings,
            "client-output-buffer-limit pubsub 1mb 1kb 5\n"
            "client-output-buffer-limit slave 2 3 4\n",
        )
        assert settings["client-output-buffer-limit"] == {
            "normal": (0, 0, 0),
            "replica": (2, 3, 4),
            "pubsub": (1024 * 1024, 1024, 5),
        }

    def test_rules_for_snapshots_add_up(self, settings: Settings) -> None:
        follow(settings, "save 900 1\nsave 60 1000 30 5000")
        assert settings["save"] == ((900, 1), (60, 1000), (30, 5000))
        with pytest.raises(ConfigLineError, match="Invalid save parameters"):
            follow(settings, "save 900")

    def test_an_empty_rule_is_none(self, settings: Settings) -> None:
        follow(settings, 'save ""')
        assert settings["save"] == ()

    def test_what_old_files_have_is_passed_over(self, settings: Settings) -> None:
        follow(settings, "list-max-ziplist-entries 512\nlist-max-ziplist-value 64")

    def test_users_are_kept_for_later(self, settings: Settings) -> None:
        loader = follow(settings, "user alice on >x\nuser bob off")
        assert loader.users == [["alice", "on", ">x"], ["bob", "off"]]

    def test_a_file_that_is_included_comes_in_its_place(
        self, settings: Settings, tmp_path: Path
    ) -> None:
        included = tmp_path / "included.conf"
        included.write_text("hz 2\nlfu-log-factor 2\n")
        follow(settings, f"hz 1\ninclude {included}\nlfu-log-factor 3")
        assert (settings["hz"], settings["lfu-log-factor"]) == (2, 3)

    def test_an_error_names_the_file_that_has_the_line(
        self, settings: Settings, tmp_path: Path
    ) -> None:
        included = tmp_path / "included.conf"
        included.write_text("\nhz x\n")
        with pytest.raises(ConfigLineError, match=f"line 2 of {included}"):
            follow(settings, f"include {included}")

    def test_a_file_that_is_not_there_is_named(self, settings: Settings) -> None:
        with pytest.raises(ConfigError, match="'/no/file': No such file"):
            follow(settings, "include /no/file")


class TestRewriting:
    """Settings become lines again."""

    def test_comments_and_order_stay_and_the_rest_is_appended(
        self, settings: Settings
    ) -> None:
        old = "# first\nhz 10\n\n# second\nmaxmemory 1mb\ninclude /x\n"
        settings.change([("maxmemory", "2mb"), ("lfu-log-factor", "5")])
        assert rewritten(old, settings, []) == (
            "# first\nhz 10\n\n# second\nmaxmemory 2mb\ninclude /x\n"
            "\n# Generated by CONFIG REWRITE\nlfu-log-factor 5\n"
        )

    def test_a_value_that_went_back_to_its_default_stays_in_its_line(
        self, settings: Settings
    ) -> None:
        assert rewritten("hz 20\n", settings, []) == "hz 10\n"

    def test_several_lines_of_one_directive_become_what_it_needs(
        self, settings: Settings
    ) -> None:
        old = "maxmemory 1\n# a\nmaxmemory 2\nlua-time-limit 3\nbusy-reply-threshold 4\n"
        assert rewritten(old, settings, []) == (
            "maxmemory 0\n# a\nbusy-reply-threshold 5000\n"
        )

    def test_what_is_written_twice_is_the_same(self, settings: Settings) -> None:
        settings.change(
            [
                ("requirepass", 'a "b"\x01\udcff'),
                ("client-output-buffer-limit", "pubsub 1gb 5 7"),
                ("bind", "127.0.0.1 -::1"),
                ("maxmemory-clients", "5%"),
                ("latency-tracking-info-percentiles", ""),
                ("notify-keyspace-events", "KAn"),
            ]
        )
        once = rewritten("", settings, ["user bob on"])
        again = server_settings()
        loader = follow(again, once)
        assert rewritten(once, again, [" ".join(["user", *loader.users[0]])]) == once
        assert {name: again[name] for name in again} == {
            name: settings[name] for name in settings
        }

    def test_a_file_keeps_its_mode_and_a_link_leads_to_it(self, tmp_path: Path) -> None:
        path, link = tmp_path / "file", tmp_path / "link"
        path.write_text("old")
        path.chmod(0o640)
        link.symlink_to(path)
        replace_whole(str(link), b"new")
        assert path.read_text() == "new"
        assert link.is_symlink()
        assert path.stat().st_mode & 0o777 == 0o640

    def test_a_file_that_cannot_be_replaced_stays(
        self, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "x.conf"
        path.write_text("hz 20\n")

        def fail(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space left"):
            rewrite_file(str(path), settings, list)
        assert path.read_text() == "hz 20\n"
        assert os.listdir(tmp_path) == ["x.conf"]

    @pytest.mark.parametrize(
        ("changes", "names"),
        [
            ([], []),
            (["CONFIG SET requirepass secret"], []),
            (["ACL SETUSER bob on"], ["bob", "default"]),
            (["ACL SETUSER default -@dangerous"], ["default"]),
            (["ACL SETUSER default >other"], ["default"]),
        ],
    )
    def test_users_are_written_unless_they_follow_from_the_password(
        self, changes: list[str], names: list[str]
    ) -> None:
        engine = Engine(clock_ms=lambda: 0, random=Random(0))
        session = engine.open_session(lambda reply: None)
        for line in changes:
            assert session.execute(line.encode().split()) == b"OK"
        assert [line.split()[1] for line in users_for_config(engine)] == names

    def test_users_whose_patterns_have_quotes_are_read_again_as_they_are(self) -> None:
        engine = Engine(clock_ms=lambda: 0, random=Random(1))
        session = engine.open_session(lambda reply: None)
        rules = [
            b"on",
            b">x",
            b"~it's",
            b'~"',
            b'%R~a"b',
            b"&\\x'",
            b"(~'q +get)",
            b"+@all",
        ]
        for name in (b"al'ice", b"bob"):
            session.execute([b"ACL", b"SETUSER", name, *rules])
        text = rewritten("", server_settings(), users_for_config(engine))
        loader = follow(server_settings(), text)
        words = [["user", *words] for words in loader.users]
        assert [" ".join(line).encode() for line in words] == engine.users.lines()

    def test_spaces_of_other_scripts_are_letters_of_words(self, settings: Settings) -> None:
        follow(settings, "masterauth pass\u3000word\u00a0\r\n  masteruser \u00e0\t")
        assert settings["masterauth"] == "pass\u3000word\u00a0"
        assert settings["masteruser"] == "\u00e0"


class TestLog:
    """What the server says."""

    def test_a_line_has_the_form_of_redis(self) -> None:
        lines: list[str] = []
        log = ServerLog(lambda line, level: lines.append(line))
        log("a text", "warning")
        pattern = rf"{os.getpid()}:M \d\d \w{{3}} \d{{4}} [\d:]{{8}}\.\d{{3}} # a text\n"
        assert re.fullmatch(pattern, lines[0])

    def test_what_is_below_the_level_is_not_written(self, settings: Settings) -> None:
        lines: list[str] = []
        log = log_from(settings, lambda line, level: lines.append(level))
        for chosen in ("warning", "debug"):
            settings.change([("loglevel", chosen)])
            for level in ("debug", "verbose", "notice", "warning"):
                log("text", level)
        assert lines == ["warning", "debug", "verbose", "notice", "warning"]

    def test_a_log_that_was_moved_away_begins_again(self, tmp_path: Path) -> None:
        path = tmp_path / "log"
        log = ServerLog(to_file(str(path)))
        log("one")
        path.rename(tmp_path / "old")
        log("two")
        assert "two" in path.read_text()
        assert "one" in (tmp_path / "old").read_text()

    def test_a_log_that_cannot_be_written_stops_nobody(self, tmp_path: Path) -> None:
        ServerLog(to_file(str(tmp_path / "no" / "folder")))("lost")

    def test_a_log_file_that_cannot_be_opened_is_told_at_once(
        self, settings: Settings
    ) -> None:
        settings.load("logfile", ["/no/folder/log"])
        with pytest.raises(OSError, match="No such file"):
            log_from(settings, to_stdout)

    def test_the_systems_log_gets_the_text_without_the_stamp(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        logged: list[tuple[int, str]] = []
        monkeypatch.setattr(syslog, "syslog", lambda *pair: logged.append(pair))
        settings.load("syslog-enabled", ["yes"])
        lines: list[str] = []
        log_from(settings, lambda line, level: lines.append(line))("a text", "warning")
        assert logged == [(syslog.LOG_WARNING, "a text")]
        assert lines[0].endswith(" # a text\n")


class TestAdmission:
    """Who may come in."""

    @pytest.fixture
    def engine(self, settings: Settings) -> Engine:
        return Engine(clock_ms=lambda: 0, random=Random(0), settings=settings)

    @pytest.fixture
    def admission(self, engine: Engine) -> Admission:
        return Admission(engine)

    def test_without_a_password_only_this_machine_is_served(
        self, admission: Admission
    ) -> None:
        far = ("192.0.2.1", 5)
        assert admission.refusal(socket.AF_INET, far, 0) == PROTECTED
        assert PROTECTED.startswith(b"-DENIED ")
        for near in ("127.0.0.1", "127.1.2.3", "::1"):
            assert admission.refusal(socket.AF_INET, (near, 5), 0) is None
        assert admission.refusal(socket.AF_UNIX, "", 0) is None

    def test_with_a_password_everybody_is(
        self, admission: Admission, engine: Engine
    ) -> None:
        engine.settings.change([("requirepass", "x")])
        assert admission.refusal(socket.AF_INET, ("192.0.2.1", 5), 0) is None

    def test_protection_can_be_switched_off(
        self, admission: Admission, engine: Engine
    ) -> None:
        engine.settings.change([("protected-mode", "no")])
        assert admission.refusal(socket.AF_INET6, ("2001:db8::1", 5, 0, 0), 0) is None

    def test_there_is_room_for_so_many(self, admission: Admission, engine: Engine) -> None:
        engine.settings.change([("maxclients", "2")])
        assert admission.refusal(socket.AF_UNIX, "", 1) is None
        assert admission.refusal(socket.AF_UNIX, "", 2) == TOO_MANY
