"""Client XML is read within its bounds, and nothing but plain XML: ``stanzas/xml.py``."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from stanzas.xml import (
    SLICE_BYTES,
    Bounds,
    StreamParser,
    XmlError,
    attribute,
    parse_document,
    serialise,
    text,
)

STREAM = (
    b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
    b"to='example.org' version='1.0'>"
)
BEFORE_LOGIN = Bounds(10_000, 20, 100)
AFTER_LOGIN = Bounds(262_144, 20)
LAUGHS = (
    b"<!DOCTYPE l [<!ENTITY a0 'ha'>"
    + b"".join(b"<!ENTITY a%d '%s'>" % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 12))
    + b"]>"
)

Seen = list[tuple[str, ...]]


def read(*pieces: bytes, bounds: Bounds = BEFORE_LOGIN) -> Seen:
    """What a stream parser makes of the pieces; the last is the error, if there is one."""
    parser, seen = StreamParser(bounds), []
    try:
        for piece in pieces:
            for what, element in parser.feed(piece):
                whole = "" if what in ("open", "close") else serialise(element)
                seen.append((what, element.tag, whole))
    except XmlError as error:
        seen.append(("error", error.condition))
    return seen


def condition_of_document(data: bytes, bounds: Bounds = BEFORE_LOGIN) -> str:
    with pytest.raises(XmlError) as refused:
        parse_document(data, bounds)
    return refused.value.condition


def bytes_of(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


BAD_INSIDE = {
    "comment": (b"<message><!-- x --></message>", "restricted-xml"),
    "deep comment": (b"<message><body>a<!-- x -->b</body></message>", "restricted-xml"),
    "processing instruction": (b"<message><?php x?></message>", "restricted-xml"),
    "late doctype": (b"<message><!DOCTYPE a></message>", "not-well-formed"),
    "late entity": (b"<message><!ENTITY a 'b'></message>", "not-well-formed"),
    "undefined entity": (b"<message><body>&foo;</body></message>", "not-well-formed"),
    "undefined entity in attribute": (b"<message id='&foo;'/>", "not-well-formed"),
    "unbound prefix": (b"<message><foo:bar/></message>", "bad-namespace-prefix"),
    "unbound prefix of attribute": (b"<message foo:a='b'/>", "bad-namespace-prefix"),
    "duplicate attribute": (b"<message a='1' a='2'/>", "not-well-formed"),
    "NUL": (b"<message>a\0b</message>", "not-well-formed"),
    "NUL in attribute": (b"<message a='\0'/>", "not-well-formed"),
    "NUL by number": (b"<message>&#0;</message>", "not-well-formed"),
    "control character": (b"<message>\x01</message>", "not-well-formed"),
    "control character by number": (b"<message>&#x1F;</message>", "not-well-formed"),
    "noncharacter": (b"<message>\xef\xbf\xbe</message>", "not-well-formed"),
    "overlong NUL": (b"<message>\xc0\x80</message>", "not-well-formed"),
    "overlong slash": (b"<message>\xe0\x80\xaf</message>", "not-well-formed"),
    "overlong less-than": (b"<message>\xc0\xbcscript></message>", "not-well-formed"),
    "surrogate": (b"<message>\xed\xa0\x80</message>", "not-well-formed"),
    "surrogate pair": (b"<message>\xed\xa0\xbd\xed\xb8\x80</message>", "not-well-formed"),
    "surrogate by number": (b"<message>&#xD800;</message>", "not-well-formed"),
    "beyond Unicode": (b"<message>\xf4\x90\x80\x80</message>", "not-well-formed"),
    "byte of no UTF-8": (b"<message>\xff</message>", "not-well-formed"),
    "broken off character": (b"<message>\xe2\x82</message>", "not-well-formed"),
    "wrong end tag": (b"<message></iq>", "not-well-formed"),
    "less-than in attribute": (b"<message a='<'/>", "not-well-formed"),
    "attribute without quotes": (b"<message a=b/>", "not-well-formed"),
    "nested too deep": (
        b"<message>" + b"<a>" * 40 + b"</a>" * 40 + b"</message>",
        "policy-violation",
    ),
    "nested far too deep": (b"<message>" + b"<a>" * 2000, "policy-violation"),
    "too many elements": (b"<message>" + b"<a/>" * 101 + b"</message>", "policy-violation"),
    "huge attribute": (b"<message a='" + b"x" * 20_000 + b"'/>", "policy-violation"),
    "huge text": (b"<message>" + b"x" * 20_000 + b"</message>", "policy-violation"),
    "huge name": (b"<" + b"x" * 20_000 + b"/>", "policy-violation"),
    "huge space in a tag": (b"<message" + b" " * 20_000 + b"/>", "policy-violation"),
    "huge CDATA": (b"<message><![CDATA[" + b"x" * 20_000, "policy-violation"),
}


@pytest.mark.parametrize("name", BAD_INSIDE)
def test_stream_with_bad_stanza_gives_no_stanza_but_the_condition(name: str) -> None:
    """In one packet or byte by byte, the stream opens and then only the mistake is seen."""
    bad, condition = BAD_INSIDE[name]
    for pieces in ([STREAM + bad], [STREAM, bad], bytes_of(STREAM + bad)):
        seen = read(*pieces)
        assert [each[0] for each in seen] == ["open", "error"]
        assert seen[-1] == ("error", condition)


@pytest.mark.parametrize("name", BAD_INSIDE)
def test_document_with_bad_stanza_is_refused_with_the_condition(name: str) -> None:
    """The same corpus, framed as RFC 7395 says."""
    bad, condition = BAD_INSIDE[name]
    assert condition_of_document(bad) == condition


MISTAKES_WITH_NAMESPACES = {
    "attribute twice by two prefixes": b"<q xmlns:a='u' xmlns:b='u' a:x='1' b:x='2'/>",
    "colon in local name": b"<b:c:d xmlns:b='u'/>",
    "namespace that is no URI": b"<q xmlns='foo bar'/>",
}


@pytest.mark.parametrize("name", MISTAKES_WITH_NAMESPACES)
def test_stanza_that_cannot_be_passed_on_is_not_given(name: str) -> None:
    """libxml2 goes on behind these, but a recipient's parser would not."""
    bad = b"<message>" + MISTAKES_WITH_NAMESPACES[name] + b"</message>"
    for pieces in (
        [STREAM + b"<iq/>" + bad],
        [STREAM, b"<iq/>", bad],
        bytes_of(STREAM + b"<iq/>" + bad),
    ):
        seen = read(*pieces)
        assert [each[0] for each in seen] == ["open", "stanza", "error"]
        assert seen[-1] == ("error", "not-well-formed")
    assert condition_of_document(bad) == "not-well-formed"


BAD_HEADS = {
    "doctype": (b"<!DOCTYPE stream>" + STREAM, ["restricted-xml"]),
    "doctype with subset": (
        b"<!DOCTYPE s [<!ENTITY a 'b'>]>" + STREAM + b"<message>&a;</message>",
        ["restricted-xml"],
    ),
    "billion laughs": (LAUGHS + b"<l>&a11;</l>", ["restricted-xml", "not-well-formed"]),
    "external doctype": (
        b"<!DOCTYPE s SYSTEM 'file:///etc/passwd'>" + STREAM,
        ["restricted-xml", "not-well-formed"],
    ),
    "external entity": (
        b"<!DOCTYPE s [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><s>&a;</s>",
        ["restricted-xml", "not-well-formed"],
    ),
    "parameter entity": (
        b"<!DOCTYPE s [<!ENTITY % a SYSTEM 'http://127.0.0.1:1/'> %a;]><s/>",
        ["restricted-xml", "not-well-formed"],
    ),
    "comment": (b"<!-- x -->" + STREAM, ["restricted-xml"]),
    "processing instruction": (b"<?foo bar?>" + STREAM, ["restricted-xml"]),
    "declared latin-1": (
        b"<?xml version='1.0' encoding='iso-8859-1'?>" + STREAM,
        ["unsupported-encoding"],
    ),
    "declared UTF-7": (
        b"<?xml version='1.0' encoding=\"utf-7\"?>" + STREAM,
        ["unsupported-encoding"],
    ),
    "UTF-16 with mark": (STREAM.decode().encode("utf-16"), ["unsupported-encoding"]),
    "UTF-16 LE": (STREAM.decode().encode("utf-16-le"), ["unsupported-encoding"]),
    "UTF-16 BE": (STREAM.decode().encode("utf-16-be"), ["unsupported-encoding"]),
    "UTF-32": (STREAM.decode().encode("utf-32"), ["unsupported-encoding"]),
    "long declaration": (
        b"<?xml version='1.0'" + b" " * 300 + b"encoding='iso-8859-1'?>" + STREAM,
        ["policy-violation", "unsupported-encoding"],
    ),
    "plain text": (b"hello", ["not-well-formed"]),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", ["not-well-formed"]),
    "TLS": (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        ["not-well-formed", "unsupported-encoding"],
    ),
}


@pytest.mark.parametrize("name", BAD_HEADS)
def test_stream_with_bad_head_never_opens(name: str) -> None:
    """In one packet or byte by byte, nothing comes but the error."""
    bad, conditions = BAD_HEADS[name]
    for pieces in ([bad], bytes_of(bad)):
        seen = read(*pieces)
        assert len(seen) == 1
        assert seen[0][0] == "error"
        assert seen[0][1] in conditions


@pytest.mark.parametrize("name", BAD_HEADS)
def test_document_with_bad_head_is_refused(name: str) -> None:
    """The same heads before a whole document."""
    bad, conditions = BAD_HEADS[name]
    whole = bad if b"\0" in bad or b"<stream:" not in bad else bad + b"</stream:stream>"
    assert condition_of_document(whole) in conditions


@pytest.mark.parametrize(
    "tail", [b"<!-- x -->", b"<?x y?>", b"<message/>", b"x", b"\0", b"<!DOCTYPE a>"]
)
def test_document_with_something_behind_it_is_refused(tail: bytes) -> None:
    """A frame is one element; whitespace alone may follow."""
    assert condition_of_document(b"<message/>" + tail) in ("restricted-xml", "not-well-formed")
    assert parse_document(b"<message/> \n", BEFORE_LOGIN).tag == "message"


@pytest.mark.parametrize("empty", [b"", b" ", b"\n\n", b"\xef\xbb\xbf"])
def test_document_of_nothing_is_not_well_formed(empty: bytes) -> None:
    """An empty frame has no element."""
    assert condition_of_document(empty) == "not-well-formed"


def test_stream_followed_by_a_second_one_ends_at_the_first() -> None:
    """What comes behind the end of the stream is a mistake, not a stream."""
    seen = read(STREAM + b"<iq/></stream:stream>" + STREAM + b"<iq/>")
    assert [each[0] for each in seen] == ["open", "stanza", "close", "error"]


def test_what_was_complete_before_a_mistake_is_given() -> None:
    """Stanzas of the same packet in front of it are not lost."""
    seen = read(STREAM + b"<iq/><presence/><message>&foo;</message>")
    assert [each[0] for each in seen] == ["open", "stanza", "stanza", "error"]


def test_plain_xml_of_every_kind_is_taken() -> None:
    """Predefined entities, numbers, CDATA, a byte order mark and a declaration are allowed."""
    head = b"\xef\xbb\xbf<?xml version='1.0' encoding='utf-8'?>\n"
    stanza = b"<message a='&lt;&#9;'>&lt;&amp;&#x1F600;<![CDATA[<b>]]></message>"
    seen = read(head + STREAM + stanza)
    found = etree.fromstring(seen[-1][2])
    assert (found.get("a"), found.text) == ("<\t", "<&😀<b>")
    assert parse_document(head + stanza, BEFORE_LOGIN).text == "<&😀<b>"


VALID = (
    "<?xml version='1.0'?>"
    + STREAM.decode()
    + " \n<message id='1'><body>grüße 😀 &amp; <![CDATA[]]&gt;]]></body></message>"
    + " <iq type='get' id='2'><query xmlns='urn:q' a=\"b&#10;c\"/></iq>\n"
    + "<presence/><a:b xmlns:a='urn:a'>x<c/>y</a:b> </stream:stream>"
).encode()


@given(st.lists(st.integers(0, len(VALID)), max_size=30))
def test_valid_stream_split_anywhere_gives_the_same_events(cuts: list[int]) -> None:
    """Where TCP cuts, in characters, tags and entities, makes no difference."""
    edges = [0, *sorted(cuts), len(VALID)]
    pieces = [VALID[a:b] for a, b in itertools.pairwise(edges)]
    expected = read(VALID)
    assert [each[0] for each in expected] == ["open", *["stanza"] * 4, "close"]
    assert read(*pieces) == expected


@given(st.binary(max_size=200))
def test_random_bytes_raise_only_xml_errors(noise: bytes) -> None:
    """Whatever comes, nothing else gets out, before and inside the stream."""
    read(noise)
    read(STREAM + noise)
    read(STREAM, b"<message>" + noise)
    try:
        parse_document(noise, BEFORE_LOGIN)
        parse_document(b"<message>" + noise + b"</message>", BEFORE_LOGIN)
    except XmlError:
        pass


def test_stanza_of_ten_thousand_bytes_passes_login_bounds_and_larger_ones_only_later() -> None:
    """The bound before login is on the stanza; the one after login is larger."""
    inside = 10_000 - len(b"<message></message>")
    exact = b"<message>" + b"x" * inside + b"</message>"
    larger = b"<message>" + b"x" * (inside + 2 * SLICE_BYTES) + b"</message>"
    assert [each[0] for each in read(STREAM, exact)] == ["open", "stanza"]
    assert read(STREAM, larger)[1:] == [("error", "policy-violation")]
    assert [each[0] for each in read(STREAM, larger, bounds=AFTER_LOGIN)] == ["open", "stanza"]
    assert parse_document(exact, BEFORE_LOGIN).tag == "message"
    assert condition_of_document(exact + b" ") == "policy-violation"
    assert parse_document(larger, AFTER_LOGIN).tag == "message"


def test_bounds_count_each_stanza_anew() -> None:
    """Many small stanzas are no large one, in one piece or in many."""
    stanzas = [b"<message>" + b"<a/>" * 50 + b"x" * 5000 + b"</message>"] * 20
    assert [each[0] for each in read(STREAM, *stanzas)] == ["open", *["stanza"] * 20]
    assert [each[0] for each in read(STREAM + b"".join(stanzas))] == ["open", *["stanza"] * 20]


def test_depth_of_bound_passes_and_one_more_does_not() -> None:
    """The depth counts from the stanza, which is the first."""
    for levels, outcome in ((4, "stanza"), (5, "error")):
        nested = b"<a>" * levels + b"</a>" * levels
        assert read(STREAM + nested, bounds=Bounds(10_000, 4))[1][0] == outcome
    assert parse_document(b"<a>" * 4 + b"</a>" * 4, Bounds(10_000, 4)).tag == "a"
    assert condition_of_document(b"<a>" * 5 + b"</a>" * 5, Bounds(10_000, 4)) == "policy-violation"


def test_ten_thousand_stanzas_leave_few_children_under_the_root() -> None:
    """A stream of years stays small."""
    parser = StreamParser(BEFORE_LOGIN)
    (_, root), *_ = parser.feed(STREAM)
    most = count = 0
    for number in range(2_500):
        piece = b"<iq id='%d'><q xmlns='urn:q'/></iq> \n" % number * 4
        count += sum(what == "stanza" for what, _ in parser.feed(piece))
        most = max(most, len(root))
    assert count == 10_000
    assert most < 8


def test_whitespace_keepalive_neither_counts_nor_stays() -> None:
    """One space at a time for days, or a flood of them: the stream goes on and stays small."""
    parser = StreamParser(BEFORE_LOGIN)
    (_, root), *_ = parser.feed(STREAM)
    for _ in range(30_000):
        assert not list(parser.feed(b" "))
    assert [what for what, _ in parser.feed(b"<iq/>")] == ["stanza"]
    for _ in range(500):
        assert not list(parser.feed(b" \n" * SLICE_BYTES))
        assert len(root[-1].tail or "") <= 2 * SLICE_BYTES
    assert [what for what, _ in parser.feed(b"<iq/>")] == ["stanza"]


@pytest.mark.parametrize(
    "pieces",
    [
        [b"<iq/>x<iq/>"],
        [b"x<iq/>"],
        [b"<iq/> ", b" x", b"<iq/>"],
        [b"<iq/>", b"x", b"<iq/>"],
    ],
)
def test_text_between_stanzas_ends_the_stream(pieces: list[bytes]) -> None:
    """Only whitespace is free; what was complete before it is read."""
    *before, last = read(STREAM, *pieces)
    assert last == ("error", "bad-format")
    assert [seen[0] for seen in before] == ["open"] + ["stanza"] * pieces[0].startswith(b"<iq/>")


def test_serialise_takes_along_only_the_namespaces_in_use() -> None:
    """What the stream's header declares is not copied into each child of each message."""
    many = b"".join(b" xmlns:n%d='urn:%d'" % (n, n) for n in range(50))
    parser = StreamParser(BEFORE_LOGIN)
    stanza = b"<message><n7:a n8:b='c' d='e'/>tail<thread>t</thread></message>"
    *_, (_, element) = parser.feed(STREAM[:-1] + many + b">" + stanza)
    foreign, thread = (serialise(child) for child in element)
    assert foreign.count("xmlns") == 2 + ("jabber:client" in foreign)
    assert thread == '<thread xmlns="jabber:client">t</thread>'
    found = etree.fromstring(foreign)
    assert (found.tag, dict(found.attrib)) == ("{urn:7}a", {"{urn:8}b": "c", "d": "e"})


XML_TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff")
)


@given(XML_TEXT, st.text("\t\n\r'\"<>&]x"))
def test_escapes_come_back_from_the_parser_as_they_were(value: str, marks: str) -> None:
    """In an attribute whitespace too; in text, only CR is not kept (the model has none)."""
    whole = value + marks + value
    found = etree.fromstring(f"<a b='{attribute(whole)}' c=\"{attribute(whole)}\"/>")
    assert found.get("b") == found.get("c") == whole
    without = whole.replace("\r", "")
    assert (etree.fromstring(f"<a>{text(without)}</a>").text or "") == without
