"""XMPP over WebSocket (RFC 7395): the same sessions, one stanza a frame."""

import base64
import re

import pytest
from lxml import etree
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from tests.support.groups import make_group
from tests.support.json_client import PASSWORD, SOCKETS, JsonClient
from tests.support.node import Node

pytestmark = pytest.mark.dialogue

OPEN = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='localhost' version='1.0'/>"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"


class Socket:
    """A raw RFC 7395 client."""

    def __init__(self, connection: WebSocketClientConnection) -> None:
        self.connection = connection
        SOCKETS.append(connection)

    @classmethod
    async def open(cls, node: Node, **headers: str) -> "Socket":
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        request = HTTPRequest(f"ws://127.0.0.1:{node.port}/xmpp-websocket", headers=sent)
        return cls(await websocket_connect(request, subprotocols=["xmpp"]))

    async def login(self, account: JsonClient) -> "Socket":
        plain = base64.b64encode(f"\0{account.username}\0{PASSWORD}".encode()).decode()
        await self.ask(OPEN, "<stream:features")
        await self.ask(f"<auth xmlns='{SASL}' mechanism='PLAIN'>{plain}</auth>", "<success")
        await self.ask(OPEN, "<bind")
        await self.ask(
            "<iq xmlns='jabber:client' type='set' id='b'>"
            "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
            "<jid>",
        )
        self.send("<presence xmlns='jabber:client'/>")
        await self.ask(
            "<iq xmlns='jabber:client' type='get' id='p' to='localhost'>"
            "<ping xmlns='urn:xmpp:ping'/></iq>",
            "result",
        )
        return self

    def send(self, xml: str) -> None:
        self.connection.write_message(xml)

    async def ask(self, xml: str, word: str) -> str:
        """Sends, and gives the first frame with ``word`` in it."""
        self.send(xml)
        return await self.hear(word)

    async def hear(self, word: str) -> str:
        while True:
            frame = await self.connection.read_message()
            assert frame is not None, f"closed before {word}"
            assert isinstance(frame, str)
            if word in frame:
                return frame

    async def rest(self) -> list[str]:
        """All frames until the connection closes."""
        frames = []
        while (frame := await self.connection.read_message()) is not None:
            frames.append(str(frame))
        return frames


@pytest.mark.gen_test(timeout=30)
async def test_chat_with_a_json_client_both_ways(node: Node) -> None:
    """Each frame is one complete XML document with its own namespaces."""
    ann, account = await JsonClient.online(node), await JsonClient.register(node)
    socket = await (await Socket.open(node)).login(account)
    await ann.say(account.id, "hello <&>", "c1")
    stanza = etree.fromstring(await socket.hear("<body>"))
    assert stanza.tag == "{jabber:client}message"
    assert stanza.findtext("{jabber:client}body") == "hello <&>"
    socket.send(
        f"<message xmlns='jabber:client' to='{ann.jid}' type='chat' id='1'>"
        "<body>&#128512; back</body></message>"
    )
    assert (await ann.expect(cmd=10))["content"] == "😀 back"


@pytest.mark.gen_test(timeout=30)
async def test_close_is_answered_with_close(node: Node) -> None:
    """RFC 7395 section 3.6."""
    account = await JsonClient.register(node)
    socket = await (await Socket.open(node)).login(account)
    socket.send("<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>")
    frames = await socket.rest()
    assert re.match(r"<close\b", frames[-1])


@pytest.mark.gen_test(timeout=30)
async def test_handshake_needs_the_subprotocol_and_the_own_origin(node: Node) -> None:
    """Without ``xmpp`` or from a foreign page there is no upgrade; a token gives no rights."""
    url = f"ws://127.0.0.1:{node.port}/xmpp-websocket"
    with pytest.raises(HTTPClientError):
        await websocket_connect(url)
    with pytest.raises(HTTPClientError) as refused:
        await Socket.open(node, Origin="http://evil.example")
    assert refused.value.code == 403


ATTACKS = {
    "garbage": "hello",
    "doctype": "<!DOCTYPE x [<!ENTITY a 'b'>]>" + OPEN,
    "comment": "<!-- x -->" + OPEN,
    "processing instruction": "<?php x ?>" + OPEN,
    "two documents": OPEN + OPEN,
    "unknown entity": OPEN.replace("localhost", "&x;"),
    "tcp framing": "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' "
    "xmlns='jabber:client' to='localhost' version='1.0'>",
    "too long before login": "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' x='"
    + "y" * 20_000
    + "'/>",
    "deep": "<a>" * 300 + "</a>" * 300,
    "stanza first": "<message xmlns='jabber:client'><body>x</body></message>",
    "wrong host": OPEN.replace("localhost", "far.example"),
}


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize("name", ATTACKS)
async def test_bad_xml_over_websocket_gets_a_stream_error(one_node: Node, name: str) -> None:
    """The stream is opened if need be, told its error, and closed."""
    socket = await Socket.open(one_node)
    socket.send(ATTACKS[name])
    frames = await socket.rest()
    assert any("<stream:error" in frame for frame in frames), frames
    for frame in frames:
        etree.fromstring(frame)


@pytest.mark.gen_test(timeout=30)
async def test_a_room_over_websocket(node: Node) -> None:
    """Join, past, subject, both directions and leaving, each a frame with its namespace."""
    ann, account = await JsonClient.online(node), await JsonClient.register(node)
    gid = await make_group(ann, account)
    await ann.say(gid, "before", "c1", chat=11)
    socket = await (await Socket.open(node)).login(account)
    room = f"{gid}@conference.localhost"
    own = await socket.ask(
        f"<presence xmlns='jabber:client' to='{room}/{account.username}'>"
        "<x xmlns='http://jabber.org/protocol/muc'/></presence>",
        "code='110'",
    )
    assert etree.fromstring(own).get("from") == f"{room}/{account.username}"
    assert "urn:xmpp:delay" in await socket.hear("before")
    await socket.hear("<subject")
    await ann.say(gid, "hello <&>", "c2", chat=11)
    heard = etree.fromstring(await socket.hear("hello"))
    assert heard.findtext("{jabber:client}body") == "hello <&>"
    reflected = await socket.ask(
        f"<message xmlns='jabber:client' to='{room}' type='groupchat' id='m1'>"
        "<body>hi</body></message>",
        "hi",
    )
    assert etree.fromstring(reflected).get("id") == "m1"
    assert (await ann.expect(cmd=11))["content"] == "hi"
    await socket.ask(
        f"<presence xmlns='jabber:client' to='{room}/{account.username}' type='unavailable'/>",
        "type='unavailable'",
    )
