"""Which page is wanted, and which one it is: ``stanzas/rsm.py``."""

import pytest
from lxml import etree

from server.errors import ChatError
from stanzas import ns, rsm
from stanzas.rsm import PageWanted
from stanzas.xml import Element


def query(inside: str) -> Element:
    return etree.fromstring(f"<query><set xmlns='{ns.RSM}'>{inside}</set></query>")


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("", PageWanted(50, None, None, False)),
        ("<max>5</max>", PageWanted(5, None, None, False)),
        ("<max>0</max>", PageWanted(0, None, None, False)),
        ("<max>999999999</max>", PageWanted(999_999_999, None, None, False)),
        ("<after>7</after>", PageWanted(50, 7, None, False)),
        ("<after/>", PageWanted(50, None, None, False)),
        ("<before>7</before>", PageWanted(50, None, 7, False)),
        ("<before/>", PageWanted(50, None, None, True)),
        ("<before></before><max>2</max>", PageWanted(2, None, None, True)),
        ("<after>3</after><before>9</before>", PageWanted(50, 3, 9, False)),
        ("<after>9007199254740991</after>", PageWanted(50, 2**53 - 1, None, False)),
    ],
)
def test_read_of_set_gives_the_page(inside: str, expected: PageWanted) -> None:
    """XEP-0059: an empty ``before`` is the last page."""
    assert rsm.read(query(inside), 50) == expected


def test_read_without_set_gives_the_first_page() -> None:
    """So does a set of another namespace."""
    expected = PageWanted(20, None, None, False)
    assert rsm.read(etree.fromstring("<query/>"), 20) == expected
    assert rsm.read(etree.fromstring("<query><set><max>1</max></set></query>"), 20) == expected


@pytest.mark.parametrize("limit", ["", "-1", "1.5", "x", " 5 ", "٣", "²", "1000000000", "9" * 5000])
def test_read_of_max_that_is_no_number_is_refused(limit: str) -> None:
    """Digits of other scripts, signs and numbers without end."""
    with pytest.raises(ChatError) as refused:
        rsm.read(query(f"<max>{limit}</max>"), 50)
    assert refused.value.slug == "bad-field"


def test_page_by_index_is_not_implemented() -> None:
    """XEP-0059 section 2.7 leaves it open and names the condition."""
    with pytest.raises(ChatError) as refused:
        rsm.read(query("<max>10</max><index>371</index>"), 50)
    assert refused.value.condition.xmpp == "feature-not-implemented"


@pytest.mark.parametrize("name", ["after", "before"])
@pytest.mark.parametrize("number", ["x", " ", "-1", " 7", "٣", "²", "7.0", "9" * 17, "9" * 5000])
def test_read_of_id_that_is_none_of_ours_is_not_found(name: str, number: str) -> None:
    """XEP-0313 section 4.3.1: item-not-found."""
    with pytest.raises(ChatError) as refused:
        rsm.read(query(f"<{name}>{number}</{name}>"), 50)
    assert refused.value.slug == "no-such-message"
    assert refused.value.condition.xmpp == "item-not-found"


def test_answer_says_first_last_index_and_count() -> None:
    """Without an index where there is none, without a page where it is empty."""
    found = etree.fromstring(rsm.answer(7, 9, 0, 30))
    assert found.find(f"{{{ns.RSM}}}first").get("index") == "0"
    assert [each.text for each in found] == ["7", "9", "30"]
    backward = etree.fromstring(rsm.answer(7, 9, None, 30))
    assert backward[0].attrib == {}
    uncounted = etree.fromstring(rsm.answer(7, 9, None, None))
    assert [each.text for each in uncounted] == ["7", "9"]
    empty = etree.fromstring(rsm.answer(None, None, None, 0))
    assert [(each.tag, each.text) for each in empty] == [(f"{{{ns.RSM}}}count", "0")]
