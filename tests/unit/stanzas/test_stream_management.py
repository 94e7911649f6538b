"""The counters of XEP-0198: ``stanzas/stream_management.py``."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stanzas.stream_management import Ledger, count
from stanzas.xml import XmlError


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(0, 2**32 - 1))
def test_what_is_not_acked_waits_in_order(steps: list[int], start: int) -> None:
    """Whatever is sent and acked, also across the end of the counter, the rest is kept."""
    ledger = Ledger(10_000, 1_000_000)
    ledger._acked = start
    sent = acked = 0
    for step in steps:
        for _ in range(step):
            sent += 1
            ledger.add(b"%d" % sent, sent)
        acked += (sent - acked) // 2
        mark = ledger.acked((start + acked) % 2**32)
        assert mark in (0, acked)
        assert [kept.mark for kept in ledger.queue] == list(range(acked + 1, sent + 1))
        assert ledger.sent == (start + sent) % 2**32
    with pytest.raises(XmlError):
        ledger.acked((start + sent + 1) % 2**32)


@given(st.permutations(range(12)))
def test_handled_counts_a_stanza_after_all_before_it(order: list[int]) -> None:
    """In whatever order they are done, the count is the prefix that is."""
    ledger = Ledger(10, 10)
    for n in range(12):
        ledger.begin(n)
    done: set[int] = set()
    for n in order:
        ledger.finish(n)
        done.add(n)
        assert ledger.handled == next((k for k in range(12) if k not in done), 12)


def test_above_the_bound_it_resumes_only_after_the_ack() -> None:
    """What is no longer kept cannot be sent again."""
    ledger = Ledger(2, 1000)
    for n in range(3):
        ledger.add(b"x", n + 1)
    assert (len(ledger.queue), ledger.can_resume, ledger.sent) == (2, False, 3)
    assert ledger.acked(2) == 2
    assert (len(ledger.queue), ledger.can_resume, ledger.sent) == (1, True, 3)


@pytest.mark.parametrize("raw", [None, "", "-1", "+1", "1_0", "١", "4294967296", "9" * 5000])
def test_what_is_no_count_is_refused(raw: str | None) -> None:
    """``h`` is an unsigned 32-bit number."""
    with pytest.raises(XmlError):
        count(raw)
