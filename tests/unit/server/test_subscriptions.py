"""The tables of RFC 6121 appendix A, whole."""

import pytest

from server.subscriptions import Bond, Kind, step

ME, THEM = 1, 2

STATES = {
    "None": Bond(),
    "None+Out": Bond(asks=frozenset({ME})),
    "None+In": Bond(asks=frozenset({THEM})),
    "None+Out+In": Bond(asks=frozenset({ME, THEM})),
    "To": Bond(sees=frozenset({ME})),
    "To+In": Bond(sees=frozenset({ME}), asks=frozenset({THEM})),
    "From": Bond(sees=frozenset({THEM})),
    "From+Out": Bond(sees=frozenset({THEM}), asks=frozenset({ME})),
    "Both": Bond(sees=frozenset({ME, THEM})),
}

# The new state; * where it goes on to the contact's clients. What A.2 has the user's server route
# and A.3 has the contact's not deliver goes nowhere where both are one.
OUTBOUND: dict[Kind, dict[str, str]] = {
    "subscribe": {
        "None": "None+Out*",
        "None+Out": "None+Out",
        "None+In": "None+Out+In*",
        "None+Out+In": "None+Out+In",
        "To": "To",
        "To+In": "To+In",
        "From": "From+Out*",
        "From+Out": "From+Out",
        "Both": "Both",
    },
    "unsubscribe": {
        "None": "None",
        "None+Out": "None*",
        "None+In": "None+In",
        "None+Out+In": "None+In*",
        "To": "None*",
        "To+In": "None+In*",
        "From": "From",
        "From+Out": "From*",
        "Both": "From*",
    },
    "subscribed": {
        "None": "None",
        "None+Out": "None+Out",
        "None+In": "From*",
        "None+Out+In": "From+Out*",
        "To": "To",
        "To+In": "Both*",
        "From": "From",
        "From+Out": "From+Out",
        "Both": "Both",
    },
    "unsubscribed": {
        "None": "None",
        "None+Out": "None+Out",
        "None+In": "None*",
        "None+Out+In": "None+Out*",
        "To": "To",
        "To+In": "To*",
        "From": "None*",
        "From+Out": "None+Out*",
        "Both": "To*",
    },
}
INBOUND: dict[Kind, dict[str, str]] = {
    "subscribe": {
        "None": "None+In*",
        "None+Out": "None+Out+In*",
        "None+In": "None+In",
        "None+Out+In": "None+Out+In",
        "To": "To+In*",
        "To+In": "To+In",
        "From": "From",
        "From+Out": "From+Out",
        "Both": "Both",
    },
    "unsubscribe": {
        "None": "None",
        "None+Out": "None+Out",
        "None+In": "None*",
        "None+Out+In": "None+Out*",
        "To": "To",
        "To+In": "To*",
        "From": "None*",
        "From+Out": "None+Out*",
        "Both": "To*",
    },
    "subscribed": {
        "None": "None",
        "None+Out": "To*",
        "None+In": "None+In",
        "None+Out+In": "To+In*",
        "To": "To",
        "To+In": "To+In",
        "From": "From",
        "From+Out": "Both*",
        "Both": "Both",
    },
    "unsubscribed": {
        "None": "None",
        "None+Out": "None*",
        "None+In": "None+In",
        "None+Out+In": "None+In*",
        "To": "None*",
        "To+In": "None+In*",
        "From": "From",
        "From+Out": "From*",
        "Both": "From*",
    },
}
ROWS = [
    (way, kind, before, after.rstrip("*"), after.endswith("*"))
    for way, table in (("out", OUTBOUND), ("in", INBOUND))
    for kind, rows in table.items()
    for before, after in rows.items()
]


@pytest.mark.parametrize(("way", "kind", "before", "after", "passed"), ROWS)
def test_every_row_of_the_tables(
    way: str, kind: Kind, before: str, after: str, passed: bool
) -> None:
    """Sent by oneself (A.2), and by the contact (A.3)."""
    sender, other = (ME, THEM) if way == "out" else (THEM, ME)
    done = step(STATES[before], kind, sender, other)
    assert (done.bond, done.passed) == (STATES[after], passed)
    is_seen_already = kind == "subscribe" and sender in STATES[before].sees
    assert done.answer == ("subscribed" if is_seen_already else None)


def test_tables_are_whole() -> None:
    assert len(ROWS) == 2 * 4 * 9
    assert len(set(STATES.values())) == 9


@pytest.mark.parametrize("first", ["subscribe", "subscribed"])
def test_agreeing_with_a_request_for_both_directions_is_mutual(first: Kind) -> None:
    """As requests over JSON are: whichever way the client agrees, and also if it does both."""
    asked = Bond(asks=frozenset({THEM}), offers=frozenset({THEM}))
    done = step(asked, first, ME, THEM)
    if first == "subscribe":
        assert (done.bond.sees, done.passed, done.answer) == ({ME}, False, "subscribed")
        done = step(done.bond, "subscribed", ME, THEM)
    assert done.bond == Bond(sees=frozenset({ME, THEM}))
    assert step(done.bond, "subscribe", ME, THEM).bond == done.bond


@pytest.mark.parametrize(
    ("bond", "words"),
    [
        (Bond(), "none"),
        (Bond(sees=frozenset({ME})), "to"),
        (Bond(sees=frozenset({THEM})), "from"),
        (STATES["Both"], "both"),
    ],
)
def test_roster_says_it_from_the_owners_side(bond: Bond, words: str) -> None:
    assert bond.of(ME) == words
