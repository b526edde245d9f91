"""Settings: the directives of an engine and their values, while it runs.

A directive is a line of the table: name, kind of value, default, and what else holds for
it. The table of the engine is in `directives.py`; an owner adds its own. Who depends on a
setting either reads it (`settings["slowlog-max-len"]`) or, where reading would be too
slow, keeps the value and asks to be told (`on_change`).

A change is all or nothing: every value is checked before the first one is set, and if
somebody who is told cannot follow, everything goes back and all are told again.

Invariant: a value in here has been checked by its directive's kind.
"""

from __future__ import annotations

from sharedstate_memory.directive_kinds import SettingError
from sharedstate_memory.directives import DIRECTIVES
from sharedstate_memory.glob import compile_glob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sharedstate_memory.directive_kinds import Value
    from sharedstate_memory.directives import Directive

PROTECTION = "enable-protected-configs"
"""The directive that says who may change the protected ones: `no`body, clients of this
machine (`local`), or everybody (`yes`). An owner that has protected ones adds it."""

_GLOB = b"*?["

_BY_NAME = {name: line for line in DIRECTIVES for name in line.names}
_DEFAULTS = {line.name: line.default for line in DIRECTIVES}


class UnknownSettingError(LookupError):
    """There is no directive of this name."""


class ChangeError(Exception):
    """A change that was refused, all of it: because of which directive, and why."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name
        self.reason = reason


class Settings:
    """The values of directives, by their names. Everything starts with its default."""

    __slots__ = ("_callbacks", "_directives", "_loaded", "_values", "rewrite")

    def __init__(self) -> None:
        self._directives = _BY_NAME
        self._values: dict[str, Value] = dict(_DEFAULTS)
        self._loaded: set[str] = set()
        self._callbacks: dict[str, list[Callable[[], None]]] = {}
        self.rewrite: Callable[[], None] | None = None
        """What writes the settings back to where they came from. Raises `OSError`. None
        when they came from nowhere."""

    def add(self, directives: Iterable[Directive]) -> None:
        """Add an owner's directives, with their defaults. They may take the place of
        known ones.
        """
        self._directives = dict(self._directives)
        for line in directives:
            self._directives.update(dict.fromkeys(line.names, line))
            self._values[line.name] = line.default

    # Reading.

    def __getitem__(self, name: str) -> Value:
        """The value of a directive, by its own name (an alias is none). What type it has
        is the kind's to say. Raises `KeyError`.
        """
        return self._values[name]

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def directive(self, name: str) -> Directive:
        """The directive of a name or an alias. Raises `UnknownSettingError`."""
        line = self._directives.get(name.lower())
        if line is None:
            raise UnknownSettingError(name)
        return line

    def show(self, name: str) -> str:
        """A value as CONFIG GET shows it. Raises `UnknownSettingError`."""
        line = self.directive(name)
        return line.kind.show(self._values[line.name])

    def lines(self, name: str) -> list[str]:
        """The lines of a configuration file that set the directive to its value."""
        lines = self._directives[name].kind.lines(self._values[name])
        return [f"{name} {line}" for line in lines]

    def is_default(self, name: str) -> bool:
        """Whether a directive, by its own name, has its default value."""
        return bool(self._values[name] == self._directives[name].default)

    def matching(self, patterns: Sequence[bytes]) -> dict[bytes, bytes]:
        """The names, aliases included, that match any pattern, and the values shown."""
        found: dict[str, bytes] = {}
        for pattern in patterns:
            for name, spelled in self._matching_one(pattern).items():
                found.setdefault(name, spelled)
        return {
            spelled: self.show(name).encode("utf-8", "surrogateescape")
            for name, spelled in found.items()
        }

    def _matching_one(self, pattern: bytes) -> dict[str, bytes]:
        """The names that match, and how each is to be spelled: a plain name comes back
        as it was asked for.
        """
        if not any(special in pattern for special in _GLOB):
            name = pattern.decode("latin-1").lower()
            return {name: pattern} if name in self._directives else {}
        matches = compile_glob(pattern.lower())
        names = ((name, name.encode()) for name in self._directives)
        return {name: spelled for name, spelled in names if matches(spelled)}

    # Changing.

    def on_change(self, name: str, callback: Callable[[], None]) -> None:
        """Have `callback` called after each change of a directive, once for a change of
        several. It may raise `SettingError`: then nothing is changed.
        """
        self._callbacks.setdefault(self.directive(name).name, []).append(callback)

    def load(self, name: str, words: Sequence[str]) -> None:
        """Set a directive while starting: immutable ones too, and words as a line of a
        configuration file has them. Raises `UnknownSettingError` and `SettingError`.
        """
        line = self.directive(name)
        if not words or (len(words) > 1 and not line.kind.takes_words):
            raise SettingError("wrong number of arguments")
        is_first = line.name not in self._loaded
        value = line.kind.load(words, self._values[line.name], is_first=is_first)
        line.check(value)
        self._loaded.add(line.name)
        self._values[line.name] = value
        self._tell([line.name])

    def change(self, pairs: Sequence[tuple[str, str]], *, is_local: bool = False) -> None:
        """Set directives while running, all of them or none. Raises
        `UnknownSettingError` and `ChangeError`.

        `is_local` tells that whoever asks is on this machine.
        """
        is_open = self._values.get(PROTECTION) in ("yes", "local" if is_local else "yes")
        self._check_changeable([name for name, _ in pairs], is_open=is_open)
        values = dict(self._parsed(name.lower(), word) for name, word in pairs)
        before = {name: self._values[name] for name in values}
        changed = [name for name, value in values.items() if value != before[name]]
        self._values.update(values)
        try:
            self._tell(changed)
        except SettingError as error:
            self._values.update(before)
            self._take_back(changed)
            raise ChangeError(changed[0], str(error)) from error

    def _take_back(self, names: list[str]) -> None:
        """Tell all that the values are as they were before."""
        for name in names:
            try:
                self._tell([name])
            except SettingError as error:
                # A port, say, that another program took in between.
                reason = f"it could not be taken back either: {error}"
                raise ChangeError(name, reason) from error

    def _check_changeable(self, names: list[str], *, is_open: bool) -> None:
        seen: set[str] = set()
        for name in names:
            line = self.directive(name)
            if line.is_immutable:
                raise ChangeError(name, "can't set immutable config")
            if line.is_protected and not is_open:
                raise ChangeError(name, "can't set protected config")
            if name.lower() in seen:
                raise ChangeError(name, "duplicate parameter")
            seen.add(name.lower())

    def _parsed(self, name: str, word: str) -> tuple[str, Value]:
        line = self._directives[name]
        try:
            value = line.kind.parse([word], self._values[line.name])
            line.check(value)
        except SettingError as error:
            raise ChangeError(name, str(error)) from error
        return line.name, value

    def _tell(self, names: Iterable[str]) -> None:
        told: list[Callable[[], None]] = []
        for name in names:
            for callback in self._callbacks.get(name, ()):
                if callback not in told:
                    told.append(callback)
                    callback()
