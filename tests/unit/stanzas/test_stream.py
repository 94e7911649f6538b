"""Stream negotiation, driven without a socket: ``stanzas/stream.py``."""

import pytest
from lxml import etree

from stanzas import ns
from stanzas import stream as made
from stanzas.stream import Kind, Stream
from stanzas.xml import Bounds, Element, XmlError

DOMAIN = "example.org"
BEFORE_LOGIN = Bounds(10_000, 20, 100)
AFTER_LOGIN = Bounds(262_144, 20)
MECHANISMS = ("SCRAM-SHA-256", "PLAIN")
AUTH = f"<auth xmlns='{ns.SASL}' mechanism='PLAIN'>AGEAYg==</auth>"
STARTTLS = f"<starttls xmlns='{ns.TLS}'/>"
BIND = f"<iq type='set' id='b'><bind xmlns='{ns.BIND}'/></iq>"


def stream(*, websocket: bool = False, starttls: bool | None = None) -> Stream:
    return Stream(
        DOMAIN,
        BEFORE_LOGIN,
        AFTER_LOGIN,
        websocket=websocket,
        starttls=starttls,
        mechanisms=MECHANISMS,
    )


def header(
    *, to: str | None = DOMAIN, version: str | None = "1.0", default: str = ns.CLIENT
) -> str:
    """A client's opening over TCP."""
    names = f" to='{to}'" if to is not None else ""
    names += f" version='{version}'" if version is not None else ""
    return (
        f"<?xml version='1.0'?><stream:stream xmlns='{default}' xmlns:stream='{ns.STREAMS}'{names}>"
    )


def opening(*, to: str | None = DOMAIN, version: str | None = "1.0") -> str:
    """A client's opening over WebSocket."""
    names = f" to='{to}'" if to is not None else ""
    names += f" version='{version}'" if version is not None else ""
    return f"<open xmlns='{ns.FRAMING}'{names}/>"


def say(to: Stream, text: str) -> list[Kind]:
    return [event.kind for event in to.receive(text.encode())]


def condition_of(to: Stream, text: str) -> str:
    with pytest.raises(XmlError) as refused:
        say(to, text)
    return refused.value.condition


def opened(*, websocket: bool = False, starttls: bool | None = None) -> Stream:
    new = stream(websocket=websocket, starttls=starttls)
    assert say(new, opening() if websocket else header()) == [Kind.OPENED]
    return new


def logged_in(*, websocket: bool = False) -> Stream:
    """Authenticated, and open again."""
    new = opened(websocket=websocket)
    new.authenticated()
    assert say(new, opening() if websocket else header()) == [Kind.OPENED]
    return new


def in_client(text: str, *, websocket: bool) -> str:
    """A stanza as its transport writes it: a WebSocket frame has its own namespace."""
    return text.replace(" ", f" xmlns='{ns.CLIENT}' ", 1) if websocket else text


def features_of(of: Stream) -> Element:
    """The features, parsed as behind the header that they follow."""
    parser = etree.XMLPullParser(events=("end",))
    parser.feed("" if of.header().startswith("<open") else of.header())
    parser.feed(of.features())
    return next(element for _, element in parser.read_events() if element.tag.endswith("features"))


@pytest.mark.parametrize(
    ("head", "condition"),
    [
        (header(to="other.example"), "host-unknown"),
        (header(to=""), "host-unknown"),
        (header(version=None), "unsupported-version"),
        (header(version="0.9"), "unsupported-version"),
        (header(version="2.0"), "unsupported-version"),
        (header(version=""), "unsupported-version"),
        (header(default="jabber:server"), "invalid-namespace"),
        (header(default=""), "invalid-namespace"),
        (header().replace(ns.STREAMS, "urn:other"), "invalid-namespace"),
        (header().replace("stream:stream", "stream:flow"), "invalid-namespace"),
        (f"<stream xmlns='{ns.STREAMS}' to='{DOMAIN}' version='1.0'>", "invalid-namespace"),
        (f"<stream xmlns='{ns.CLIENT}' to='{DOMAIN}' version='1.0'>", "invalid-namespace"),
        (opening(), "invalid-namespace"),
        (header().replace("xmlns:stream", "xmlns:other"), "bad-namespace-prefix"),
    ],
)
def test_header_with_a_mistake_is_refused_with_its_condition(head: str, condition: str) -> None:
    """RFC 6120 section 4.9.3."""
    assert condition_of(stream(), head) == condition


@pytest.mark.parametrize(
    ("frame", "condition"),
    [
        (opening(to="other.example"), "host-unknown"),
        (opening(version=None), "unsupported-version"),
        (opening(version="2.0"), "unsupported-version"),
        (opening().replace(ns.FRAMING, "urn:other"), "invalid-namespace"),
        (f"<iq xmlns='{ns.CLIENT}'/>", "invalid-namespace"),
        (AUTH, "invalid-namespace"),
        (header(), "not-well-formed"),
        (header() + "</stream:stream>", "invalid-namespace"),
    ],
)
def test_first_frame_with_a_mistake_is_refused_with_its_condition(
    frame: str, condition: str
) -> None:
    """RFC 7395 section 3.4: an open element comes first, not a stream header."""
    assert condition_of(stream(websocket=True), frame) == condition


def test_header_in_its_variants_opens_the_stream() -> None:
    """Our domain in any case or none, and later minor versions."""
    for head in (header(to=None), header(to="EXAMPLE.org"), header(version="1.1")):
        assert say(stream(), head) == [Kind.OPENED]
    for frame in (opening(to=None), opening(to="EXAMPLE.org")):
        assert say(stream(websocket=True), frame) == [Kind.OPENED]


def test_second_open_frame_is_refused_until_a_restart() -> None:
    """A restart after login makes the next one right."""
    new = opened(websocket=True)
    assert condition_of(new, opening()) == "invalid-namespace"
    new.authenticated()
    assert condition_of(new, f"<iq xmlns='{ns.CLIENT}' type='get'/>") == "invalid-namespace"
    assert say(new, opening()) == [Kind.OPENED]


@pytest.mark.parametrize("websocket", [False, True])
def test_server_header_is_well_formed_and_never_the_same(websocket: bool) -> None:
    """It names us, the version and an unguessable id."""
    seen = set()
    for _ in range(20):
        new = stream(websocket=websocket)
        head = new.header()
        root = etree.fromstring(head if websocket else head + new.close())
        assert root.tag == f"{{{ns.FRAMING}}}open" if websocket else f"{{{ns.STREAMS}}}stream"
        assert (root.get("from"), root.get("version")) == (DOMAIN, "1.0")
        assert len(root.get("id", "")) >= 16
        assert root.get("{http://www.w3.org/XML/1998/namespace}lang") == "en"
        seen.add(root.get("id"))
    assert len(seen) == 20


@pytest.mark.parametrize(
    ("starttls", "offered"),
    [
        (None, [f"{{{ns.SASL}}}mechanisms"]),
        (False, [f"{{{ns.TLS}}}starttls", f"{{{ns.SASL}}}mechanisms"]),
        (True, [f"{{{ns.TLS}}}starttls"]),
    ],
)
def test_features_before_login_offer_tls_and_mechanisms(
    starttls: bool | None, offered: list[str]
) -> None:
    """Where TLS is required, it is the only way on, and says so."""
    found = features_of(opened(starttls=starttls))
    assert [child.tag for child in found] == offered
    names = [each.text for each in found.iter(f"{{{ns.SASL}}}mechanism")]
    assert names == ([] if starttls else list(MECHANISMS))
    required = found.find(f"{{{ns.TLS}}}starttls/{{{ns.TLS}}}required")
    assert (required is not None) == bool(starttls)


def test_features_after_login_offer_binding_only() -> None:
    """Neither TLS nor mechanisms are offered again."""
    for websocket in (False, True):
        new = logged_in(websocket=websocket)
        new.header()
        whole = new.features()
        if not websocket:
            whole = f"<a xmlns:stream='{ns.STREAMS}'>{whole}</a>"
        tags = [each.tag for each in etree.fromstring(whole).iter()]
        assert f"{{{ns.BIND}}}bind" in tags
        assert f"{{{ns.SESSION}}}optional" in tags
        assert not [tag for tag in tags if ns.SASL in tag or ns.TLS in tag]


def test_frame_of_features_declares_its_namespace() -> None:
    """RFC 7395 section 3.3.3: each frame is a document of its own."""
    root = etree.fromstring(opened(websocket=True).features())
    assert root.tag == f"{{{ns.STREAMS}}}features"


STANZAS = ["<message to='a@b'/>", "<presence id='1'/>", "<iq type='get'/>", BIND]


@pytest.mark.parametrize("websocket", [False, True])
@pytest.mark.parametrize("text", STANZAS)
def test_stanza_before_login_is_not_authorized(text: str, websocket: bool) -> None:
    """Binding is no exception."""
    new = opened(websocket=websocket)
    assert condition_of(new, in_client(text, websocket=websocket)) == "not-authorized"


@pytest.mark.parametrize("websocket", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        *STANZAS[:3],
        f"<message to='a@b'><bind xmlns='{ns.BIND}'/></message>",
        f"<presence id='1'><bind xmlns='{ns.BIND}'/></presence>",
        f"<iq type='set'><q xmlns='urn:q'><bind xmlns='{ns.BIND}'/></q></iq>",
    ],
)
def test_stanza_before_binding_is_not_authorized(text: str, websocket: bool) -> None:
    """Nor is a bind element elsewhere than in an iq a way around it."""
    new = logged_in(websocket=websocket)
    assert condition_of(new, in_client(text, websocket=websocket)) == "not-authorized"


@pytest.mark.parametrize("websocket", [False, True])
def test_stanza_after_binding_is_an_event(websocket: bool) -> None:
    """The request for it, and all kinds behind it."""
    new = logged_in(websocket=websocket)
    assert say(new, in_client(BIND, websocket=websocket)) == [Kind.STANZA]
    new.is_bound = True
    for text in STANZAS:
        assert say(new, in_client(text, websocket=websocket)) == [Kind.STANZA]


@pytest.mark.parametrize("websocket", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        "<message xmlns='jabber:server'/>",
        "<query xmlns='jabber:client'/>",
        "<iq xmlns='urn:other'/>",
        f"<open xmlns='{ns.STREAMS}'/>",
        AUTH,
        STARTTLS,
    ],
)
def test_element_that_is_no_stanza_is_refused_after_login(text: str, websocket: bool) -> None:
    """Login and TLS are over by then."""
    new = logged_in(websocket=websocket)
    new.is_bound = True
    assert condition_of(new, text) == "unsupported-stanza-type"


@pytest.mark.parametrize("name", ["auth", "response", "abort"])
def test_sasl_element_before_login_is_an_event(name: str) -> None:
    """Over both transports."""
    element = f"<{name} xmlns='{ns.SASL}'/>"
    assert say(opened(), element) == [Kind.SASL]
    assert say(opened(websocket=True), element) == [Kind.SASL]


def test_sasl_element_of_the_server_is_refused() -> None:
    """A client cannot say that it succeeded."""
    for name in ("success", "challenge", "failure", "mechanisms"):
        assert condition_of(opened(), f"<{name} xmlns='{ns.SASL}'/>") == "not-authorized"


def test_login_where_tls_is_required_is_against_the_policy() -> None:
    """No password is read in the clear; after TLS it goes on."""
    new = opened(starttls=True)
    assert condition_of(new, AUTH) == "policy-violation"
    new = opened(starttls=True)
    assert say(new, STARTTLS) == [Kind.STARTTLS]
    new.starttls = None
    new.restart()
    assert say(new, header()) == [Kind.OPENED]
    assert say(new, AUTH) == [Kind.SASL]


def test_starttls_where_it_cannot_be_begun_is_refused() -> None:
    """Over TLS already, and over WebSocket."""
    assert say(opened(starttls=False), STARTTLS) == [Kind.STARTTLS]
    assert condition_of(opened(), STARTTLS) == "not-authorized"
    assert condition_of(opened(websocket=True), STARTTLS) == "not-authorized"


def test_bytes_behind_starttls_in_the_same_packet_are_dropped() -> None:
    """What an attacker put in before TLS is not taken for the client's words after it."""
    new = opened(starttls=True)
    kinds = []
    for event in new.receive((STARTTLS + AUTH + header() + AUTH).encode()):
        kinds.append(event.kind)
        new.starttls = None
        new.restart()
    assert kinds == [Kind.STARTTLS]
    assert say(new, header()) == [Kind.OPENED]


def test_stanza_larger_than_before_login_passes_after_it() -> None:
    """The bounds change with the restart, over both transports."""
    large = f"<message to='a@b'><body>{'x' * 100_000}</body></message>"
    assert condition_of(opened(), large) == "policy-violation"
    assert condition_of(opened(websocket=True), large) == "policy-violation"
    for websocket in (False, True):
        new = logged_in(websocket=websocket)
        new.is_bound = True
        assert say(new, in_client(large, websocket=websocket)) == [Kind.STANZA]


@pytest.mark.parametrize("websocket", [False, True])
def test_error_before_the_header_opens_the_stream_first(websocket: bool) -> None:
    """RFC 6120 section 4.9.1.2; with detail and marks in it, all is well-formed."""
    new = stream(websocket=websocket)
    parts = new.error("host-unknown", '<it\'s & "that">')
    assert len(parts) == 3
    assert new.is_closed
    if websocket:
        head, error, end = (etree.fromstring(part) for part in parts)
        assert (head.tag, end.tag) == (f"{{{ns.FRAMING}}}open", f"{{{ns.FRAMING}}}close")
    else:
        error = etree.fromstring("".join(parts))[0]
    assert error.tag == f"{{{ns.STREAMS}}}error"
    assert error[0].tag == f"{{{ns.STREAM_ERRORS}}}host-unknown"
    assert error.findtext(f"{{{ns.STREAM_ERRORS}}}text") == '<it\'s & "that">'


@pytest.mark.parametrize("websocket", [False, True])
def test_error_behind_the_header_does_not_open_again_until_a_restart(websocket: bool) -> None:
    """A restarted stream has no header yet."""
    new = stream(websocket=websocket)
    new.header()
    assert len(new.error("conflict")) == 2
    new.restart()
    assert len(new.error("conflict")) == 3


def test_close_of_the_peer_is_an_event() -> None:
    """The stream is closed then, over both transports, opened or not."""
    for new, text in (
        (opened(), "</stream:stream>"),
        (opened(websocket=True), f"<close xmlns='{ns.FRAMING}'/>"),
        (stream(websocket=True), f"<close xmlns='{ns.FRAMING}'/>"),
    ):
        assert say(new, text) == [Kind.CLOSED]
        assert new.is_closed


def test_close_of_ours_ends_what_the_header_began() -> None:
    """Over TCP the end tag, over WebSocket an element."""
    assert stream().close() == "</stream:stream>"
    assert etree.fromstring(stream(websocket=True).close()).tag == f"{{{ns.FRAMING}}}close"


def test_words_of_login_and_tls_are_well_formed() -> None:
    """Failure with and without text, challenge, success, proceed."""
    failure = etree.fromstring(made.sasl_failure("not-authorized", "a < b & 'c'"))
    assert [child.tag for child in failure] == [
        f"{{{ns.SASL}}}not-authorized",
        f"{{{ns.SASL}}}text",
    ]
    assert failure[1].text == "a < b & 'c'"
    assert len(etree.fromstring(made.sasl_failure("aborted"))) == 1
    assert etree.fromstring(made.sasl("challenge", "YQ==")).text == "YQ=="
    assert etree.fromstring(made.sasl("success")).tag == f"{{{ns.SASL}}}success"
    assert etree.fromstring(made.proceed()).tag == f"{{{ns.TLS}}}proceed"
