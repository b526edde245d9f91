"""TLS: encrypted connections on a port of their own.

    accept ──> TlsHandshake ──> Connection, over a TlsSocket
               (deadline)

A `TlsSocket` answers as a plain non-blocking socket does, so that a connection does not
know what it runs over, and plain ones pay nothing. Three things differ below:

- The library may want to read before it can write, and the other way round. After the
  handshake that is rare (new keys); the connection then hears "not now" and is woken by
  the next bytes.
- A write that was refused must come again with the same bytes. The connection keeps its
  output in order, so it does.
- Decrypted bytes may wait in the library while the socket looks empty. `recv` takes all
  of them.

This module is imported when TLS is asked for: the library takes milliseconds to load.
"""

from __future__ import annotations

import ssl

from sharedstate_memory.directive_kinds import SettingError
from sharedstate_server.loop import READABLE, WRITABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable

    from sharedstate_memory.settings import Settings
    from sharedstate_server.loop import EventLoop

HANDSHAKE_SECONDS = 10.0
"""A client that has not finished its handshake by then is dropped."""

# So many bytes of small pieces are put together for one write: a few records of TLS.
_WRITE_BYTES = 64 * 1024

TLS_DIRECTIVES = (
    "tls-cert-file",
    "tls-key-file",
    "tls-key-file-pass",
    "tls-ca-cert-file",
    "tls-ca-cert-dir",
    "tls-dh-params-file",
    "tls-auth-clients",
    "tls-protocols",
    "tls-ciphers",
    "tls-prefer-server-ciphers",
    "tls-session-caching",
)

_FILES = ("tls-cert-file", "tls-key-file", "tls-ca-cert-file", "tls-dh-params-file")
_VERSIONS = {
    "tlsv1": ssl.TLSVersion.TLSv1,
    "tlsv1.1": ssl.TLSVersion.TLSv1_1,
    "tlsv1.2": ssl.TLSVersion.TLSv1_2,
    "tlsv1.3": ssl.TLSVersion.TLSv1_3,
}
_OPTIONS_AGAINST = {
    "tlsv1": ssl.OP_NO_TLSv1,
    "tlsv1.1": ssl.OP_NO_TLSv1_1,
    "tlsv1.2": ssl.OP_NO_TLSv1_2,
    "tlsv1.3": ssl.OP_NO_TLSv1_3,
}
_VERIFICATION = {
    "no": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "yes": ssl.CERT_REQUIRED,
}


class TlsSocket(ssl.SSLSocket):
    """An encrypted socket that says `BlockingIOError` where a plain one would."""

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Up to so many bytes, and what else is decrypted already."""
        try:
            data = super().recv(buflen)
            while waiting := self.pending():
                data += super().recv(waiting)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None
        return data

    def send(self, data: object, flags: int = 0) -> int:
        """Send what fits. Raises `BlockingIOError` if nothing does."""
        try:
            return super().send(data)  # type: ignore[arg-type]
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None

    def sendmsg(self, buffers: Iterable[object], *rest: object) -> int:  # type: ignore[override]
        """Send what fits of several pieces, one after the other."""
        gathered: list[object] = []
        size = 0
        for piece in buffers:
            gathered.append(piece)
            size += len(piece)  # type: ignore[arg-type]
            if size >= _WRITE_BYTES:
                break
        return self.send(gathered[0] if len(gathered) == 1 else b"".join(gathered))  # type: ignore[arg-type]


class Tls:
    """The certificate and the rules, as the settings have them. They are followed as they
    change, while there is a port for TLS.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._context = context_from(settings)
        for name in TLS_DIRECTIVES:
            settings.on_change(name, self._follow_change)

    def _follow_change(self) -> None:
        if self._settings["tls-port"]:
            self.follow()

    def follow(self) -> None:
        """Serve those who come from now on as the settings say. Raises `SettingError`."""
        self._context = context_from(self._settings)

    def wrap(self, client: socket.socket) -> TlsSocket:
        """A client's socket, encrypted once the handshake is done."""
        wrapped = self._context.wrap_socket(
            client, server_side=True, do_handshake_on_connect=False
        )
        assert isinstance(wrapped, TlsSocket)
        return wrapped


class TlsHandshake:
    """A client on its way in, until the handshake is done, fails, or takes too long."""

    def __init__(self, sock: TlsSocket, address: object, loop: EventLoop) -> None:
        self.socket = sock
        self.address = address
        self._fd = sock.fileno()
        self._loop = loop
        self._timer = loop.every(HANDSHAKE_SECONDS, self._give_up)

    def start(self, on_end: Callable[[TlsHandshake, str | None], None]) -> None:
        """Begin. `on_end` is called with what went wrong (the socket is closed then), or
        None (then it is the caller's).
        """
        self._on_end = on_end
        self._go_on(READABLE)

    def _go_on(self, mask: int) -> None:
        try:
            self.socket.do_handshake()
        except ssl.SSLWantReadError:
            self._loop.watch(self._fd, READABLE, self._go_on)
        except ssl.SSLWantWriteError:
            self._loop.watch(self._fd, WRITABLE, self._go_on)
        except OSError as error:
            self._fail(getattr(error, "reason", None) or str(error))
        else:
            self._timer.cancelled = True
            self._loop.forget(self._fd)
            self._on_end(self, None)

    def _give_up(self) -> None:
        self._fail(f"no handshake within {HANDSHAKE_SECONDS:g} seconds")

    def _fail(self, reason: str) -> None:
        self.close()
        self._on_end(self, reason)

    def close(self) -> None:
        """Let the client go."""
        self._timer.cancelled = True
        self._loop.forget(self._fd)
        self.socket.close()


def context_from(settings: Settings) -> ssl.SSLContext:
    """What the library needs to serve clients. Raises `SettingError` with the reason."""
    if not settings["tls-cert-file"]:
        raise SettingError("no tls-cert-file is given: a server needs a certificate")
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sslsocket_class = TlsSocket
        _choose_versions(context, settings["tls-protocols"].lower().split())
        for name in _FILES:
            _check_file(settings, name)
        _load_certificate(context, settings)
        _trust(context, settings)
        if settings["tls-ciphers"]:
            context.set_ciphers(settings["tls-ciphers"])
        if settings["tls-dh-params-file"]:
            context.load_dh_params(settings["tls-dh-params-file"])
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        raise SettingError(f"TLS cannot be configured: {reason}") from error
    context.options |= ssl.OP_NO_RENEGOTIATION
    if settings["tls-prefer-server-ciphers"]:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    if not settings["tls-session-caching"]:
        context.options |= ssl.OP_NO_TICKET
    return context


def _check_file(settings: Settings, name: str) -> None:
    """Raise `ValueError` with its name if a file cannot be read: OpenSSL would not tell."""
    path: str = settings[name]
    try:
        if path:
            open(path, "rb").close()
    except OSError as error:
        raise ValueError(f"{name} {path}: {error.strerror}") from error


def _load_certificate(context: ssl.SSLContext, settings: Settings) -> None:
    # Without a password, the library would ask for one on the terminal.
    context.load_cert_chain(
        settings["tls-cert-file"],
        settings["tls-key-file"] or None,
        lambda: settings["tls-key-file-pass"],
    )


def _trust(context: ssl.SSLContext, settings: Settings) -> None:
    """Say whose certificates clients must have, or may have."""
    context.verify_mode = _VERIFICATION[settings["tls-auth-clients"]]
    file, folder = settings["tls-ca-cert-file"], settings["tls-ca-cert-dir"]
    if file or folder:
        context.load_verify_locations(file or None, folder or None)
    elif context.verify_mode != ssl.CERT_NONE:
        raise ValueError(
            "tls-auth-clients asks for certificates, and neither tls-ca-cert-file nor"
            " tls-ca-cert-dir says whose"
        )


def _choose_versions(context: ssl.SSLContext, names: list[str]) -> None:
    """Allow these versions of the protocol; the two that are safe if none is named."""
    names = names or ["tlsv1.2", "tlsv1.3"]
    unknown = [name for name in names if name not in _VERSIONS]
    if unknown:
        raise ValueError(f"tls-protocols names {unknown[0]}, which is no version of TLS")
    chosen = [version for name, version in _VERSIONS.items() if name in names]
    context.minimum_version, context.maximum_version = chosen[0], chosen[-1]
    for name, option in _OPTIONS_AGAINST.items():
        # Not those outside of the range: naming them is out of use.
        if name not in names and chosen[0] < _VERSIONS[name] < chosen[-1]:
            context.options |= option
