"""Service discovery says what is there: ``stanzas/disco.py``."""

import pytest
from lxml import etree

from stanzas import disco, ns


def features(text: str) -> list[str]:
    return [each.get("var") for each in etree.fromstring(text).iter(f"{{{ns.DISCO_INFO}}}feature")]


@pytest.mark.parametrize(
    ("text", "category", "kind"),
    [
        (disco.server_info(), "server", "im"),
        (disco.account_info(), "account", "registered"),
    ],
)
def test_info_has_its_identity_and_each_feature_once(text: str, category: str, kind: str) -> None:
    """XEP-0030 section 3.1: disco itself is among them."""
    identity = etree.fromstring(text)[0]
    assert (identity.get("category"), identity.get("type")) == (category, kind)
    found = features(text)
    assert len(found) == len(set(found))
    assert ns.DISCO_INFO in found


def test_archive_is_a_feature_of_the_account_not_of_the_server() -> None:
    """XEP-0313 section 5.2 has clients ask their own account."""
    assert ns.ARCHIVE in features(disco.account_info())
    assert ns.ARCHIVE not in features(disco.server_info())
    assert {ns.PING, ns.CARBONS, ns.VERSION, ns.TIME} <= set(features(disco.server_info()))


def test_items_are_an_empty_query() -> None:
    """No rooms so far."""
    found = etree.fromstring(disco.items())
    assert (found.tag, len(found)) == (f"{{{ns.DISCO_ITEMS}}}query", 0)


def test_has_node_tells_whether_one_is_named() -> None:
    """An empty one is none."""
    assert disco.has_node(etree.fromstring("<query node='x'/>"))
    assert not disco.has_node(etree.fromstring("<query node=''/>"))
    assert not disco.has_node(etree.fromstring("<query/>"))
