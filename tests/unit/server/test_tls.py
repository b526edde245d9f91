"""TLS on a port of its own, with certificates made for the test."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from sharedstate_server import tls
from sharedstate_server.directives import server_settings
from sharedstate_server.listening import bind_tcp
from sharedstate_server.server import Server
from sharedstate_server.server_log import ServerLog
from tests.unit.server.started import WAIT_SECONDS, Started, client, free_port

_DAYS = ("-days", "2")


class Certificates:
    """An authority, and what it has signed: for a server and for a client."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=authority"),
            *("-keyout", "ca.key", "-out", "ca.crt", *_DAYS),
        )
        for name in ("server", "client"):
            self._sign(name)
        self._openssl(
            *("rsa", "-aes128", "-in", "server.key", "-out", "locked.key"),
            *("-passout", "pass:opens it"),
        )

    def _sign(self, name: str) -> None:
        self._openssl(
            *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"),
            *("-keyout", f"{name}.key", "-out", f"{name}.csr"),
        )
        names = self.folder / "names"
        names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        self._openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key"),
            *("-CAcreateserial", "-out", f"{name}.crt", "-extfile", "names", *_DAYS),
        )

    def _openssl(self, *words: str) -> None:
        subprocess.run(
            ["openssl", *words],
            cwd=self.folder,
            check=True,
            capture_output=True,
            timeout=WAIT_SECONDS,
        )

    def path(self, name: str) -> str:
        return str(self.folder / name)

    @property
    def directives(self) -> dict[str, str]:
        """What a server needs of it."""
        return {
            "tls-cert-file": self.path("server.crt"),
            "tls-key-file": self.path("server.key"),
            "tls-ca-cert-file": self.path("ca.crt"),
        }

    @property
    def of_client(self) -> dict[str, Any]:
        """What a redis-py client needs that is to show who it is."""
        return {
            **self.of_stranger,
            "ssl_certfile": self.path("client.crt"),
            "ssl_keyfile": self.path("client.key"),
        }

    @property
    def of_stranger(self) -> dict[str, Any]:
        """What a redis-py client needs that shows nothing."""
        return {"ssl": True, "ssl_ca_certs": self.path("ca.crt"), "retry": None}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, which makes the certificates")
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def port() -> int:
    return free_port()


def served(folder: Path, port: int, certificates: Certificates, **changed: str) -> Started:
    """A server that speaks TLS on a port, and plainly on a Unix socket."""
    directives = {
        "port": "0",
        "tls-port": str(port),
        "unixsocket": str(folder / "s"),
        **certificates.directives,
        **{name.replace("_", "-"): value for name, value in changed.items()},
    }
    words = [word for name, value in directives.items() for word in (f"--{name}", value)]
    return Started(folder, *words)


@pytest.fixture
def server(tmp_path: Path, port: int, certificates: Certificates) -> Iterator[Started]:
    with served(tmp_path, port, certificates) as started:
        yield started


def test_a_client_with_a_certificate_is_served(
    server: Started, port: int, certificates: Certificates
) -> None:
    one = client(port, **certificates.of_client)
    assert one.set("k", "v")
    assert one.get("k") == "v"
    assert f"127.0.0.1:{port}" in one.client_info()["laddr"]


def test_a_client_without_a_certificate_is_not(
    server: Started, port: int, certificates: Certificates
) -> None:
    with pytest.raises(redis.ConnectionError):
        client(port, **certificates.of_stranger).ping()


@pytest.mark.parametrize("asks", ["no", "optional"])
def test_certificates_of_clients_need_not_be_asked_for(
    tmp_path: Path, port: int, certificates: Certificates, asks: str
) -> None:
    with served(tmp_path, port, certificates, tls_auth_clients=asks):
        assert client(port, **certificates.of_stranger).ping()
        assert client(port, **certificates.of_client).ping()


def test_big_values_and_long_pipelines_pass(
    server: Started, port: int, certificates: Certificates
) -> None:
    one = client(port, **certificates.of_client)
    big = "x" * 20_000_000
    assert one.set("big", big)
    assert one.get("big") == big
    pipeline = one.pipeline(transaction=False)
    for number in range(10_000):
        pipeline.set(f"k{number}", number)
        pipeline.get(f"k{number}")
    assert pipeline.execute()[1::2] == [str(number) for number in range(10_000)]


def test_a_slow_reader_gets_everything(
    server: Started, port: int, certificates: Certificates, tmp_path: Path
) -> None:
    client(path=tmp_path / "s").set("big", "x" * 300_000)
    sock = _connect(port, certificates)
    with sock:
        sock.sendall(b"GET big\r\n" * 100)
        sock.sendall(b"PING\r\n")
        expected = (b"$300000\r\n" + b"x" * 300_000 + b"\r\n") * 100 + b"+PONG\r\n"
        received = b""
        while len(received) < len(expected):
            received += sock.recv(1 << 16)
    assert received == expected


def test_commands_in_small_and_in_large_pieces_are_understood(
    server: Started, port: int, certificates: Certificates
) -> None:
    with _connect(port, certificates) as sock:
        for byte in b"PING\r\n":
            sock.sendall(bytes([byte]))
        assert sock.recv(100) == b"+PONG\r\n"
        sock.sendall(b"PING\r\n" * 20_000)
        received = b""
        while len(received) < 7 * 20_000:
            received += sock.recv(1 << 16)
        assert received == b"+PONG\r\n" * 20_000


def test_messages_and_blocked_clients_are_served(
    server: Started, port: int, certificates: Certificates, tmp_path: Path
) -> None:
    plain = client(path=tmp_path / "s")
    with _connect(port, certificates) as sock:
        sock.sendall(b"BLPOP q 0\r\n")
        while plain.info("clients")["blocked_clients"] == 0:
            pass
        plain.rpush("q", "item")
        assert sock.recv(100) == b"*2\r\n$1\r\nq\r\n$4\r\nitem\r\n"
        sock.sendall(b"SUBSCRIBE c\r\n")
        assert b"subscribe" in sock.recv(100)
        plain.publish("c", "hello")
        assert b"hello" in sock.recv(100)


def test_who_does_not_speak_tls_is_dropped(
    server: Started, port: int, certificates: Certificates
) -> None:
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.settimeout(WAIT_SECONDS)
        sock.sendall(b"PING\r\n" * 100)
        assert b"PONG" not in _read_to_end(sock)
    assert client(port, **certificates.of_client).ping()


def test_who_stops_in_the_handshake_holds_up_nobody(
    server: Started, port: int, certificates: Certificates
) -> None:
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"\x16\x03\x01")
        assert client(port, **certificates.of_client).ping()
        assert server.end() == 0


def test_who_does_not_finish_the_handshake_is_dropped_in_time(
    tmp_path: Path,
    port: int,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE_SECONDS", 0.05)
    settings = server_settings()
    for name, value in certificates.directives.items():
        settings.load(name, [value])
    lines: list[str] = []
    log = ServerLog(lambda line, level: lines.append(line))
    log.set_level("verbose")
    server = Server(settings=settings, log=log)
    listener = bind_tcp("127.0.0.1", port)
    server.gate.open(listener, is_tls=True)
    thread = threading.Thread(target=server.run, kwargs={"catch_signals": False})
    thread.start()
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.settimeout(WAIT_SECONDS)
        assert sock.recv(1) == b""
    server.request_stop()
    thread.join(WAIT_SECONDS)
    assert "no handshake within 0.05 seconds" in "".join(lines)


def test_a_locked_key_is_opened_by_its_password(
    tmp_path: Path, port: int, certificates: Certificates
) -> None:
    locked = certificates.path("locked.key")
    more = {"tls_key_file": locked, "tls_key_file_pass": "opens it"}
    with served(tmp_path, port, certificates, **more):
        assert client(port, **certificates.of_client).ping()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tls_cert_file", "nothing.crt"),
        ("tls_key_file", "nothing.key"),
        ("tls_ca_cert_file", ""),
        ("tls_protocols", "TLSv9"),
        ("tls_ciphers", "NO-SUCH-CIPHER"),
        ("tls_ciphersuites", "TLS_AES_128_GCM_SHA256"),
    ],
)
def test_what_cannot_be_used_is_told_at_the_start(
    tmp_path: Path, port: int, certificates: Certificates, name: str, value: str
) -> None:
    started = served(tmp_path, port, certificates, **{name: value})
    with pytest.raises(AssertionError, match="it has ended"), started:
        pass
    assert "Traceback" not in started.log
    assert name.partition("_")[0] in started.log.lower()


def test_a_file_that_is_missing_is_named(
    tmp_path: Path, port: int, certificates: Certificates
) -> None:
    with (
        served(tmp_path, port, certificates),
        pytest.raises(
            redis.ResponseError, match=r"tls-key-file nothing\.key: No such file"
        ),
    ):
        client(port, **certificates.of_client).config_set("tls-key-file", "nothing.key")


def test_protocols_and_ciphers_are_chosen(
    tmp_path: Path, port: int, certificates: Certificates
) -> None:
    more = {
        "tls_protocols": "TLSv1.2",
        "tls_ciphers": "ECDHE-RSA-AES256-GCM-SHA384",
        "tls_prefer_server_ciphers": "yes",
        "tls_session_caching": "no",
    }
    with (
        served(tmp_path, port, certificates, **more),
        _connect(port, certificates) as sock,
    ):
        assert sock.version() == "TLSv1.2"
        cipher = sock.cipher()
        assert cipher is not None
        assert cipher[0] == "ECDHE-RSA-AES256-GCM-SHA384"


def test_certificates_are_changed_while_it_runs(
    server: Started, port: int, certificates: Certificates, tmp_path: Path
) -> None:
    plain = client(path=tmp_path / "s")
    one = client(port, **certificates.of_client, single_connection_client=True)
    with pytest.raises(redis.ResponseError, match="TLS cannot be configured"):
        plain.config_set("tls-cert-file", "nothing.crt")
    plain.config_set("tls-auth-clients", "no")
    assert client(port, **certificates.of_stranger).ping()
    assert one.ping()


def test_a_port_for_tls_is_opened_while_it_runs(
    tmp_path: Path, certificates: Certificates
) -> None:
    port, plain_port = free_port(), free_port()
    with Started(tmp_path, "--port", str(plain_port)):
        plain = client(plain_port)
        with pytest.raises(redis.ResponseError):
            plain.config_set("tls-port", port)
        assert plain.config_get("tls-port") == {"tls-port": "0"}
        words = [part for pair in certificates.directives.items() for part in pair]
        plain.execute_command("CONFIG SET", *words)
        plain.config_set("tls-port", port)
        assert client(port, **certificates.of_client).ping()
        plain.config_set("tls-port", 0)
        with pytest.raises(redis.ConnectionError):
            client(port, **certificates.of_client).ping()
        # Without a port, nobody needs a certificate; with one again, they do.
        plain.config_set("tls-cert-file", "")
        with pytest.raises(redis.ResponseError, match="no tls-cert-file"):
            plain.config_set("tls-port", port)


def test_redis_cli_is_served(
    server: Started, port: int, certificates: Certificates, redis_is_installed: None
) -> None:
    words = ["redis-cli", "-p", str(port), "--tls", "--cacert", certificates.path("ca.crt")]
    words += ["--cert", certificates.path("client.crt")]
    words += ["--key", certificates.path("client.key"), "PING"]
    ended = subprocess.run(
        words, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False
    )
    if "Unrecognized option" in ended.stderr:
        pytest.skip("this redis-cli is built without TLS")
    assert ended.stdout == "PONG\n"


def _connect(port: int, certificates: Certificates) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=certificates.path("ca.crt"))
    context.load_cert_chain(
        certificates.path("client.crt"), certificates.path("client.key")
    )
    plain = socket.create_connection(("127.0.0.1", port))
    plain.settimeout(WAIT_SECONDS)
    return context.wrap_socket(plain, server_hostname="localhost")


def _read_to_end(sock: socket.socket) -> bytes:
    received = b""
    try:
        while part := sock.recv(1 << 16):
            received += part
    except ConnectionResetError:
        return received
    return received
