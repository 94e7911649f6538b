"""Receipts, typing, recall, edit, reactions and replies between a JSON and an XMPP client."""

import pytest
from slixmpp.stanza import Message
from slixmpp.xmlstream import ET

from stanzas import ns
from tests.support.json_client import JsonClient
from tests.support.node import Node
from tests.support.xmpp_client import XmppClient

pytestmark = pytest.mark.dialogue


def child(message: Message, tag: str) -> ET.Element | None:
    found: ET.Element | None = message.xml.find(tag)
    return found


def with_child(tag: str) -> object:
    return lambda message: child(message, tag) is not None


async def pair(node: Node) -> tuple[JsonClient, JsonClient, XmppClient]:
    """Alice on JSON, and Bob's account, who is on XMPP."""
    alice, bob = await JsonClient.online(node), await JsonClient.register(node)
    return alice, bob, await XmppClient(node, bob.jid, hears_all=True).login()


@pytest.mark.gen_test(timeout=40)
async def test_json_acts_reach_xmpp_under_the_names_it_knows(node: Node) -> None:
    """Edit, reaction and recall of a JSON message and of one of the XMPP client's own."""
    alice, bob, romeo = await pair(node)
    sent = await alice.say(bob.id, "helo", "c1")
    first = await romeo.expect()
    assert first["id"] == "c1"
    await alice.act(15, 10, bob.id, sent["id"], "c2", content="hello")
    edit = await romeo.expect(with_child(f"{{{ns.CORRECT}}}replace"))
    assert child(edit, f"{{{ns.CORRECT}}}replace").get("id") == "c1"
    assert edit["body"] == "hello"
    romeo.say(alice.jid, "hi", id="x1")
    said = await alice.expect(cmd=10)
    await alice.act(16, 10, bob.id, said["id"], "c3", content="\U0001f44d")
    reaction = await romeo.expect(with_child(f"{{{ns.REACTIONS}}}reactions"))
    element = child(reaction, f"{{{ns.REACTIONS}}}reactions")
    assert element.get("id") == "x1"
    assert [one.text for one in element] == ["\U0001f44d"]
    await alice.act(14, 10, bob.id, sent["id"], "c4")
    retraction = await romeo.expect(with_child(f"{{{ns.RETRACT}}}retract"))
    assert child(retraction, f"{{{ns.RETRACT}}}retract").get("id") == "c1"


@pytest.mark.gen_test(timeout=40)
async def test_xmpp_acts_reach_json_and_history(node: Node) -> None:
    """Correction, reactions and retraction by id attribute, without any origin-id."""
    alice, bob, romeo = await pair(node)
    romeo.say(alice.jid, "helo", id="x1")
    said = await alice.expect(cmd=10)
    message = romeo.make_message(mto=alice.jid, mbody="hello", mtype="chat")
    message.append(ET.Element(f"{{{ns.CORRECT}}}replace", id="x1"))
    message.send()
    edit = await alice.expect(cmd=15)
    assert (edit["ref"], edit["content"], edit["userid"]) == (said["id"], "hello", bob.id)
    message = romeo.make_message(mto=alice.jid, mtype="chat")
    reactions = ET.SubElement(message.xml, f"{{{ns.REACTIONS}}}reactions", id="x1")
    ET.SubElement(reactions, f"{{{ns.REACTIONS}}}reaction").text = "\U0001f389"
    message.send()
    assert (await alice.expect(cmd=16))["content"] == "\U0001f389"
    [first, *_] = await alice.history(10, bob.id)
    assert (first["content"], first["reactions"]) == ("hello", {"\U0001f389": [bob.id]})
    message = romeo.make_message(mto=alice.jid, mbody="fallback", mtype="chat")
    message.append(ET.Element(f"{{{ns.RETRACT}}}retract", id="x1"))
    message.send()
    assert (await alice.expect(cmd=14))["ref"] == said["id"]
    [first, *_] = await alice.history(10, bob.id)
    assert first["recalled"] is True and "content" not in first


@pytest.mark.gen_test(timeout=40)
async def test_xmpp_act_on_what_is_not_there_gets_an_error(node: Node) -> None:
    """item-not-found for an unknown name; forbidden for another's message."""
    alice, bob, romeo = await pair(node)
    await alice.say(bob.id, "mine", "c1")
    await romeo.expect()
    for name, condition in (("nothing", "item-not-found"), ("c1", "forbidden")):
        message = romeo.make_message(mto=alice.jid, mtype="chat")
        message.append(ET.Element(f"{{{ns.RETRACT}}}retract", id=name))
        message.send()
        error = await romeo.expect(lambda message: message["type"] == "error")
        assert error["error"]["condition"] == condition


@pytest.mark.gen_test(timeout=40)
async def test_receipts_and_markers_cross_both_ways(node: Node) -> None:
    """0184 and 0333 become cmd 12 and the other way round, by the ids each side knows."""
    alice, bob, romeo = await pair(node)
    ack = await alice.say(bob.id, "hello", "c1")
    got = await romeo.expect()
    assert child(got, f"{{{ns.RECEIPTS}}}request") is not None
    assert child(got, f"{{{ns.MARKERS}}}markable") is not None
    for tag, state in (
        (f"{{{ns.RECEIPTS}}}received", "delivered"),
        (f"{{{ns.MARKERS}}}displayed", "read"),
    ):
        message = romeo.make_message(mto=alice.jid, mtype="chat")
        message.append(ET.Element(tag, id=got["id"]))
        message.send()
        heard = await alice.expect(cmd=12)
        assert (heard["userid"], heard["seq"], heard["state"]) == (bob.id, ack["seq"], state)
    assert (await bob.line(alice.id))["unread"] == 0
    romeo.say(alice.jid, "hi", id="x1")
    said = await alice.expect(cmd=10)
    for state, tag in (("delivered", f"{{{ns.RECEIPTS}}}received"), ("read", None)):
        alice.send(cmd=12, chat=10, dstid=bob.id, seq=said["seq"], state=state)
        tag = tag or f"{{{ns.MARKERS}}}displayed"
        heard = await romeo.expect(with_child(tag))
        assert child(heard, tag).get("id") == "x1"
        assert heard["from"].bare == alice.jid


@pytest.mark.gen_test(timeout=40)
async def test_typing_crosses_both_ways(node: Node) -> None:
    """Chat states and cmd 13."""
    alice, bob, romeo = await pair(node)
    alice.send(cmd=13, chat=10, dstid=bob.id, state="composing")
    heard = await romeo.expect(with_child(f"{{{ns.CHAT_STATES}}}composing"))
    assert heard["from"].bare == alice.jid
    for state, expected in (("composing", "composing"), ("active", "paused")):
        message = romeo.make_message(mto=alice.jid, mtype="chat")
        message.append(ET.Element(f"{{{ns.CHAT_STATES}}}{state}"))
        message.send()
        typing = await alice.expect(cmd=13)
        assert (typing["userid"], typing["state"]) == (bob.id, expected)


@pytest.mark.gen_test(timeout=40)
async def test_replies_cross_both_ways(node: Node) -> None:
    """XEP-0461 and ref."""
    alice, bob, romeo = await pair(node)
    romeo.say(alice.jid, "lunch?", id="x1")
    said = await alice.expect(cmd=10)
    alice.send(cmd=10, dstid=bob.id, content="yes", ref=said["id"], cid="c1")
    ack = await alice.expect(cmd=1)
    answer = await romeo.expect(lambda message: message["body"] == "yes")
    assert child(answer, f"{{{ns.REPLY}}}reply").get("id") == "x1"
    message = romeo.make_message(mto=alice.jid, mbody="good", mtype="chat")
    message.append(ET.Element(f"{{{ns.REPLY}}}reply", id="c1", to=alice.jid))
    message.send()
    assert (await alice.expect(cmd=10))["ref"] == ack["id"]


def act(client: XmppClient, to: str, tag: str, name: str, body: str = "") -> None:
    """One stanza that names a message."""
    message = client.make_message(mto=to, mbody=body or None, mtype="chat")
    message.append(ET.Element(tag, id=name))
    message.send()


@pytest.mark.gen_test(timeout=40)
@pytest.mark.parametrize("taken", ["cid", "id"])
async def test_name_that_both_sides_gave_is_taken_for_the_one_that_is_meant(
    node: Node, taken: str
) -> None:
    """Nobody keeps a message from being taken back by giving one of theirs its name."""
    alice, bob, romeo = await pair(node)
    if taken == "cid":
        alice.send(cmd=10, dstid=bob.id, content="hers", cid="x1")
        await alice.expect(cmd=1)
        message = romeo.make_message(mto=alice.jid, mbody="his", mtype="chat")
        message.append(ET.Element(f"{{{ns.IDS}}}origin-id", id="x1"))
        message.send()
        name, his = "x1", await alice.expect(cmd=10)
    else:
        romeo.say(alice.jid, "his", id="")
        his = await alice.expect(cmd=10)
        name = str(his["id"])
        await alice.say(bob.id, "hers", name)
    hers = await romeo.expect(lambda message: message["body"] == "hers")
    assert hers["id"] == name
    act(romeo, alice.jid, f"{{{ns.RECEIPTS}}}received", name)
    entries = await alice.history(10, bob.id)
    [seq] = [entry["seq"] for entry in entries if entry["content"] == "hers"]
    assert (await alice.expect(cmd=12))["seq"] == seq
    act(romeo, alice.jid, f"{{{ns.CORRECT}}}replace", name, "his own")
    assert (await alice.expect(cmd=15))["ref"] == his["id"]
    act(romeo, alice.jid, f"{{{ns.RETRACT}}}retract", name)
    assert (await alice.expect(cmd=14))["ref"] == his["id"]


@pytest.mark.gen_test(timeout=40)
async def test_edit_stands_for_the_message_that_it_is_of(node: Node) -> None:
    """Clients know a corrected message by the name of its last correction."""
    alice, bob, romeo = await pair(node)
    sent = await alice.say(bob.id, "helo", "c1")
    edit = await alice.act(15, 10, bob.id, sent["id"], "c2", content="hello")
    await romeo.expect(with_child(f"{{{ns.CORRECT}}}replace"))
    act(romeo, alice.jid, f"{{{ns.MARKERS}}}displayed", "c2")
    assert (await alice.expect(cmd=12))["seq"] == edit["seq"]
    romeo.say(alice.jid, "one", id="x1")
    said = await alice.expect(cmd=10)
    for name, body in (("x1", "two"), ("x2", "three")):
        message = romeo.make_message(mto=alice.jid, mbody=body, mtype="chat")
        message["id"] = "x2" if body == "two" else "x3"
        message.append(ET.Element(f"{{{ns.CORRECT}}}replace", id=name))
        message.send()
        heard = await alice.expect(cmd=15)
        assert (heard["ref"], heard["content"]) == (said["id"], body)
    act(romeo, alice.jid, f"{{{ns.RETRACT}}}retract", "x3")
    assert (await alice.expect(cmd=14))["ref"] == said["id"]


@pytest.mark.gen_test(timeout=40)
async def test_archive_of_what_was_recalled_has_neither_text_nor_empty_corrections(
    node: Node,
) -> None:
    """XEP-0313: the tombstone, an edit of which nothing is left, the retraction."""
    alice, bob, romeo = await pair(node)
    sent = await alice.say(bob.id, "secret", "c1")
    await alice.act(15, 10, bob.id, sent["id"], "c2", content="secret too")
    await alice.act(16, 10, bob.id, sent["id"], "c3", content="x")
    await alice.act(14, 10, bob.id, sent["id"], "c4")
    archive = romeo.plugin["xep_0313"].iterate()
    archived = [ET.tostring(each["mam_result"].xml).decode() async for each in archive]
    assert len(archived) == 4
    assert "secret" not in "".join(archived)
    assert "retracted" in archived[0]
    assert "replace" not in archived[1]
    assert "reactions" in archived[2]
    assert ":retract " in archived[3] and 'id="c1"' in archived[3]


@pytest.mark.gen_test(timeout=40)
async def test_client_that_was_offline_hears_what_became_of_what_it_has(node: Node) -> None:
    """Edits and recalls of what it was handed before; what it was not comes as it is now."""
    alice, bob, romeo = await pair(node)
    ids = [(await alice.say(bob.id, text, text))["id"] for text in ("edit me", "recall me")]
    await romeo.expect(lambda message: message["body"] == "recall me")
    await romeo.ping()
    await romeo.logout()
    ids.append((await alice.say(bob.id, "new", "new"))["id"])
    await alice.act(15, 10, bob.id, ids[0], "e1", content="edited")
    await alice.act(14, 10, bob.id, ids[1], "r1")
    await alice.act(15, 10, bob.id, ids[2], "e2", content="newer")
    again = await XmppClient(node, bob.jid, hears_all=True).login()
    come = await again.settled()
    message, edit, recall = come
    assert (message["body"], message["id"]) == ("newer", "new")
    assert child(edit, f"{{{ns.CORRECT}}}replace").get("id") == "edit me"
    assert child(recall, f"{{{ns.RETRACT}}}retract").get("id") == "recall me"


@pytest.mark.gen_test(timeout=40)
async def test_receipt_as_clients_send_it_is_no_message(node: Node) -> None:
    """With a hint to store it."""
    alice, bob, romeo = await pair(node)
    ack = await alice.say(bob.id, "hello", "c1")
    await romeo.expect()
    message = romeo.make_message(mto=alice.jid, mtype="chat")
    message.append(ET.Element(f"{{{ns.MARKERS}}}displayed", id="c1"))
    message.append(ET.Element(f"{{{ns.HINTS}}}store"))
    message.send()
    assert (await alice.expect(cmd=12))["seq"] == ack["seq"]
    assert len(await alice.history(10, bob.id)) == 1


@pytest.mark.gen_test(timeout=40)
async def test_names_of_what_is_not_there_are_counted(own_node: Node) -> None:
    """Each is looked for among the last 200 messages: nobody asks for that without end."""
    own_node.env |= {"TANDEM_LIMITS_RATE_SCALE": "1", "TANDEM_LIMITS_SENDS_PER_SECOND": "5"}
    own_node.start()
    alice, bob, romeo = await pair(own_node)
    await alice.say(bob.id, "hello", "c1")
    for n in range(150):
        act(romeo, alice.jid, f"{{{ns.MARKERS}}}displayed", f"nothing {n}")
    error = await romeo.expect(lambda message: message["type"] == "error")
    assert "slow-down" in error["error"]["text"]
