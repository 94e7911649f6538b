"""Entity capabilities: ``stanzas/caps.py``."""

import pytest
from lxml import etree

from stanzas import caps, disco, ns
from stanzas.stream import Stream
from stanzas.xml import Bounds

SIMPLE = """
<identity category='client' name='Exodus 0.9.1' type='pc'/>
<feature var='http://jabber.org/protocol/caps'/>
<feature var='http://jabber.org/protocol/disco#info'/>
<feature var='http://jabber.org/protocol/disco#items'/>
<feature var='http://jabber.org/protocol/muc'/>
"""
SOFTWARE = """
<x xmlns='jabber:x:data' type='result'>
  <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>
  <field var='software'><value>Psi</value></field>
  <field var='os'><value>Mac</value></field>
  <field var='ip_version' type='text-multi'><value>ipv6</value><value>ipv4</value></field>
  <field var='os_version'><value>10.5.1</value></field>
  <field var='software_version'><value>0.11</value></field>
</x>
"""
COMPLEX = (
    """
<feature var='http://jabber.org/protocol/muc'/>
<feature var='http://jabber.org/protocol/disco#items'/>
<feature var='http://jabber.org/protocol/caps'/>
<feature var='http://jabber.org/protocol/disco#info'/>
<identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>
<identity xml:lang='el' category='client' name='\u03a8 0.11' type='pc'/>
"""
    + SOFTWARE
)


def ver(inside: str, hash_name: str = "sha-1") -> str:
    query = f"<query xmlns='{ns.DISCO_INFO}'>{inside}</query>"
    return caps.verification(etree.fromstring(query), hash_name)


def test_hashes_are_those_of_the_examples() -> None:
    """Sections 5.2 and 5.3, the second in another order than it is hashed in."""
    assert ver(SIMPLE) == "QgayPKawpkPSDYmwT/WM94uAlu0="
    assert ver(COMPLEX) == "q07IKJEyjvHSyhy//CH0CxmKi8w="


def test_other_hashes_are_known_and_unknown_ones_are_not() -> None:
    """Section 5.4: what cannot be checked has no hash here."""
    assert len(ver(SIMPLE, "sha-256")) == 44
    assert ver(SIMPLE, "md5") == ver(SIMPLE, "") == ver(SIMPLE, "sha1") == ""


@pytest.mark.parametrize(
    "inside",
    [
        SIMPLE + "<feature var='http://jabber.org/protocol/muc'/>",
        SIMPLE + "<identity category='client' name='Exodus 0.9.1' type='pc'/>",
        COMPLEX + SOFTWARE,
        SIMPLE + "<feature var='a&lt;b'/>",
        SIMPLE
        + "<x xmlns='jabber:x:data'><field var='FORM_TYPE' type='hidden'>"
        + "<value>a</value><value>b</value></field></x>",
    ],
)
def test_ill_formed_answers_have_no_hash(inside: str) -> None:
    """Nobody teaches the server under the hash of another client what that does not say."""
    assert ver(inside) == ""


def test_form_without_a_hidden_type_does_not_count() -> None:
    """Section 5.4, 3.6: ignored, and all the rest is hashed."""
    form = "<x xmlns='jabber:x:data'><field var='FORM_TYPE'><value>a</value></field></x>"
    assert ver(SIMPLE + form) == ver(SIMPLE)


def test_presence_says_kind_and_hash() -> None:
    """Without node or ver it says nothing."""
    head = f"<presence xmlns='{ns.CLIENT}'><c xmlns='{ns.CAPS}' "
    said = caps.read(etree.fromstring(head + "hash='sha-1' node='n' ver='v'/></presence>"))
    assert said == ("sha-1", "n", "v")
    for other in ("node='n'/>", "hash='sha-1' ver='v'/>"):
        assert caps.read(etree.fromstring(f"{head}{other}</presence>")) is None
    assert caps.read(etree.fromstring(f"<presence xmlns='{ns.CLIENT}'/>")) is None


def test_wishes_are_the_features_that_end_so() -> None:
    """A bounded number of them."""
    head = f"<query xmlns='{ns.DISCO_INFO}'><feature var='a'/>"
    found = caps.notify(etree.fromstring(f"{head}<feature var='b+notify'/></query>"))
    assert found == {"b"}
    many = "".join(f"<feature var='n{n}+notify'/>" for n in range(caps.NODES + 9))
    assert len(caps.notify(etree.fromstring(f"{head}{many}</query>"))) == caps.NODES


def test_server_says_its_own_hash_when_one_has_logged_in() -> None:
    """And only then."""
    stream = Stream("localhost", Bounds(10_000, 20), Bounds(10_000, 20), mechanisms=("PLAIN",))
    assert ns.CAPS not in stream.features()
    stream.authenticated()
    assert disco.SERVER_CAPS in stream.features()
    said = etree.fromstring(disco.SERVER_CAPS)
    own = etree.fromstring(disco.server_info(disco.SERVER_NODE))
    assert own.get("node") == f"{said.get('node')}#{said.get('ver')}"
    assert caps.verification(own, said.get("hash")) == said.get("ver")
