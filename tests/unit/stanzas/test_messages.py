"""Stanzas made into the common model and back: ``stanzas/messages.py``."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree

from server.errors import ChatError
from server.model import SINGLE, Message, Names
from stanzas import carbons, messages, ns
from stanzas.xml import Bounds, Element, StreamParser, parse_document

HEADER = (
    f"<stream:stream xmlns='{ns.CLIENT}' xmlns:stream='{ns.STREAMS}' xmlns:far='urn:far' "
    "to='example.org' version='1.0'>"
)
WEBSOCKET = f" xmlns='{ns.CLIENT}'"
BOUNDS = Bounds(1_000_000, 30)

TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff")
    | st.sampled_from("\t\n\x85\xa0 <>&'\"]\u200f\u202e\u0301\u200d😀\U0010fffd")
)
"""What ``clean_text`` lets pass: CR is made LF there."""


def from_stream(text: str) -> Element:
    """The stanza as it comes over TCP."""
    *_, (what, element) = StreamParser(BOUNDS).feed((HEADER + text).encode())
    assert what == "stanza"
    return element


def made(text: str) -> tuple[Message, str]:
    found = messages.read(from_stream(text))
    assert found is not None
    return found.message, found.xml


def sent(message: Message, xml: str = "", **more: Any) -> str:
    return messages.from_message(
        message,
        sender="alice@example.org/pad",
        recipient="bob@example.org",
        archive="bob@example.org",
        xml=xml,
        **more,
    )


@given(TEXT, TEXT, TEXT, TEXT)
@example("😀👩‍👩‍👧 שלום مرحبا e\u0301", "a\tb\nc", "", "")
@example("x" * 20_000, "", "", "")
@example("\n\n leading and trailing \n\n", " ", " ", " ")
@example("]]> <![CDATA[ &amp; &#10; \"'", "\"'", "", "]]>")
@example("\n", "\n", "\n", "\n")
def test_message_there_and_back_is_the_same(content: str, cid: str, number: str, memo: str) -> None:
    """Text of any kind, in the body, in attributes and beside a link, over both transports."""
    one = Message(id=7, cmd=SINGLE, content=content, cid=cid)
    number = number.replace("\n", " ").replace("\t", " ")[: messages.ID_CHARS]
    parted = str.maketrans("\n\t", "  ")
    if content:
        over_tcp = from_stream(sent(one, f"{number}\n"))
        over_websocket = parse_document(sent(one, f"{number}\n", xmlns=WEBSOCKET).encode(), BOUNDS)
        for stanza in (over_tcp, over_websocket):
            found = messages.read(stanza)
            assert found is not None
            back, xml, _ = found
            assert (back.content, back.cid) == (content, cid)
            assert xml.partition("\n")[0] == (number or cid or "7").translate(parted)[:512]
    link = Message(id=7, cmd=SINGLE, media=10, url="https://x.example/?a=1&b='2'", memo=memo)
    back, _ = made(sent(link))
    assert (back.url, back.memo, back.content, back.media) == (link.url, memo, "", 10)


@given(TEXT.filter(str.strip))
def test_url_of_any_text_comes_back_with_its_content(url: str) -> None:
    """A link with a text of its own keeps both; space around the link is not part of it."""
    link = Message(id=7, cmd=SINGLE, media=10, url=url.strip(), content=f"see {url}")
    back, _ = made(sent(link))
    assert (back.url, back.content, back.media) == (link.url, link.content, 10)


@pytest.mark.parametrize(
    "extra",
    [
        "<active xmlns='http://jabber.org/protocol/chatstates'/>",
        "<thread parent='p'>t &lt;&amp;</thread>",
        "<subject xml:lang='de'>Grüße 😀</subject>",
        "<a xmlns='urn:a' x='1' y=\"'\"><b/>t<c xmlns='urn:c'><d xmlns=''/>u</c>\n v </a>",
        "<a:a xmlns:a='urn:a' xmlns:b='urn:b' a:x='1' b:x='2' x='3'><b:b b:y='&#10;&lt;'/></a:a>",
        "<far:a far:b='1'><far:c/><d/></far:a>",
        "<q xmlns='urn:q' far:b='1'/>",
        "<plain xmlns=''><inside/></plain>",
        "<x xmlns='urn:x'>]]&gt; &#13; <![CDATA[<raw>]]></x>",
        "<one xmlns='urn:1'/><two xmlns='urn:2'/><one xmlns='urn:1'/>",
    ],
)
def test_extra_elements_are_kept_as_they_came(extra: str) -> None:
    """Names, namespaces, attributes and text, without the stream's own namespaces."""
    _, xml = made(f"<message id='n'><body>b</body>{extra}</message>")
    out = sent(Message(id=7, content="b"), xml, xmlns=WEBSOCKET)
    assert "etherx" not in out
    kept = etree.fromstring(out)[1:-1]
    came = from_stream(f"<message>{extra}</message>")
    assert len(kept) == len(came)
    for one, other in zip(kept, came, strict=True):
        one.tail = other.tail = None
        assert [(e.tag, dict(e.attrib), e.text, e.tail) for e in one.iter()] == [
            (e.tag, dict(e.attrib), e.text, e.tail) for e in other.iter()
        ]
    again = made(sent(Message(id=7, content="b"), xml))[1]
    assert again == xml


@pytest.mark.parametrize(
    "forged",
    [
        f"<stanza-id xmlns='{ns.IDS}' by='bob@example.org' id='1'/>",
        f"<delay xmlns='{ns.DELAY}' stamp='2001-01-01T00:00:00Z'/>",
        f"<result xmlns='{ns.ARCHIVE}' id='1'/>",
        f"<sent xmlns='{ns.CARBONS}'><forwarded xmlns='{ns.FORWARD}'/></sent>",
        f"<received xmlns='{ns.CARBONS}'/>",
    ],
)
def test_element_that_only_the_server_may_make_is_dropped(forged: str) -> None:
    """Also where a prefix hides it; our own stanza-id is the only one."""
    name, _, rest = forged[1:].partition(" xmlns=")
    prefixed = f"<p:{name} xmlns:p={rest}".replace(f"</{name}>", f"</p:{name}>")
    for each in (forged, prefixed):
        _, xml = made(f"<message><body>b</body>{each}</message>")
        assert xml == ""
    assert messages.read(from_stream(f"<message>{forged}</message>")) is None


@pytest.mark.parametrize(
    "inside",
    [
        "",
        "<body/>",
        "<body></body><subject>s</subject>",
        "<body xmlns='urn:other'>b</body>",
        "<unknown xmlns='urn:unknown'/>",
        f"<x xmlns='{ns.OOB}'><url> </url></x>",
        f"<no-store xmlns='{ns.HINTS}'/>",
    ],
)
def test_message_with_nothing_to_store_is_none(inside: str) -> None:
    """Empty bodies and unknown elements leave no trace."""
    assert messages.read(from_stream(f"<message id='1'>{inside}</message>")) is None


@pytest.mark.parametrize(
    "inside",
    [
        f"<store xmlns='{ns.HINTS}'/>",
        "<encrypted xmlns='eu.siacs.conversations.axolotl'><payload>YQ==</payload></encrypted>",
    ],
)
def test_message_without_body_that_asks_to_be_stored_is_kept(inside: str) -> None:
    """It has no content, and goes on without a body."""
    message, xml = made(f"<message>{inside}</message>")
    assert message.content == ""
    out = etree.fromstring(sent(message, xml, xmlns=WEBSOCKET))
    assert out.find(f"{{{ns.CLIENT}}}body") is None
    assert out[0].tag == from_stream(f"<message>{inside}</message>")[0].tag


@pytest.mark.parametrize(
    ("inside", "content"),
    [
        ("<body>one</body><body xml:lang='de'>eins</body>", "one"),
        ("<body> \n </body>", " \n "),
        ("<body>a<b xmlns='urn:b'>c</b>d</body>", "a"),
        ("<body>a<![CDATA[<b>]]>&#x1F600;</body>", "a<b>😀"),
    ],
)
def test_body_in_its_variants_is_the_first_text(inside: str, content: str) -> None:
    """Of several the first, whitespace as it is."""
    assert made(f"<message>{inside}</message>")[0].content == content


def test_link_in_body_and_element_is_a_file_with_its_description() -> None:
    """The body that only repeats the link is no content (XEP-0066); a second link is kept."""
    link = "<url> https://x.example/a </url>"
    element = f"<x xmlns='{ns.OOB}'>{link}<desc>d &amp; e</desc></x>"
    second = f"<x xmlns='{ns.OOB}'><url>https://x.example/b</url></x>"
    body = "<body>https://x.example/a</body>"
    for inside in (element + body + second, body + element + second):
        message, xml = made(f"<message>{inside}</message>")
        assert (message.media, message.content) == (messages.FILE, "")
        assert (message.url, message.memo) == ("https://x.example/a", "d & e")
        assert "https://x.example/b" in xml
    out = etree.fromstring(sent(message, xmlns=WEBSOCKET))
    assert out.findtext(f"{{{ns.CLIENT}}}body") == "https://x.example/a"
    assert out.findtext(f"{{{ns.OOB}}}x/{{{ns.OOB}}}desc") == "d & e"


def test_id_attribute_is_cut_and_never_breaks_its_line() -> None:
    """It is the first line of what is stored; elements behind it stay elements."""
    number = "&#10;&lt;evil/&gt;" + "x" * 600
    message, xml = made(f"<message id='{number}'><body>b</body><thread>t</thread></message>")
    first, _, rest = xml.partition("\n")
    assert first == (" <evil/>" + "x" * 600)[: messages.ID_CHARS]
    assert rest.startswith("<thread")
    out = etree.fromstring(sent(message, xml, xmlns=WEBSOCKET))
    assert out.get("id") == first
    assert out.find("{*}evil") is None


def test_attributes_of_the_stanza_cannot_be_broken_out_of() -> None:
    """Resources and archives may have marks in them."""
    mark = "a@b/<'\"&>\n"
    out = messages.from_message(
        Message(id=7, content="b", cid=mark), sender=mark, recipient=mark, archive=mark
    )
    found = etree.fromstring(out)
    assert found.get("from") == found.get("to") == found.get("id") == mark
    assert found.find(f"{{{ns.IDS}}}stanza-id").get("by") == mark
    assert [child.tag for child in found] == [
        "body",
        f"{{{ns.RECEIPTS}}}request",
        f"{{{ns.MARKERS}}}markable",
        f"{{{ns.IDS}}}stanza-id",
        f"{{{ns.IDS}}}origin-id",
    ]


def test_fields_without_an_element_go_as_json() -> None:
    """XEP-0335: kind, picture, amount, reference and mentions; nothing for plain text."""
    message = Message(id=7, content="b", media=3, pic="<'&\"😀", amount=-5, ref=9, at=[1, 2])
    out = etree.fromstring(sent(message, xmlns=WEBSOCKET))
    assert json.loads(out.findtext(f"{{{ns.JSON}}}json")) == {
        "media": 3,
        "pic": "<'&\"😀",
        "amount": -5,
        "ref": 9,
        "at": [1, 2],
    }
    for plain in (Message(id=7, content="b"), Message(id=7, content="b", media=1)):
        assert ns.JSON not in sent(plain)


def test_delay_is_there_only_for_what_is_not_live() -> None:
    """With our domain and the message's time."""
    message = Message(id=7, content="b", ts=1_767_323_045_678)
    out = etree.fromstring(sent(message, xmlns=WEBSOCKET, delayed_by="example.org"))
    delay = out.find(f"{{{ns.DELAY}}}delay")
    assert dict(delay.attrib) == {"from": "example.org", "stamp": "2026-01-02T03:04:05.678Z"}
    assert ns.DELAY not in sent(message)


@pytest.mark.parametrize("kind", ["", "chat", "normal", "headline", "nonsense"])
def test_check_of_type_refuses_only_rooms(kind: str) -> None:
    """Types that are not known count as normal (RFC 6121 section 5.2.2)."""
    messages.check(from_stream(f"<message type='{kind}'/>" if kind else "<message/>"))
    with pytest.raises(ChatError) as refused:
        messages.check(from_stream("<message type='groupchat'/>"))
    assert refused.value.slug == "not-found"


@pytest.mark.parametrize("xmlns", ["", WEBSOCKET])
def test_carbon_has_the_whole_message_inside(xmlns: str) -> None:
    """It comes from the account itself for one of its devices, with text and marks unharmed."""
    stanza = sent(Message(id=7, content="<b> 😀"), xmlns=WEBSOCKET)
    me = "o'neill&co@example.org"
    to = f"{me}/<phone>"
    found = etree.fromstring(
        carbons.copy("sent", stanza, account=me, to=to, xmlns=xmlns, of="chat")
    )
    assert (found.get("from"), found.get("to"), found.get("type")) == (me, to, "chat")
    inner = found.find(f"{{{ns.CARBONS}}}sent/{{{ns.FORWARD}}}forwarded/{{{ns.CLIENT}}}message")
    assert inner.findtext(f"{{{ns.CLIENT}}}body") == "<b> 😀"


@pytest.mark.parametrize(
    ("message", "inside"),
    [
        (Message(cmd=14, chat=10), f"<retract xmlns='{ns.RETRACT}' id='T&amp;'/><body>gone</body>"),
        (
            Message(cmd=15, chat=10, content="new <"),
            f"<body>new &lt;</body><replace xmlns='{ns.CORRECT}' id='T&amp;'/>",
        ),
        (
            Message(cmd=16, chat=10, content="\U0001f44d \U0001f389"),
            f"<reactions xmlns='{ns.REACTIONS}' id='T&amp;'><reaction>\U0001f44d</reaction>"
            "<reaction> \U0001f389</reaction><reaction>\U0001f44d</reaction></reactions>",
        ),
        (Message(cmd=16, chat=10), f"<reactions xmlns='{ns.REACTIONS}' id='T&amp;'/>"),
    ],
)
def test_act_there_and_back_is_the_same(message: Message, inside: str) -> None:
    """Retraction, correction and reactions, with the name of the message they are of."""
    said = messages.read(from_stream(f"<message id='n'>{inside}</message>"))
    assert said is not None
    assert (said.message, said.of, said.xml) == (message, "T&", "n\n")
    xml = Names("n", "T&", "").xml()
    again = messages.read(parse_document(sent(message, xml, xmlns=WEBSOCKET).encode(), BOUNDS))
    assert again is not None
    assert (again.message, again.of) == (message, "T&")


@pytest.mark.parametrize(
    ("hint", "inside", "of"),
    [
        (Message(cmd=12, chat=10, state="read"), f"<displayed xmlns='{ns.MARKERS}' id='a'/>", "a"),
        (
            Message(cmd=12, chat=10, state="delivered"),
            f"<received xmlns='{ns.RECEIPTS}' id='a'/>",
            "a",
        ),
        (Message(cmd=13, chat=10, state="composing"), f"<composing xmlns='{ns.CHAT_STATES}'/>", ""),
        (Message(cmd=13, chat=10, state="paused"), f"<gone xmlns='{ns.CHAT_STATES}'/>", ""),
    ],
)
def test_hint_there_and_back_is_the_same(hint: Message, inside: str, of: str) -> None:
    """Receipts, markers and chat states, which are not stored."""
    said = messages.read(from_stream(f"<message>{inside}</message>"))
    assert said is not None
    assert (said.message, said.of, said.xml) == (hint, of, "")
    out = messages.from_hint(hint, sender="a@b", name=of)
    assert out is not None
    again = messages.read(from_stream(out))
    assert again == said


@pytest.mark.parametrize(
    "receipt",
    [f"<received xmlns='{ns.RECEIPTS}' id='a'/>", f"<displayed xmlns='{ns.MARKERS}' id='a'/>"],
)
@pytest.mark.parametrize("order", [1, -1])
def test_receipt_that_asks_to_be_stored_is_a_receipt(receipt: str, order: int) -> None:
    """As widespread clients send them; else each would be an empty message in the history."""
    inside = "".join([receipt, f"<store xmlns='{ns.HINTS}'/>"][::order])
    said = messages.read(from_stream(f"<message id='n'>{inside}</message>"))
    assert said is not None
    assert (said.message.cmd, said.of) == (12, "a")


def test_text_with_a_chat_state_or_a_marker_is_a_message() -> None:
    """Whatever else it says."""
    inside = f"<active xmlns='{ns.CHAT_STATES}'/><displayed xmlns='{ns.MARKERS}' id='a'/>"
    message, _ = made(f"<message>{inside}<body>hi</body></message>")
    assert (message.cmd, message.content) == (10, "hi")


def test_edit_of_a_recalled_message_corrects_nothing() -> None:
    """It has lost its text and the name of what it was of."""
    out = etree.fromstring(sent(Message(id=7, cmd=15, chat=10, ref=5, ts=1), "", xmlns=WEBSOCKET))
    assert [child.tag for child in out] == [f"{{{ns.IDS}}}stanza-id"]


def test_reply_names_the_message_that_it_answers() -> None:
    """XEP-0461, both ways, beside the other elements."""
    inside = f"<body>yes</body><reply xmlns='{ns.REPLY}' to='a@b' id='T'/><thread>t</thread>"
    said = messages.read(from_stream(f"<message id='n'>{inside}</message>"))
    assert said is not None
    assert (said.of, said.message.content) == ("T", "yes")
    out = sent(Message(id=7, cmd=10, content="yes", ref=5), Names("n", "T", "").xml())
    again = messages.read(from_stream(out))
    assert again is not None and again.of == "T"


def test_recalled_message_is_a_tombstone() -> None:
    """XEP-0424 section 5: nothing but that it was there, under its id."""
    out = etree.fromstring(sent(Message(id=7, recalled=True, ts=1), "n\n", xmlns=WEBSOCKET))
    assert out.get("id") == "n"
    assert [child.tag for child in out] == [f"{{{ns.RETRACT}}}retracted", f"{{{ns.IDS}}}stanza-id"]


@given(
    st.text(), st.text(), st.text(max_size=3), st.text(), st.booleans(), st.sampled_from(("", "7"))
)
def test_names_of_an_entry_are_read_as_they_were_written(
    own: str, target: str, rest: str, to: str, private: bool, whose: str
) -> None:
    """Whatever the id attributes are; what parts them becomes a space."""
    own, target, to = (name.translate({9: " ", 10: " "}) for name in (own, target, to))
    names = Names(own, target, rest, whose, to, private)
    assert Names.of(names.xml()) == names
