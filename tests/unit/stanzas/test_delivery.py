"""RFC 6121 section 8.5, whole: every type, to bare and full JIDs, with every kind of account."""

import pytest

from stanzas.delivery import Account, To, outcome

CASES: tuple[tuple[To, Account], ...] = (
    ("bare", "absent"),
    ("no match", "absent"),
    ("bare", "away"),
    ("no match", "away"),
    ("bare", "hidden"),
    ("match", "hidden"),
    ("no match", "hidden"),
    ("bare", "there"),
    ("match", "there"),
    ("no match", "there"),
)
# A column for each of the cases: to One resource, to All, aCcount, Refused, Ignored ("-").
#             absent  away   hidden    there
#             B N     B N    B M N     B M N
TABLE = """
message normal       R R  C R  C O R  A O R
message chat         R R  C C  C O C  A O A
message groupchat    R R  R R  R O R  R O R
message headline     R R  - -  - O -  A O -
message error        - -  - -  - O -  - O -
presence available   - -  - -  A O -  A O -
presence unavailable - -  - -  A O -  A O -
presence subscribe   - -  C C  C C C  C C C
presence subscribed  - -  C C  C C C  C C C
presence unsubscribe - -  C C  C C C  C C C
presence unsubscribed - - C C  C C C  C C C
presence probe       - -  C C  C C C  C C C
presence error       - -  - -  - O -  - O -
iq get               R R  C R  C O R  C O R
iq set               R R  C R  C O R  C O R
iq result            - -  - -  - O -  - O -
iq error             - -  - -  - O -  - O -
"""
WORDS = {"O": "one", "A": "all", "C": "account", "R": "refuse", "-": "ignore"}
ROWS = [line.split() for line in TABLE.strip().splitlines()]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(row[:2]))
def test_every_cell_of_the_table(row: list[str]) -> None:
    name, kind, *cells = row
    assert len(cells) == len(CASES)
    kind = "" if kind == "available" else kind
    told = [outcome(name, kind, to, account) for to, account in CASES]
    assert told == [WORDS[cell] for cell in cells]
