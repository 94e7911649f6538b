"""A stock slixmpp client and a JSON client on the same accounts, over TCP with STARTTLS."""

import asyncio
import base64
from datetime import UTC, datetime

import pytest
from slixmpp.exceptions import IqError

from tests.support.json_client import PASSWORD, JsonClient, http
from tests.support.node import Node
from tests.support.xmpp_client import XmppClient

pytestmark = pytest.mark.dialogue

HARD_TEXTS = {
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈" * 20,
    "rtl": "שלום \u202eעולם مرحبا",
    "combining": "Z\u0351\u036b\u0343a\u0328\u0301lgo e\u0301 \u0e33\u0e49",
    "markup": "<b>&amp;]]></b>\"' <!-- -->",
    "20,000 characters": "字" * 20_000,
    "newlines": "one\ntwo\tthree\n\n",
}


async def both(node: Node) -> tuple[JsonClient, JsonClient, XmppClient]:
    """A JSON client, and another account with its JSON face and its XMPP session."""
    ann, account = await JsonClient.online(node), await JsonClient.register(node)
    return ann, account, await XmppClient(node, account.jid).login()


@pytest.mark.gen_test(timeout=60)
@pytest.mark.parametrize("name", HARD_TEXTS)
async def test_text_arrives_unchanged_both_ways(node: Node, name: str) -> None:
    """Whatever the script, what one side sends is what the other gets, live and in history."""
    ann, account, xena = await both(node)
    text = HARD_TEXTS[name]
    await ann.say(account.id, text, "c1")
    message = await xena.expect()
    assert message["body"] == text
    assert message["type"] == "chat"
    assert message["from"].bare == ann.jid
    xena.say(ann.jid, text)
    frame = await ann.expect(cmd=10)
    assert (frame["content"], frame["userid"], frame["dstid"]) == (text, account.id, ann.id)
    assert [m["content"] for m in await ann.history(10, account.id)] == [text, text]
    await xena.logout()


@pytest.mark.gen_test(timeout=30)
async def test_stanza_id_is_the_history_id_and_origin_id_the_cid(node: Node) -> None:
    """Both sides know a message by the same ids; a repeated origin-id is stored once."""
    ann, account, xena = await both(node)
    xena.register_plugin("xep_0359")
    ack = await ann.say(account.id, "hello", "my cid")
    message = await xena.expect()
    ids = {(e.get("id"), e.get("by")) for e in message.xml if e.tag == "{urn:xmpp:sid:0}stanza-id"}
    assert ids == {(str(ack["id"]), account.jid)}
    origins = [e.get("id") for e in message.xml if e.tag == "{urn:xmpp:sid:0}origin-id"]
    assert origins == ["my cid"]
    for _ in range(2):
        reply = xena.make_message(mto=ann.jid, mbody="back", mtype="chat")
        reply["origin_id"]["id"] = "their cid"
        reply.send()
    frame = await ann.expect(cmd=10)
    assert (frame["content"], frame["cid"]) == ("back", "their cid")
    await xena.settled()
    assert [f for f in await ann.settled() if f["cmd"] == 10] == []
    assert len(await ann.history(10, account.id)) == 2
    await xena.logout()


@pytest.mark.gen_test(timeout=30)
async def test_forged_sender_and_server_elements_are_not_believed(node: Node) -> None:
    """``from`` is stamped, and a client's stanza-id in the server's name is dropped."""
    ann, account, xena = await both(node)
    other = await XmppClient(node, ann.jid).login()
    message = xena.make_message(
        mto=ann.jid, mbody="really me", mtype="chat", mfrom="king@localhost"
    )
    message["origin_id"]["id"] = "x1"
    forged = message.xml.makeelement("{urn:xmpp:sid:0}stanza-id", {"id": "1", "by": ann.jid})
    message.xml.append(forged)
    message.send()
    come = await other.expect()
    assert come["from"].bare == account.jid
    ids = [e.get("id") for e in come.xml if e.tag == "{urn:xmpp:sid:0}stanza-id"]
    frame = await ann.expect(cmd=10)
    assert ids == [str(frame["id"])]
    await xena.logout()
    await other.logout()


@pytest.mark.gen_test(timeout=40)
async def test_messages_missed_while_away_come_with_their_time_once(node: Node) -> None:
    """Presence brings what was missed, in order, delayed; the next login does not repeat it."""
    ann, account, xena = await both(node)
    await ann.say(account.id, "0", "0")
    await xena.expect()
    await xena.settled()
    await xena.logout()
    acks = [await ann.say(account.id, str(n), str(n)) for n in range(1, 6)]
    again = await XmppClient(node, account.jid).login()
    come = [await again.expect() for _ in range(5)]
    assert [message["body"] for message in come] == ["1", "2", "3", "4", "5"]
    for message, ack in zip(come, acks, strict=True):
        sent = datetime.fromtimestamp(ack["ts"] // 1000, UTC)
        assert abs((message["delay"]["stamp"] - sent).total_seconds()) <= 1
    await again.settled()
    await again.logout()
    third = await XmppClient(node, account.jid).login()
    assert await third.settled() == []
    await third.logout()


@pytest.mark.gen_test(timeout=40)
async def test_messages_sent_while_coming_online_come_once_and_in_order(node: Node) -> None:
    """Live messages that cross the offline delivery are neither lost, doubled nor early."""
    ann, account = await JsonClient.online(node), await JsonClient.register(node)
    for n in range(50):
        await ann.say(account.id, str(n), str(n))
    xena = await XmppClient(node, account.jid).login(presence=False)
    xena.send_presence()
    for n in range(50, 100):
        ann.send(cmd=10, dstid=account.id, content=str(n), cid=str(n))
    come = [(await xena.expect())["body"] for _ in range(100)]
    assert come == [str(n) for n in range(100)]
    assert await xena.settled() == []
    await xena.logout()


@pytest.mark.gen_test(timeout=30)
async def test_resource_without_presence_gets_no_messages(node: Node) -> None:
    """A resource is asked for messages only after its initial presence, and not below zero."""
    ann, account = await JsonClient.online(node), await JsonClient.register(node)
    silent = await XmppClient(node, account.jid + "/silent").login(presence=False)
    shy = await XmppClient(node, account.jid + "/shy").login(presence=False)
    shy.send_presence(ppriority=-1)
    await shy.settled()
    await ann.say(account.id, "anybody?", "1")
    assert await silent.settled() == []
    assert await shy.settled() == []
    await silent.come_online()
    assert (await silent.expect())["body"] == "anybody?"
    await silent.logout()
    await shy.logout()


@pytest.mark.gen_test(timeout=40)
async def test_two_resources_and_a_json_device_all_get_the_message(node: Node) -> None:
    """Every device of the recipient has it; resources in use are made unique by the server."""
    ann, account, phone = await both(node)
    laptop = await XmppClient(node, f"{account.jid}/{phone.boundjid.resource}").login()
    assert laptop.boundjid.resource != phone.boundjid.resource
    page = await account.connect()
    await ann.say(account.id, "hi", "1")
    assert (await phone.expect())["body"] == "hi"
    assert (await laptop.expect())["body"] == "hi"
    assert (await page.expect(cmd=10))["content"] == "hi"
    phone.say(ann.jid, "from phone")
    assert (await ann.expect(cmd=10))["content"] == "from phone"
    assert (await page.expect(cmd=10))["content"] == "from phone"
    await phone.logout()
    await laptop.logout()


@pytest.mark.gen_test(timeout=40)
async def test_own_resources_see_each_others_presence(node: Node) -> None:
    """Available and unavailable reach one's other resources, also when the connection is cut."""
    account = await JsonClient.register(node)
    phone = await XmppClient(node, account.jid + "/phone").login()
    seen: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    def note(presence: object) -> None:
        seen.put_nowait((presence["from"].resource, presence["type"]))  # type: ignore[index]

    phone.add_event_handler("presence", note)
    laptop = await XmppClient(node, account.jid + "/laptop").login()
    async with asyncio.timeout(10):
        while await seen.get() != ("laptop", "available"):
            pass
        laptop.abort()
        while await seen.get() != ("laptop", "unavailable"):
            pass
    await phone.logout()


@pytest.mark.gen_test(timeout=60)
@pytest.mark.parametrize("tls", ["starttls", "direct", "none"])
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"])
async def test_login_by_each_mechanism_right_and_wrong(
    node: Node, mechanism: str, tls: str
) -> None:
    """The right password opens a session, a wrong one and an unknown account do not."""
    account = await JsonClient.register(node)
    right = await XmppClient(node, account.jid, mechanism=mechanism, tls=tls).login()
    assert right.boundjid.bare == account.jid
    await right.logout()
    for jid, password in ((account.jid, PASSWORD + "x"), ("nobody.here@localhost", PASSWORD)):
        client = XmppClient(node, jid, password, mechanism=mechanism, tls=tls)
        with pytest.raises(ConnectionError):
            await client.login()
        client.abort()


@pytest.mark.gen_test(timeout=30)
async def test_login_with_the_access_token_as_password(node: Node) -> None:
    """PLAIN takes the HTTP login's token, of this account only and only while it is good."""
    account, other = await JsonClient.register(node), await JsonClient.register(node)
    client = await XmppClient(node, account.jid, account.token, mechanism="PLAIN").login()
    await client.logout()
    stolen = XmppClient(node, account.jid, other.token, mechanism="PLAIN")
    with pytest.raises(ConnectionError):
        await stolen.login()
    stolen.abort()
    await http(node, "POST", "/api/logout", {}, token=account.token)
    late = XmppClient(node, account.jid, account.token, mechanism="PLAIN")
    with pytest.raises(ConnectionError):
        await late.login()
    late.abort()


@pytest.mark.gen_test(timeout=30)
async def test_login_by_id_is_the_same_account(node: Node) -> None:
    """An all-digit localpart names the user with that id; the canonical JID is bound."""
    account = await JsonClient.register(node)
    client = await XmppClient(node, f"{account.id}@localhost").login()
    assert client.boundjid.bare == account.jid
    await client.logout()


@pytest.mark.gen_test(timeout=30)
async def test_logout_everywhere_ends_the_stream(node: Node) -> None:
    """A session that is ended over HTTP ends XMPP streams of the account too."""
    _, account, xena = await both(node)
    ended = asyncio.Event()
    xena.add_event_handler("disconnected", lambda _: ended.set())
    assert (await http(node, "POST", "/api/logout", {"all": True}, token=account.token))[0] == 204
    async with asyncio.timeout(10):
        await ended.wait()


@pytest.mark.gen_test(timeout=40)
async def test_archive_is_paged_and_filtered(node: Node) -> None:
    """XEP-0313 over one's own archive: all, with somebody, backwards, and by time."""
    ann, account, xena = await both(node)
    bob = await JsonClient.online(node)
    for n in range(5):
        await ann.say(account.id, f"a{n}", str(n))
        await bob.say(account.id, f"b{n}", str(n))
    xena.say(ann.jid, "mine")
    await ann.expect(cmd=10)
    mam = xena.plugin["xep_0313"]

    async def bodies(**query: object) -> list[str]:
        return [
            str(entry["mam_result"]["forwarded"]["stanza"]["body"])
            async for entry in mam.iterate(**query)
        ]

    everything = [f"{who}{n}" for n in range(5) for who in "ab"] + ["mine"]
    assert await bodies(rsm={"max": 3}) == everything
    assert await bodies(with_jid=ann.jid, rsm={"max": 2}) == [f"a{n}" for n in range(5)] + ["mine"]
    backwards = await bodies(reverse=True, rsm={"max": 4})
    assert sorted(backwards) == sorted(everything)
    stored = await ann.history(10, account.id)
    start = datetime.fromtimestamp(stored[3]["ts"] / 1000, UTC)
    assert (await bodies(with_jid=ann.jid, start=start))[-2:] == ["a4", "mine"]
    result = await mam.retrieve(rsm={"max": 2})
    fin = result["mam_fin"]
    assert fin["rsm"]["count"] == str(len(everything))
    assert fin.xml.get("complete") != "true"
    await xena.logout()


@pytest.mark.gen_test(timeout=30)
async def test_archive_of_somebody_else_is_refused(node: Node) -> None:
    """The archive at another JID is not one's own."""
    ann, _, xena = await both(node)
    with pytest.raises(IqError):
        await xena.plugin["xep_0313"].retrieve(jid=ann.jid)
    await xena.logout()


@pytest.mark.gen_test(timeout=40)
async def test_service_queries_are_answered(node: Node) -> None:
    """disco, ping, version, time, roster answer; what is not known is service-unavailable."""
    _, account, xena = await both(node)
    for plugin in ("xep_0092", "xep_0202"):
        xena.register_plugin(plugin)
    info = await xena.plugin["xep_0030"].get_info("localhost")
    assert ("server", "im") in {i[:2] for i in info["disco_info"]["identities"]}
    features = info["disco_info"]["features"]
    assert {"urn:xmpp:ping", "jabber:iq:version", "urn:xmpp:time"} <= set(features)
    own = await xena.plugin["xep_0030"].get_info(account.jid)
    assert "urn:xmpp:mam:2" in own["disco_info"]["features"]
    await xena.plugin["xep_0030"].get_items("localhost")
    await xena.plugin["xep_0199"].send_ping("localhost")
    assert (await xena.plugin["xep_0092"].get_version("localhost"))["software_version"]["name"]
    told = await xena.plugin["xep_0202"].get_entity_time("localhost")
    # Not by slixmpp's getter, which adds a second Z.
    assert told.xml.findtext(".//{urn:xmpp:time}utc").endswith("Z")
    assert (await xena.get_roster())["type"] == "result"
    iq = xena.make_iq_get(queryxmlns="urn:example:unknown", ito="localhost")
    with pytest.raises(IqError) as refused:
        await iq.send()
    assert refused.value.condition == "service-unavailable"


@pytest.mark.gen_test(timeout=30)
async def test_undeliverable_messages_come_back_as_errors(node: Node) -> None:
    """Unknown accounts, foreign domains and text that is too long are told to the sender."""
    ann, _, xena = await both(node)
    xena.say("nobody.here@localhost", "hi")
    error = await xena.expect(lambda m: m["type"] == "error")
    assert error["error"]["condition"] in ("item-not-found", "service-unavailable")
    xena.say("somebody@far.example", "hi")
    error = await xena.expect(lambda m: m["type"] == "error")
    assert error["error"]["condition"] == "remote-server-not-found"
    xena.say(ann.jid, "x" * 20_001)
    error = await xena.expect(lambda m: m["type"] == "error")
    # Not by slixmpp's getter, which does not know this condition of RFC 6120.
    stanzas = "{urn:ietf:params:xml:ns:xmpp-stanzas}"
    assert error.xml.find(f".//{stanzas}policy-violation") is not None
    await xena.logout()


async def talk(node: Node, *parts: bytes, until: bytes = b"", timeout_s: float = 10) -> bytes:
    """Writes to the plain TCP port, one part after each answer; what came until the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", node.xmpp_port)
    heard = b""
    try:
        async with asyncio.timeout(timeout_s):
            for part in parts:
                writer.write(part)
            while chunk := await reader.read(65536):
                heard += chunk
                if until and until in heard:
                    break
    finally:
        writer.close()
    return heard


OPEN = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' to='localhost' version='1.0' "
    b"xmlns:stream='http://etherx.jabber.org/streams'>"
)


def auth(mechanism: str, content: bytes) -> bytes:
    encoded = base64.b64encode(content).decode() or "="
    return (
        f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{encoded}</auth>"
    ).encode()


@pytest.mark.gen_test(timeout=30)
async def test_oauthbearer_takes_the_access_token(node: Node) -> None:
    """RFC 7628 with the HTTP login's token; a wrong one is refused with its JSON status."""
    account = await JsonClient.register(node)
    good = f"n,a={account.jid},\x01auth=Bearer {account.token}\x01\x01".encode()
    heard = await talk(node, OPEN, auth("OAUTHBEARER", good), until=b"<success")
    assert b"<success" in heard
    bad = f"n,a={account.jid},\x01auth=Bearer {account.token}x\x01\x01".encode()
    heard = await talk(
        node,
        OPEN,
        auth("OAUTHBEARER", bad),
        b"<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>AQ==</response>",
        until=b"</failure>",
    )
    assert b"<success" not in heard
    assert b"not-authorized" in heard


SASL_MISTAKES = {
    "unknown mechanism": (auth("EXTERNAL", b""), b"invalid-mechanism"),
    "no base64": (
        b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>&#33;&#33;</auth>",
        b"incorrect-encoding",
    ),
    "plain without parts": (auth("PLAIN", b"abc"), b"malformed-request"),
    "foreign authzid": (auth("PLAIN", b"king@localhost\0abc\0password"), b"invalid-authzid"),
    "scram with binding": (
        auth("SCRAM-SHA-256", b"p=tls-unique,,n=abc,r=xyz"),
        b"malformed-request",
    ),
    "scram garbage": (auth("SCRAM-SHA-256", b"xyz"), b"malformed-request"),
}


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize("name", SASL_MISTAKES)
async def test_sasl_mistake_gets_the_condition_of_the_rfc(node: Node, name: str) -> None:
    """RFC 6120 section 6.5; the stream stays for another try."""
    sent, condition = SASL_MISTAKES[name]
    heard = await talk(node, OPEN, sent, until=b"</failure>")
    assert condition in heard or (name == "scram with binding" and b"not-authorized" in heard)


ATTACKS: dict[str, tuple[bytes, bytes]] = {
    "garbage": (b"GET / HTTP/1.1\r\n\r\n", b"not-well-formed"),
    "doctype": (b"<!DOCTYPE x []>" + OPEN[21:], b"restricted-xml"),
    "doctype with entities": (
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>' + OPEN[21:],
        b"restricted-xml",
    ),
    "comment": (OPEN + b"<!-- hello -->", b"restricted-xml"),
    "processing instruction": (OPEN + b"<?php echo 1 ?>", b"restricted-xml"),
    "unknown entity": (OPEN + b"<a>&xxe;</a>", b"not-well-formed|restricted-xml"),
    "mismatched tags": (OPEN + b"<a></b>", b"not-well-formed"),
    "unbound prefix": (OPEN + b"<x:a/>", b"not-well-formed|bad-namespace-prefix"),
    "duplicate attribute": (OPEN + b"<a b='1' b='2'/>", b"not-well-formed"),
    "nul": (OPEN + b"<a>\0</a>", b"not-well-formed"),
    "control character": (OPEN + b"<a>&#1;</a>", b"not-well-formed"),
    "overlong utf-8": (OPEN + b"<a>\xc0\xaf</a>", b"not-well-formed"),
    "surrogate in utf-8": (OPEN + b"<a>\xed\xa0\x80</a>", b"not-well-formed"),
    "utf-16": ("<?xml version='1.0' encoding='utf-16'?><x/>".encode("utf-16"), b""),
    "latin-1": (
        b"<?xml version='1.0' encoding='iso-8859-1'?>" + OPEN[21:],
        b"unsupported-encoding",
    ),
    "deep": (OPEN + b"<a>" * 500, b"policy-violation"),
    "many elements before login": (OPEN + b"<a>" + b"<b/>" * 100 + b"</a>", b"policy-violation"),
    "huge attribute": (OPEN + b"<a b='" + b"x" * 20_000, b"policy-violation"),
    "huge text before login": (OPEN + b"<a>" + b"x" * 20_000, b"policy-violation"),
    "wrong stream namespace": (
        OPEN.replace(b"http://etherx.jabber.org/streams", b"urn:wrong"),
        b"invalid-namespace",
    ),
    "no stream": (b"<message/>", b"invalid-namespace|bad-format|not-well-formed"),
    "unknown host": (OPEN.replace(b"to='localhost'", b"to='far.example'"), b"host-unknown"),
    "stanza before login": (
        OPEN + b"<message to='a@localhost'><body>x</body></message>",
        b"not-authorized",
    ),
}


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize("name", ATTACKS)
async def test_bad_xml_over_tcp_gets_the_stream_error(one_node: Node, name: str) -> None:
    """The stream ends with the RFC's condition (RFC 6120 section 4.9.3), for this peer alone."""
    sent, conditions = ATTACKS[name]
    heard = await talk(one_node, sent)
    assert any(condition in heard for condition in conditions.split(b"|")), heard
    assert heard.rstrip().endswith(b"</stream:stream>")
    status, _, _ = await http(one_node, "GET", "/livez")
    assert status == 200


@pytest.mark.gen_test(timeout=30)
async def test_stream_of_single_bytes_and_of_one_packet_are_the_same(node: Node) -> None:
    """How TCP cuts the bytes changes nothing."""
    account = await JsonClient.register(node)
    whole = OPEN + auth("PLAIN", f"\0{account.username}\0{PASSWORD}".encode())
    heard = await talk(node, *[whole[n : n + 1] for n in range(len(whole))], until=b"<success")
    assert b"<success" in heard
