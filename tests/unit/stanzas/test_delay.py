"""Times as XMPP writes them: ``stanzas/delay.py``."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from server.errors import ChatError
from stanzas import delay, ns

FIRST = -30_610_224_000_000
"""The beginning of the year 1000."""
LAST = 253_402_300_799_999
"""The end of the year 9999."""


@given(st.integers(FIRST, LAST))
def test_stamp_and_back_is_the_same_millisecond(moment: int) -> None:
    """Nothing is lost to floating point, before 1970 either."""
    assert delay.moment_ms(delay.stamp(moment)) == moment


def test_stamp_and_back_of_every_millisecond_of_some_seconds_is_the_same() -> None:
    """Some of them are cut to the one before without rounding."""
    for second in (-2_000, 0, 1_000, 2_000, 1_767_323_045_000):
        for moment in range(second, second + 1_000):
            assert delay.moment_ms(delay.stamp(moment)) == moment


def test_stamp_has_three_digits_and_the_zone() -> None:
    """XEP-0082, always in UTC."""
    assert delay.stamp(0) == "1970-01-01T00:00:00.000Z"
    assert delay.stamp(1_767_323_045_007) == "2026-01-02T03:04:05.007Z"
    assert delay.stamp(-1) == "1969-12-31T23:59:59.999Z"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T03:04:05Z", 1_767_323_045_000),
        (" 2026-01-02T03:04:05.6Z\n", 1_767_323_045_600),
        ("2026-01-02T03:04:05.123456Z", 1_767_323_045_123),
        ("2026-01-02T05:04:05+02:00", 1_767_323_045_000),
        ("2026-01-01T21:34:05-05:30", 1_767_323_045_000),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        ("0001-01-01T00:00:00+14:00", -62_135_647_200_000),
        ("9999-12-31T23:59:59-14:00", 253_402_351_199_000),
    ],
)
def test_moment_of_date_and_time_is_its_millisecond(text: str, expected: int) -> None:
    """Fractions of any length, zones, leap days, the ends of the calendar."""
    assert delay.moment_ms(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "0",
        "1767323045",
        "2026",
        "2026-01-02",
        "03:04:05Z",
        "2026-01-02T03:04:05",
        "2026-13-01T00:00:00Z",
        "2025-02-29T00:00:00Z",
        "2026-01-02T24:00:00Z",
        "2026-01-02T03:04:05+99:00",
        "-2026-01-02T03:04:05Z",
        "20260-01-02T03:04:05Z",
        "2026-01-02T03:04:05ZZ",
        "\ud800",
        "9" * 10_000,
    ],
)
def test_moment_of_no_date_and_time_is_refused(text: str) -> None:
    """Days and hours that do not exist, and times without a zone."""
    with pytest.raises(ChatError) as refused:
        delay.moment_ms(text)
    assert refused.value.slug == "bad-field"


@given(st.text(max_size=40))
def test_moment_of_any_text_raises_only_chat_errors(text: str) -> None:
    """Whatever stands in a form's field."""
    try:
        delay.moment_ms(text)
    except ChatError as error:
        assert error.slug == "bad-field"


def test_delay_is_an_element_with_sender_and_stamp() -> None:
    """XEP-0203."""
    found = etree.fromstring(delay.delay("example.org", 0))
    assert found.tag == f"{{{ns.DELAY}}}delay"
    assert dict(found.attrib) == {"from": "example.org", "stamp": "1970-01-01T00:00:00.000Z"}
