"""`sharedstate-server`, started as redis-server is."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest
import redis

from sharedstate_memory.engine import Engine
from tests.unit.server.started import (
    OURS,
    REDIS,
    WAIT_SECONDS,
    Started,
    client,
    free_port,
    run,
)

_LINE = re.compile(
    r"(\d+):[CM] \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4}"
    r" \d\d:\d\d:\d\d\.\d{3} [.*#-] .+"
)


@pytest.fixture(params=[OURS, REDIS], ids=["ours", "redis"])
def program(request: pytest.FixtureRequest, redis_is_installed: None) -> tuple[str, ...]:
    """Both programs: what starts the one must be able to start the other."""
    chosen: tuple[str, ...] = request.param
    return chosen


class TestAsRedis:
    """The same command line starts a redis-server, and ours."""

    def test_it_listens_on_a_port_and_a_socket_under_its_pid(
        self, program: tuple[str, ...], tmp_path: Path
    ) -> None:
        port = free_port()
        words = ("--port", str(port), "--unixsocket", "s", "--always-show-logo", "yes")
        with Started(tmp_path, *words, "--dir", str(tmp_path), program=program) as server:
            assert client(port).ping()
            assert client(path=tmp_path / "s").ping()
            assert client(port).info("server")["process_id"] == server.process.pid
            assert f" PID: {server.process.pid}" in server.log
            server.wait_for("The server is now ready to accept connections at")
            assert server.end() == 0
        assert not (tmp_path / "s").exists()

    def test_every_line_of_its_log_has_the_form(
        self, program: tuple[str, ...], tmp_path: Path
    ) -> None:
        with Started(tmp_path, "--port", str(free_port()), program=program) as server:
            server.end(signal.SIGINT)
            pids = {
                match[1] for line in server.log.splitlines() if (match := _LINE.match(line))
            }
            assert pids == {str(server.process.pid)}
            assert "Received SIGINT scheduling shutdown..." in server.log

    def test_what_test_fixtures_pass_is_understood(
        self, program: tuple[str, ...], tmp_path: Path
    ) -> None:
        port = free_port()
        words = f"""
            --daemonize no --rdbcompression yes --rdbchecksum no --appendonly no
            --databases 8 --timeout 0 --pidfile {tmp_path}/pid --dbfilename dump.{port}.rdb
            --unixsocket {tmp_path}/s --loglevel notice --syslog-enabled no
            --bind 127.0.0.1 --port {port} --dir {tmp_path} --requirepass secret
            """.split()
        with Started(tmp_path, *words, "--save", "", program=program) as server:
            one = client(port, password="secret")
            assert one.ping()
            assert one.config_get("databases") == {"databases": "8"}
            assert (tmp_path / "pid").read_text() == f"{server.process.pid}\n"
            with pytest.raises(redis.AuthenticationError):
                client(port).ping()
            assert server.end() == 0
        assert not (tmp_path / "pid").exists()

    def test_a_file_is_followed_then_its_input_then_the_options(
        self, program: tuple[str, ...], tmp_path: Path
    ) -> None:
        port = free_port()
        (tmp_path / "more.conf").write_text("maxmemory 1mb\nslowlog-max-len 1\n")
        (tmp_path / "x.conf").write_text(
            "# a comment\n\n"
            "port 1\n"
            "include more.conf\n"
            "slowlog-max-len 2\n"
            'requirepass "a \\"b\\x41"\n'
            "notify-keyspace-events 'KEA'\n"
            "save ''\n"
        )
        words = ("x.conf", "--port", str(port), "--hz", "30", "--timeout 7", "-")
        text = "hz 20\nlfu-decay-time 3\n"
        with Started(tmp_path, *words, program=program, text=text) as server:
            one = client(port, password='a "bA')
            wanted = {
                "maxmemory": "1048576",
                "slowlog-max-len": "2",
                "notify-keyspace-events": "AKE",
                "hz": "30",
                "lfu-decay-time": "3",
                "timeout": "7",
                "port": str(port),
            }
            assert one.config_get(*wanted) == wanted
            assert one.info("server")["config_file"] == str(tmp_path / "x.conf")
            assert server.end() == 0

    def test_in_the_background_it_leaves_its_pid_and_its_log(
        self, program: tuple[str, ...], tmp_path: Path
    ) -> None:
        port = free_port()
        words = ("--port", str(port), "--daemonize", "yes", "--logfile", "the.log")
        started = subprocess.run(
            [*program, *words, "--pidfile", "the.pid"],
            cwd=tmp_path,
            check=True,
            timeout=WAIT_SECONDS,
            capture_output=True,
        )
        assert started.stderr == b""
        one = client(port, retry=redis.retry.Retry(redis.backoff.ConstantBackoff(0.05), 50))
        pid = one.info("server")["process_id"]
        try:
            assert int((tmp_path / "the.pid").read_text()) == pid
            assert os.getsid(pid) == pid
            assert "Ready to accept connections" in (tmp_path / "the.log").read_text()
        finally:
            os.kill(pid, signal.SIGTERM)
        _wait_until_gone(pid)

    def test_it_writes_its_settings_back(
        self, program: tuple[str, ...], tmp_path: Path
    ) -> None:
        port = free_port()
        path = tmp_path / "x.conf"
        path.write_text("# mine\nhz 10\nmaxmemory 1mb\nsave ''\n")
        with Started(tmp_path, str(path), "--port", str(port), program=program):
            one = client(port)
            one.config_set("maxmemory", "2mb")
            one.config_set("notify-keyspace-events", "KEA")
            one.config_rewrite()
        text = path.read_text()
        assert text.startswith("# mine\nhz 10\nmaxmemory 2mb\n")
        assert text.index("# Generated by CONFIG REWRITE") < text.index("notify-keyspace")
        with Started(tmp_path, str(path), program=program) as server:
            assert client(port).config_get("maxmemory") == {"maxmemory": "2097152"}
            assert client(port).config_get("notify*")["notify-keyspace-events"] == "AKE"
            assert server.end() == 0

    def test_without_a_file_there_is_nothing_to_write(
        self, program: tuple[str, ...], tmp_path: Path
    ) -> None:
        port = free_port()
        with (
            Started(tmp_path, "--port", str(port), program=program),
            pytest.raises(redis.ResponseError, match="running without a config file"),
        ):
            client(port).config_rewrite()

    def test_it_moves_to_another_port_while_it_runs(
        self, program: tuple[str, ...], tmp_path: Path
    ) -> None:
        port, other = free_port(), free_port()
        with (
            Started(tmp_path, "--port", str(port), program=program),
            socket.create_server(("127.0.0.1", 0)) as taken,
        ):
            one = client(port, single_connection_client=True)
            with pytest.raises(redis.ResponseError, match="Unable to listen on this port"):
                one.config_set("port", taken.getsockname()[1])
            with pytest.raises(redis.ResponseError, match="Failed to bind to specified"):
                one.config_set("bind", "192.0.2.77")
            assert client(port).ping()
            one.config_set("port", other)
            assert client(other).ping()
            assert one.ping()
            with pytest.raises(redis.ConnectionError):
                client(port).ping()

    def test_an_optional_address_may_be_missing(
        self, program: tuple[str, ...], tmp_path: Path
    ) -> None:
        port = free_port()
        words = ("--bind", "127.0.0.1", "-192.0.2.77", "--port", str(port))
        with Started(tmp_path, *words, program=program):
            assert client(port).config_get("bind") == {"bind": "127.0.0.1 -192.0.2.77"}

    @pytest.mark.parametrize("words", ["NOSAVE", "NOW", "NOW FORCE", ""])
    def test_it_ends_when_a_client_says_so(
        self, program: tuple[str, ...], tmp_path: Path, words: str
    ) -> None:
        port = free_port()
        with Started(
            tmp_path, "--port", str(port), "--save", "", program=program
        ) as server:
            one = client(port, retry=None)
            with pytest.raises(redis.ConnectionError):
                one.execute_command("SHUTDOWN", *words.split())
            assert server.process.wait(WAIT_SECONDS) == 0

    def test_what_cannot_be_shut_down_so_is_refused(
        self, program: tuple[str, ...], tmp_path: Path
    ) -> None:
        port = free_port()
        with Started(tmp_path, "--port", str(port), program=program):
            one = client(port)
            with pytest.raises(redis.ResponseError, match="No shutdown in progress"):
                one.execute_command("SHUTDOWN", "ABORT")
            for words in ("SAVE NOSAVE", "ABORT NOW", "SOON"):
                with pytest.raises(redis.ResponseError, match="syntax error"):
                    one.execute_command("SHUTDOWN", *words.split())
            assert one.ping()


class TestOurs:
    """What is our own, or could not be asked of both."""

    def test_it_starts_from_the_configuration_that_debian_ships(
        self, tmp_path: Path
    ) -> None:
        shipped = Path("/etc/redis/redis.conf")
        if not shipped.exists():
            pytest.skip("Debian's redis-server is not installed")
        port = free_port()
        words = f"--port {port} --dir . --daemonize no --logfile".split()
        with Started(tmp_path, str(shipped), *words, "", "--pidfile", "pid"):
            assert client(port).config_get("bind") == {"bind": "127.0.0.1 -::1"}

    def test_it_tells_its_version_where_it_is_looked_for(self, tmp_path: Path) -> None:
        for word in ("-v", "--version"):
            ended = run(tmp_path, word)
            assert ended.returncode == 0
            assert re.match(r"Redis server v=7\.\d+\.\d+ ", ended.stdout)

    @pytest.mark.parametrize("word", ["--help", "-h", "--test-memory", "--check-system"])
    def test_it_does_not_serve_when_asked_for_something_else(
        self, tmp_path: Path, word: str
    ) -> None:
        ended = run(tmp_path, word)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert ended.stderr

    @pytest.mark.parametrize(
        ("text", "place", "reason"),
        [
            ("\nhz many\n", "line 2 of x.conf\n>>> 'hz many'", "parsed into an integer"),
            ("hz 1 2\n", "line 1 of x.conf\n>>> 'hz 1 2'", "wrong number of arguments"),
            ("nope 1", "line 1 of x.conf\n>>> 'nope 1'", "Bad directive"),
            ('dir "x', "line 1 of x.conf", "Unbalanced quotes in configuration line"),
            ("save 900", "line 1 of x.conf", "Invalid save parameters"),
            ("replicaof host 1", "line 1 of x.conf", "replication is not there"),
            ("cluster-enabled yes", "line 1 of x.conf", "cluster mode is not there"),
            ("loadmodule x.so", "line 1 of x.conf", "modules"),
            ('rename-command GET ""', "line 1 of x.conf", "ACL rules"),
            ("dir /nowhere", "line 1 of x.conf", "No such file or directory"),
        ],
    )
    def test_a_bad_line_is_shown_with_its_place(
        self, tmp_path: Path, text: str, place: str, reason: str
    ) -> None:
        (tmp_path / "x.conf").write_text(text)
        ended = run(tmp_path, "x.conf")
        assert ended.returncode == 1
        assert (
            f"*** FATAL CONFIG FILE ERROR (Redis {Engine.redis_version}) ***\n"
            in ended.stderr
        )
        assert f"Reading the configuration file, at {place}" in ended.stderr
        assert reason in ended.stderr.splitlines()[-1]

    def test_a_bad_option_is_shown_as_the_line_that_it_is(self, tmp_path: Path) -> None:
        ended = run(tmp_path, "--port", "0", "--hz", "x")
        assert ended.returncode == 1
        assert "at line 2 of the command line\n>>> 'hz \"x\"'" in ended.stderr

    @pytest.mark.parametrize(
        "words",
        [
            ("nothing.conf",),
            ("--include", "nothing.conf"),
            ("--port", "0"),
            ("--port", "0", "--unixsocket", "no/folder/s"),
            ("--port", "1234", "--bind", "192.0.2.77"),
            ("--logfile", "no/folder/log"),
            ("--aclfile", "nothing.acl"),
            ("--tls-port", "1234", "--port", "0"),
            ("--user", "x on ~* +@nothing"),
        ],
    )
    def test_what_cannot_be_started_ends_with_a_reason(
        self, tmp_path: Path, words: tuple[str, ...]
    ) -> None:
        ended = run(tmp_path, *words)
        assert ended.returncode == 1
        assert (ended.stdout + ended.stderr).strip()
        assert "Traceback" not in ended.stdout + ended.stderr

    def test_a_file_that_includes_itself_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "x.conf").write_text("include x.conf\n")
        ended = run(tmp_path, "x.conf")
        assert ended.returncode == 1
        assert "includes itself" in ended.stderr

    def test_who_starts_it_in_the_background_hears_that_it_failed(
        self, tmp_path: Path
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            words = ("--daemonize", "yes", "--pidfile", "pid", "--bind", "127.0.0.1")
            ended = run(tmp_path, *words, "--port", port)
        assert ended.returncode == 1
        assert "Address already in use" in ended.stdout

    def test_a_socket_has_the_mode_that_was_asked_for(self, tmp_path: Path) -> None:
        words = ("--port", "0", "--unixsocket", "s")
        for more, mode in (((), 0o600), (("--unixsocketperm", "770"), 0o770)):
            with Started(tmp_path, *words, *more):
                assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == mode

    def test_its_supervisor_is_told(self, tmp_path: Path) -> None:
        path = str(tmp_path / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
            supervisor.bind(path)
            supervisor.settimeout(WAIT_SECONDS)
            words = ("--supervised", "systemd", "--port", str(free_port()))
            with Started(tmp_path, *words, environment={"NOTIFY_SOCKET": path}):
                assert b"READY=1" in supervisor.recv(1000)

    def test_another_supervisor_is_told_by_stopping(self, tmp_path: Path) -> None:
        words = ("--supervised", "auto", "--port", str(free_port()))
        environment = {"UPSTART_JOB": "sharedstate", "NOTIFY_SOCKET": ""}
        with Started(tmp_path, *words, environment=environment) as server:
            _, status = os.waitpid(server.process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            server.process.send_signal(signal.SIGCONT)
            assert server.end() == 0

    def test_users_come_from_lines_and_go_back_into_them(self, tmp_path: Path) -> None:
        port = free_port()
        path = tmp_path / "x.conf"
        path.write_text("user alice on >secret ~a:* +@read\n# end\n")
        with Started(tmp_path, str(path), "--port", str(port)):
            alice = client(port, username="alice", password="secret")
            assert alice.get("a:x") is None
            with pytest.raises(redis.exceptions.NoPermissionError):
                alice.set("a:x", 1)
            one = client(port)
            one.acl_setuser("bob", enabled=True, nopass=True)
            one.config_rewrite()
        lines = path.read_text().splitlines()
        assert [line.split()[1] for line in lines if line.startswith("user ")] == [
            "alice",
            "bob",
            "default",
        ]
        assert "# end" in lines

    def test_users_are_kept_in_a_file_of_their_own(self, tmp_path: Path) -> None:
        port = free_port()
        (tmp_path / "users.acl").write_text("user alice on >secret ~* +@all\n")
        words = ("--port", str(port), "--aclfile", "users.acl")
        with Started(tmp_path, *words):
            alice = client(port, username="alice", password="secret")
            alice.acl_setuser("bob", enabled=True, nopass=True)
            assert alice.acl_save()
            assert alice.acl_load()
        assert "user bob on" in (tmp_path / "users.acl").read_text()

    def test_users_in_lines_and_in_a_file_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "x.conf").write_text("user alice on\naclfile users.acl\n")
        assert run(tmp_path, "x.conf").returncode == 1

    def test_replies_on_their_way_are_taken_before_the_end(self, tmp_path: Path) -> None:
        port = free_port()
        with Started(tmp_path, "--port", str(port)) as server:
            client(port).set("big", "x" * 20_000_000)
            with socket.create_connection(("127.0.0.1", port)) as sock:
                sock.sendall(b"GET big\r\n")
                first = sock.recv(1)
                server.process.send_signal(signal.SIGTERM)
                server.wait_for("scheduling shutdown")
                received = first
                while part := sock.recv(1 << 20):
                    received += part
            assert server.process.wait(WAIT_SECONDS) == 0
        assert received == b"$20000000\r\n" + b"x" * 20_000_000 + b"\r\n"

    def test_a_second_signal_ends_it_at_once(self, tmp_path: Path) -> None:
        port = free_port()
        with Started(tmp_path, "--port", str(port)) as server:
            client(port).set("big", "x" * 20_000_000)
            with socket.create_connection(("127.0.0.1", port)) as sock:
                sock.sendall(b"GET big\r\n")
                sock.recv(1)
                server.process.send_signal(signal.SIGTERM)
                server.wait_for("scheduling shutdown")
                begun = time.monotonic()
                server.end(signal.SIGINT)
                assert time.monotonic() - begun < 2

    def test_a_client_that_does_not_read_delays_the_end_a_little(
        self, tmp_path: Path
    ) -> None:
        port = free_port()
        with Started(tmp_path, "--port", str(port)) as server:
            client(port).set("big", "x" * 20_000_000)
            with socket.create_connection(("127.0.0.1", port)) as sock:
                sock.sendall(b"GET big\r\n")
                sock.recv(1)
                assert server.end() == 0

    def test_while_it_ends_nobody_else_is_let_in(self, tmp_path: Path) -> None:
        port = free_port()
        with Started(tmp_path, "--port", str(port)) as server:
            client(port).set("big", "x" * 20_000_000)
            with socket.create_connection(("127.0.0.1", port)) as sock:
                sock.sendall(b"GET big\r\n")
                sock.recv(1)
                server.process.send_signal(signal.SIGTERM)
                server.wait_for("User requested shutdown")
                with pytest.raises(redis.ConnectionError):
                    client(port, retry=None).ping()

    def test_a_script_without_end_does_not_keep_it_from_ending(
        self, tmp_path: Path
    ) -> None:
        port = free_port()
        words = ("--port", str(port), "--busy-reply-threshold", "50")
        with (
            Started(tmp_path, *words) as server,
            socket.create_connection(("127.0.0.1", port)) as sock,
        ):
            sock.sendall(b"EVAL \"redis.call('set', 'k', 1) while true do end\" 0\r\n")
            _wait_until_busy(port)
            assert server.end() == 0

    def test_a_script_without_end_is_told_of_and_ended_only_on_purpose(
        self, tmp_path: Path
    ) -> None:
        port = free_port()
        words = ("--port", str(port), "--busy-reply-threshold", "50")
        with (
            Started(tmp_path, *words) as server,
            socket.create_connection(("127.0.0.1", port)) as sock,
        ):
            sock.sendall(b"EVAL 'while true do end' 0\r\n")
            _wait_until_busy(port)
            with pytest.raises(redis.ResponseError, match="SHUTDOWN NOSAVE"):
                client(port).execute_command("SHUTDOWN")
            assert server.log.count("is slow: it has run for 5") == 1
            with pytest.raises(redis.ConnectionError):
                client(port, retry=None).execute_command("SHUTDOWN", "NOSAVE")
            assert server.process.wait(WAIT_SECONDS) == 0

    def test_the_kernel_is_told_how_soon_to_kill_it(self, tmp_path: Path) -> None:
        port = free_port()
        words = ("--oom-score-adj", "absolute", "--oom-score-adj-values", "300", "1", "2")
        with Started(tmp_path, "--port", str(port), *words) as server:
            score = Path(f"/proc/{server.process.pid}/oom_score_adj")
            if not score.exists():
                pytest.skip("this kernel has no scores")
            assert score.read_text() == "300\n"
            client(port).config_set("oom-score-adj-values", "400 1 2")
            assert score.read_text() == "400\n"

    def test_it_outlives_its_terminal(self, tmp_path: Path) -> None:
        port = free_port()
        with Started(tmp_path, "--port", str(port)) as server:
            server.process.send_signal(signal.SIGHUP)
            assert client(port).ping()

    def test_only_as_many_clients_as_files_are_let_in(self, tmp_path: Path) -> None:
        port = free_port()
        limited = ("sh", "-c", 'ulimit -n 100; exec "$@"', "sh", *OURS)
        with Started(tmp_path, "--port", str(port), program=limited):
            one = client(port)
            assert one.config_get("maxclients") == {"maxclients": "68"}
            with pytest.raises(redis.ResponseError, match="try with 68"):
                one.config_set("maxclients", 1000)
            one.config_set("maxclients", 1)
            with pytest.raises(redis.ConnectionError, match="max number of clients"):
                client(port, retry=None).ping()

    def test_its_folder_can_be_changed_if_that_is_allowed(self, tmp_path: Path) -> None:
        port = free_port()
        (tmp_path / "inner").mkdir()
        with (
            Started(tmp_path, "--port", str(port)),
            pytest.raises(redis.ResponseError, match="can't set protected config"),
        ):
            client(port).config_set("dir", "inner")
        words = ("--port", str(port), "--enable-protected-configs", "local")
        with Started(tmp_path, *words):
            client(port).config_set("dir", "inner")
            assert client(port).config_get("dir") == {"dir": str(tmp_path / "inner")}
            with pytest.raises(redis.ResponseError, match="No such file or directory"):
                client(port).config_set("dir", "/nowhere")

    def test_a_level_lets_through_what_is_above(self, tmp_path: Path) -> None:
        port = free_port()
        with Started(tmp_path, "--port", str(port), "--loglevel", "verbose") as server:
            assert client(port).ping()
            server.wait_for("- Accepted 127.0.0.1:")
            client(port).config_set("loglevel", "warning")
            before = server.log.count("Accepted")
            assert client(port).ping()
            server.end()
            assert server.log.count("Accepted") == before

    def test_who_breaks_the_protocol_is_told_of(self, tmp_path: Path) -> None:
        port = free_port()
        with (
            Started(tmp_path, "--port", str(port), "--loglevel", "verbose") as server,
            socket.create_connection(("127.0.0.1", port)) as browser,
        ):
            browser.sendall(b"POST / HTTP/1.1\r\n\r\n")
            server.wait_for("broke the protocol: this is no web server")


def _wait_until_busy(port: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            client(port).ping()
        except redis.exceptions.ResponseError:
            # The only error that PING can meet.
            return
        assert time.monotonic() < deadline, "no script is running"


def _wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        assert time.monotonic() < deadline, f"{pid} is still there"
        time.sleep(0.01)
