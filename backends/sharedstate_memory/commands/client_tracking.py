"""CLIENT TRACKING and what belongs to it: being told of keys that have changed.

The work is done in `sharedstate_memory.tracking`.
"""

from __future__ import annotations

from sharedstate_memory.commands.arguments import Options, parse_integer
from sharedstate_memory.commands.registry import command
from sharedstate_memory.replies import OK, SYNTAX_ERROR, CommandFailure
from sharedstate_memory.tracking import SessionTracking, track, untrack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from sharedstate_memory.replies import Reply
    from sharedstate_memory.session import Session

_NO_SWITCH = (
    b"ERR You can't switch %s before disabling tracking for this client, and then"
    b" re-enabling it with a different mode."
)
# Where a prefix stands that was not given with the others: before all of them.
_KNOWN = -1

_OVERLAP = (
    b"ERR Prefix '%s' overlaps with %s prefix '%s'. Prefixes for a single client must not"
    b" overlap."
)


@command("CLIENT|TRACKING")
def switch_tracking(session: Session, argv: list[bytes]) -> Reply:
    """Tell the client of keys that it has read and that change: ON or OFF."""
    wanted, prefixes = _read_options(session, argv)
    switch = argv[2].upper()
    if switch not in (b"ON", b"OFF"):
        raise CommandFailure(SYNTAX_ERROR)
    if switch == b"OFF":
        untrack(session)
        return OK
    if prefixes and not wanted.is_broadcast:
        raise CommandFailure(b"ERR PREFIX option requires BCAST mode to be enabled")
    present = session.tracking
    _check_modes(wanted, present)
    if wanted.is_broadcast:
        known = {} if present is None else present.prefixes
        _check_prefixes(prefixes, known)
        wanted.prefixes = dict.fromkeys([*known, *(prefixes or [b""])])
    if present is not None:
        # What CACHING said of the next command is not used up by a CLIENT command.
        wanted.caching = present.caching
    track(session, wanted)
    return OK


def _read_options(
    session: Session, argv: list[bytes]
) -> tuple[SessionTracking, list[bytes]]:
    """What the words ask for, and the prefixes among them."""
    wanted = SessionTracking()
    prefixes: list[bytes] = []
    options = Options(argv, 3)
    for option in options:
        if option == b"REDIRECT":
            _redirect(session, wanted, options.value())
        elif option == b"PREFIX":
            prefixes.append(options.value())
        else:
            _set_mode(wanted, option)
    return wanted, prefixes


def _set_mode(wanted: SessionTracking, option: bytes) -> None:
    if option == b"BCAST":
        wanted.is_broadcast = True
    elif option == b"OPTIN":
        wanted.is_opt_in = True
    elif option == b"OPTOUT":
        wanted.is_opt_out = True
    elif option == b"NOLOOP":
        wanted.is_no_loop = True
    else:
        raise CommandFailure(SYNTAX_ERROR)


def _redirect(session: Session, wanted: SessionTracking, word: bytes) -> None:
    if wanted.redirect:
        raise CommandFailure(b"ERR A client can only redirect to a single other client")
    number = parse_integer(word)
    if number not in session.engine.sessions:
        raise CommandFailure(b"ERR The client ID you want redirect to does not exist")
    wanted.redirect = number


def _check_modes(wanted: SessionTracking, present: SessionTracking | None) -> None:
    """Raise the refusal of modes that do not go together, or cannot follow each other."""
    if present is not None and present.is_broadcast != wanted.is_broadcast:
        raise CommandFailure(_NO_SWITCH % b"BCAST mode on/off")
    if wanted.is_broadcast and (wanted.is_opt_in or wanted.is_opt_out):
        raise CommandFailure(b"ERR OPTIN and OPTOUT are not compatible with BCAST")
    if wanted.is_opt_in and wanted.is_opt_out:
        raise CommandFailure(b"ERR You can't specify both OPTIN mode and OPTOUT mode")
    if present is None:
        return
    into_opposite = wanted.is_opt_in and present.is_opt_out
    if into_opposite or (wanted.is_opt_out and present.is_opt_in):
        raise CommandFailure(_NO_SWITCH % b"OPTIN/OPTOUT mode")


def _check_prefixes(prefixes: list[bytes], known: Collection[bytes]) -> None:
    """Raise the refusal of prefixes of which one begins with another."""
    at = _first_overlapping(prefixes, known)
    if at is None:
        return
    for other in sorted(known):
        if _overlap(prefixes[at], other):
            raise CommandFailure(_OVERLAP % (prefixes[at], b"an existing", other))
    for other in prefixes[at + 1 :]:
        if _overlap(prefixes[at], other):
            raise CommandFailure(_OVERLAP % (prefixes[at], b"another provided", other))


def _first_overlapping(prefixes: list[bytes], known: Collection[bytes]) -> int | None:
    """The place of the first prefix that overlaps with any other. Those that are known may
    do so among themselves. Costs a sort, and not a look at each pair.
    """
    numbered = [(prefix, at) for at, prefix in enumerate(prefixes)]
    found: set[int] = set()
    # When they are sorted, what a prefix begins with comes before it.
    begun: list[tuple[bytes, int]] = []
    for prefix, at in sorted(numbered + [(prefix, _KNOWN) for prefix in known]):
        while begun and not prefix.startswith(begun[-1][0]):
            begun.pop()
        for _, other_at in begun:
            found.update((at, other_at))
        begun.append((prefix, at))
    return min(found - {_KNOWN}, default=None)


def _overlap(one: bytes, other: bytes) -> bool:
    return one.startswith(other) or other.startswith(one)


@command("CLIENT|CACHING")
def say_caching(session: Session, argv: list[bytes]) -> Reply:
    """Track what the next command reads (YES, if opted in), or not (NO, if opted out)."""
    tracking = session.tracking
    if tracking is None:
        raise CommandFailure(
            b"ERR CLIENT CACHING can be called only when the client is in tracking mode"
            b" with OPTIN or OPTOUT mode enabled"
        )
    word = argv[2].upper()
    if word not in (b"YES", b"NO"):
        raise CommandFailure(SYNTAX_ERROR)
    if word == b"YES" and not tracking.is_opt_in:
        raise CommandFailure(_ONLY_IN % (word, b"OPTIN"))
    if word == b"NO" and not tracking.is_opt_out:
        raise CommandFailure(_ONLY_IN % (word, b"OPTOUT"))
    tracking.caching = word == b"YES"
    return OK


_ONLY_IN = b"ERR CLIENT CACHING %s is only valid when tracking is enabled in %s mode."


@command("CLIENT|GETREDIR")
def get_redirect(session: Session, argv: list[bytes]) -> Reply:
    """The number of the client that is told in place of this one; 0 for none."""
    return -1 if session.tracking is None else session.tracking.redirect


@command("CLIENT|TRACKINGINFO")
def tracking_info(session: Session, argv: list[bytes]) -> Reply:
    """How the connection tracks."""
    tracking = session.tracking
    flags = [b"off"] if tracking is None else _flags(tracking)
    return {
        b"flags": set(flags) if session.protocol == 3 else flags,
        b"redirect": get_redirect(session, argv),
        b"prefixes": [] if tracking is None else sorted(tracking.prefixes),
    }


def _flags(tracking: SessionTracking) -> list[bytes]:
    facts = {
        b"on": True,
        b"bcast": tracking.is_broadcast,
        b"optin": tracking.is_opt_in,
        b"caching-yes": tracking.is_opt_in and tracking.caching is True,
        b"optout": tracking.is_opt_out,
        b"caching-no": tracking.is_opt_out and tracking.caching is False,
        b"noloop": tracking.is_no_loop,
        b"broken_redirect": tracking.is_broken,
    }
    return [flag for flag, is_set in facts.items() if is_set]
