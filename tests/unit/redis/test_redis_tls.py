"""rediss:// against a real redis-server with a certificate of its own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import sharedstate
from sharedstate.backend import Backend
from sharedstate.errors import BackendError
from sharedstate.testing.servers import RedisServer, free_port
from sharedstate.testing.waiting_suite import LONG_SECONDS, background

# The certificate is for the address and not for the name.
_SUBJECT = ("-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1")
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Tls:
    """A server that speaks TLS, and the files by which clients know it."""

    def __init__(self, port: int, certificate: Path, key: Path) -> None:
        self.port = port
        self.certificate = str(certificate)
        self.key = str(key)

    def url(self, host: str = "127.0.0.1") -> str:
        """The URL of its TLS port."""
        return f"rediss://{host}:{self.port}"


@pytest.fixture(scope="module")
def tls(
    redis_is_installed: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tls]:
    """A redis-server with TLS that asks for certificates of its clients too."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: apt-get install openssl")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "server.pem", folder / "server.key"
    files = ("-keyout", str(key), "-out", str(certificate))
    make = ("openssl", "req", "-x509", *_NEW_KEY, "-days", "2", *files, *_SUBJECT)
    subprocess.run(make, check=True, capture_output=True)
    port = free_port()
    options = {
        "--tls-port": str(port),
        "--tls-cert-file": str(certificate),
        "--tls-key-file": str(key),
        "--tls-ca-cert-file": str(certificate),
        "--tls-auth-clients": "optional",
    }
    with RedisServer(*(word for pair in options.items() for word in pair)):
        yield Tls(port, certificate, key)


@contextmanager
def opened(url: str, **options: object) -> Iterator[Backend]:
    """A backend for the time of a block."""
    with sharedstate.connect({"url": url, **options}) as state:
        yield state.backend


def test_a_known_certificate_lets_us_in(tls: Tls) -> None:
    with opened(tls.url(), ca_file=tls.certificate) as backend:
        assert backend.execute(("PING",)) == b"PONG"


def test_a_certificate_that_nobody_signed_does_not(tls: Tls) -> None:
    with pytest.raises(BackendError, match="certificate"), opened(tls.url()):
        pass


def test_a_certificate_for_another_name_does_not_unless_it_is_allowed(tls: Tls) -> None:
    url = tls.url("localhost")
    with (
        pytest.raises(BackendError, match="certificate"),
        opened(url, ca_file=tls.certificate),
    ):
        pass
    with opened(url, ca_file=tls.certificate, check_hostname=False) as backend:
        assert backend.execute(("PING",)) == b"PONG"


def test_a_client_can_show_a_certificate(tls: Tls) -> None:
    files = {"cert_file": tls.certificate, "key_file": tls.key}
    with opened(tls.url(), ca_file=tls.certificate, **files) as backend:
        assert backend.execute(("PING",)) == b"PONG"


def test_values_of_many_records_come_back(tls: Tls) -> None:
    big = bytes(range(256)) * 8192
    with opened(tls.url(), ca_file=tls.certificate) as backend:
        replies = backend.execute_many([("SET", "big", big), ("GET", "big")] * 3)
        assert replies == [b"OK", big] * 3


def test_waiting_and_messages_work(tls: Tls) -> None:
    with opened(tls.url(), ca_file=tls.certificate) as backend:
        assert backend.wait_for(("BLPOP", "l"), 0.02) is None
        with background(lambda: backend.execute(("RPUSH", "l", "a"))):
            assert backend.wait_for(("BLPOP", "l"), LONG_SECONDS) == [b"l", b"a"]
        with backend.subscribe(["c"]) as subscription:
            assert subscription.get(0) is None
            backend.execute(("PUBLISH", "c", "x" * 100_000))
            message = subscription.get(LONG_SECONDS)
    assert message is not None
    assert len(message.data) == 100_000


def test_an_idle_connection_is_trusted_again(tls: Tls) -> None:
    # Session tickets make a TLS socket readable before anything was asked.
    with opened(tls.url(), ca_file=tls.certificate) as backend:
        before = backend.execute(("CLIENT", "ID"))
        backend._own().used_at -= 3600  # type: ignore[attr-defined]
        assert backend.execute(("CLIENT", "ID")) == before
