"""Acts, hints and answers in rooms, the room's archive, names, and what disco tells."""

import asyncio
from typing import Any

import pytest
from slixmpp.exceptions import IqError
from slixmpp.xmlstream import ET

from stanzas import ns
from tests.support.groups import make_group
from tests.support.json_client import JsonClient
from tests.support.node import Node
from tests.support.rooms import RoomClient, codes, item, room_of

pytestmark = pytest.mark.dialogue


def child(message: Any, tag: str) -> Any:
    return message.xml.find(tag)


def with_child(tag: str) -> Any:
    return lambda message: child(message, tag) is not None


def number(message: Any) -> str:
    """The room's stanza-id."""
    return str(child(message, f"{{{ns.IDS}}}stanza-id").get("id"))


class Scene:
    """Alice on JSON owns a group; Bob is in its room with two XMPP clients."""

    def __init__(self, node: Node) -> None:
        self.node = node

    async def set(self, *, both: bool = False) -> "Scene":
        self.alice = await JsonClient.online(self.node)
        self.bob = await JsonClient.register(self.node)
        self.gid = await make_group(self.alice, self.bob)
        self.romeo = await RoomClient(self.node, self.bob.jid).login()
        self.room = room_of(self.romeo, self.gid)
        await self.romeo.join(self.room, self.bob.username)
        if both:
            self.phone = await RoomClient(self.node, self.bob.jid).login()
            await self.phone.join(self.room, self.bob.username)
        return self

    def act(self, *children: ET.Element, body: str = "", kind: str = "groupchat") -> None:
        message = self.romeo.make_message(mto=self.room, mtype=kind, mbody=body or None)
        for one in children:
            message.append(one)
        message.send()


@pytest.mark.gen_test(timeout=40)
async def test_acts_from_json_name_the_rooms_ids(node: Node) -> None:
    """Edit by the id attribute; reaction, recall and answer by the room's stanza-id."""
    play = await Scene(node).set()
    alice, romeo, gid = play.alice, play.romeo, play.gid
    sent = await alice.say(gid, "helo", "c1", chat=11)
    assert (await romeo.expect(lambda one: one["body"] == "helo"))["id"] == "c1"
    await alice.act(15, 11, gid, sent["id"], "c2", content="hello")
    edit = await romeo.expect(with_child(f"{{{ns.CORRECT}}}replace"))
    assert child(edit, f"{{{ns.CORRECT}}}replace").get("id") == "c1"
    await alice.act(16, 11, gid, sent["id"], "c3", content="\U0001f44d")
    reaction = await romeo.expect(with_child(f"{{{ns.REACTIONS}}}reactions"))
    assert child(reaction, f"{{{ns.REACTIONS}}}reactions").get("id") == str(sent["id"])
    alice.send(cmd=11, dstid=gid, content="as I said", cid="c4", ref=sent["id"])
    answer = await romeo.expect(with_child(f"{{{ns.REPLY}}}reply"))
    assert child(answer, f"{{{ns.REPLY}}}reply").get("id") == str(sent["id"])
    await alice.act(14, 11, gid, sent["id"], "c5")
    recall = await romeo.expect(with_child(f"{{{ns.RETRACT}}}retract"))
    assert child(recall, f"{{{ns.RETRACT}}}retract").get("id") == str(sent["id"])
    assert recall["from"].resource == alice.username


@pytest.mark.gen_test(timeout=40)
async def test_acts_from_xmpp_reach_json(node: Node) -> None:
    """Correction, reactions, reply and retraction, each also reflected."""
    play = await Scene(node).set()
    alice, romeo = play.alice, play.romeo
    romeo.say_in(play.room, "helo", id="x1")
    said = await alice.expect(cmd=11)
    mine = await romeo.expect(lambda one: one["body"] == "helo")
    play.act(ET.Element(f"{{{ns.CORRECT}}}replace", id="x1"), body="hello")
    edit = await alice.expect(cmd=15)
    assert (edit["ref"], edit["content"]) == (said["id"], "hello")
    await romeo.expect(with_child(f"{{{ns.CORRECT}}}replace"))
    reactions = ET.Element(f"{{{ns.REACTIONS}}}reactions", id=number(mine))
    ET.SubElement(reactions, f"{{{ns.REACTIONS}}}reaction").text = "\U0001f389"
    play.act(reactions)
    assert (await alice.expect(cmd=16))["ref"] == said["id"]
    play.act(ET.Element(f"{{{ns.REPLY}}}reply", id=number(mine)), body="indeed")
    assert (await alice.expect(cmd=11, content="indeed"))["ref"] == said["id"]
    play.act(ET.Element(f"{{{ns.RETRACT}}}retract", id=number(mine)))
    assert (await alice.expect(cmd=14))["ref"] == said["id"]
    reflected = await romeo.expect(with_child(f"{{{ns.RETRACT}}}retract"))
    assert reflected["from"].resource == play.bob.username


@pytest.mark.gen_test(timeout=40)
async def test_moderators_take_others_messages_back(node: Node) -> None:
    """XEP-0425 from the room's bare JID, asked for by JSON or by XMPP."""
    play = await Scene(node).set()
    alice, romeo, gid = play.alice, play.romeo, play.gid
    romeo.say_in(play.room, "rude")
    said = await alice.expect(cmd=11)
    await alice.act(14, 11, gid, said["id"], "c1")
    recall = await romeo.expect(with_child(f"{{{ns.RETRACT}}}retract"))
    assert recall["from"] == play.room
    moderated = child(recall, f"{{{ns.RETRACT}}}retract/{{{ns.MODERATE}}}moderated")
    assert moderated.get("by") == f"{play.room}/{alice.username}"
    ack = await alice.say(gid, "rude too", "c2", chat=11)
    moderate = ET.Element(f"{{{ns.MODERATE}}}moderate", id=str(ack["id"]))
    ET.SubElement(moderate, f"{{{ns.RETRACT}}}retract")
    with pytest.raises(IqError):
        await romeo.ask("set", play.room, moderate)
    await alice.call("PATCH", f"/api/groups/{gid}/members/{play.bob.id}", {"role": "admin"})
    await romeo.expect_presence(lambda one: item(one).get("affiliation") == "admin")
    await romeo.ask("set", play.room, moderate)
    assert (await alice.expect(cmd=14))["ref"] == ack["id"]


@pytest.mark.gen_test(timeout=40)
async def test_typing_and_having_read_cross(node: Node) -> None:
    """Chat states and displayed markers, from the occupants they are of."""
    play = await Scene(node).set()
    alice, romeo, gid = play.alice, play.romeo, play.gid
    alice.send(cmd=13, chat=11, dstid=gid, state="composing")
    typing = await romeo.expect(with_child(f"{{{ns.CHAT_STATES}}}composing"))
    assert typing["from"] == f"{play.room}/{alice.username}"
    play.act(ET.Element(f"{{{ns.CHAT_STATES}}}composing"))
    heard = await alice.expect(cmd=13)
    assert (heard["userid"], heard["chat"], heard["dstid"]) == (play.bob.id, 11, gid)
    ack = await alice.say(gid, "read me", "c1", chat=11)
    got = await romeo.expect(lambda one: one["body"] == "read me")
    assert child(got, f"{{{ns.MARKERS}}}markable") is not None
    play.act(ET.Element(f"{{{ns.MARKERS}}}displayed", id=number(got)))
    read = await alice.expect(cmd=12, state="read")
    assert (read["userid"], read["seq"]) == (play.bob.id, ack["seq"])
    romeo.say_in(play.room, "and you me")
    said = await alice.expect(cmd=11)
    alice.send(cmd=12, chat=11, dstid=gid, seq=said["seq"], state="read")
    marker = await romeo.expect(with_child(f"{{{ns.MARKERS}}}displayed"))
    assert child(marker, f"{{{ns.MARKERS}}}displayed").get("id") == str(said["id"])


@pytest.mark.gen_test(timeout=40)
async def test_one_users_devices_are_one_occupant(node: Node) -> None:
    """Both get everything; one leaves without taking the other along."""
    play = await Scene(node).set(both=True)
    play.romeo.say_in(play.room, "from one")
    for client in (play.romeo, play.phone):
        await client.expect(lambda one: one["body"] == "from one")
    play.romeo.send_presence(pto=f"{play.room}/{play.bob.username}", ptype="unavailable")
    await play.romeo.expect_presence(lambda one: one["type"] == "unavailable")
    await play.alice.say(play.gid, "still there?", "c1", chat=11)
    await play.phone.expect(lambda one: one["body"] == "still there?")
    assert not [one for one in await play.romeo.settled() if one["body"]]


@pytest.mark.gen_test(timeout=40)
async def test_sent_again_is_reflected_again_but_said_once(node: Node) -> None:
    """The same origin-id: a client that missed the reflection gets it."""
    play = await Scene(node).set()
    for _ in range(2):
        play.act(ET.Element(f"{{{ns.IDS}}}origin-id", id="o1"), body="once")
    first = await play.romeo.expect(lambda one: one["body"] == "once")
    again = await play.romeo.expect(lambda one: one["body"] == "once")
    assert number(first) == number(again)
    assert len(await play.alice.history(11, play.gid)) == 1


@pytest.mark.gen_test(timeout=40)
async def test_nicks_are_changed_and_unique(node: Node) -> None:
    """303 and the new name, on JSON too; another's name is a conflict."""
    play = await Scene(node).set()
    romeo, room = play.romeo, play.room
    romeo.send_presence(pto=f"{room}/{play.alice.username}")
    error = await romeo.expect_presence(lambda one: one["type"] == "error")
    assert error["error"]["condition"] == "conflict"
    romeo.send_presence(pto=f"{room}/Montague")
    renamed = await romeo.expect_presence(lambda one: "303" in codes(one))
    assert renamed["from"].resource == play.bob.username and "110" in codes(renamed)
    own = await romeo.expect_presence(lambda one: one["from"].resource == "Montague")
    assert "110" in codes(own)
    _, listed = await play.alice.call("GET", f"/api/groups/{play.gid}/members")
    assert {one["id"]: one["nick"] for one in listed["members"]}[play.bob.id] == "Montague"
    romeo.say_in(room, "o")
    assert (await romeo.expect(lambda one: one["body"] == "o"))["from"].resource == "Montague"


@pytest.mark.gen_test(timeout=40)
async def test_private_messages_are_one_to_one(node: Node) -> None:
    """To room/nick; nobody of that name is item-not-found."""
    play = await Scene(node).set()
    play.romeo.say(f"{play.room}/{play.alice.username}", "psst")
    whispered = await play.alice.expect(cmd=10)
    assert (whispered["content"], whispered["userid"]) == ("psst", play.bob.id)
    play.romeo.say(f"{play.room}/nobody", "psst")
    error = await play.romeo.expect(lambda one: one["type"] == "error")
    assert error["error"]["condition"] == "item-not-found"


@pytest.mark.gen_test(timeout=40)
async def test_the_rooms_archive_has_what_members_may_see(node: Node) -> None:
    """Pages with the authors' names; who came later does not see what was before."""
    play = await Scene(node).set()
    for text in range(5):
        await play.alice.say(play.gid, f"said {text}", f"c{text}", chat=11)
    eve = await JsonClient.register(node)
    tybalt = await RoomClient(node, eve.jid).login()
    query = ET.Element(f"{{{ns.ARCHIVE}}}query")
    with pytest.raises(IqError) as failed:
        await tybalt.ask("get", play.room, query)
    assert failed.value.iq["error"]["condition"] == "item-not-found"
    await play.alice.call("POST", f"/api/groups/{play.gid}/members", {"id": eve.id})
    await play.alice.say(play.gid, "welcome", "c6", chat=11)
    await tybalt.join(play.room, eve.username)
    for client, texts, total in (
        (play.romeo, ["said 0", "said 1"], "6"),
        (tybalt, ["welcome"], "1"),
    ):
        mam = client.plugin["xep_0313"]
        result = await mam.retrieve(jid=play.room, rsm={"max": 2})
        found = [one["mam_result"]["forwarded"]["stanza"] for one in result["mam"]["results"]]
        assert [one["body"] for one in found] == texts
        assert {str(one["from"]) for one in found} == {f"{play.room}/{play.alice.username}"}
        assert all(one["mam_result"]["id"] for one in result["mam"]["results"])
        assert result["mam_fin"]["rsm"]["count"] == total
        assert result["mam_fin"]["rsm"]["first_index"] == "0"
    [*_, last] = [one async for one in play.romeo.plugin["xep_0313"].iterate(play.room)]
    assert last["mam_result"]["forwarded"]["stanza"]["body"] == "welcome"


@pytest.mark.gen_test(timeout=40)
async def test_disco_shows_ones_own_rooms_only(node: Node) -> None:
    """The service among the server's items, rooms with their form, and nothing to outsiders."""
    play = await Scene(node).set()
    disco = play.romeo.plugin["xep_0030"]
    service = play.room.partition("@")[2]
    items = await disco.get_items(jid=play.romeo.boundjid.domain)
    assert service in {one[0] for one in items["disco_items"]["items"]}
    info = await disco.get_info(jid=service)
    assert ("conference", "text") in {one[:2] for one in info["disco_info"]["identities"]}
    mine = await disco.get_items(jid=service)
    assert {one[0] for one in mine["disco_items"]["items"]} == {play.room}
    info = await disco.get_info(jid=play.room)
    assert {"muc_membersonly", ns.ARCHIVE, ns.OCCUPANT} <= set(info["disco_info"]["features"])
    assert [one[3] for one in info["disco_info"]["identities"]] == ["friends"]
    occupants = await disco.get_items(jid=play.room)
    assert len(occupants["disco_items"]["items"]) == 2
    eve = await JsonClient.register(node)
    tybalt = await RoomClient(node, eve.jid).login()
    with pytest.raises(IqError) as failed:
        await tybalt.plugin["xep_0030"].get_info(jid=play.room)
    assert failed.value.iq["error"]["condition"] == "item-not-found"
    assert not (await tybalt.plugin["xep_0030"].get_items(jid=service))["disco_items"]["items"]


@pytest.mark.gen_test(timeout=40)
async def test_ping_of_oneself_tells_whether_one_is_in(node: Node) -> None:
    """XEP-0410: a result in the room, not-acceptable after leaving it."""
    play = await Scene(node).set()
    own = f"{play.room}/{play.bob.username}"
    ping = ET.Element(f"{{{ns.PING}}}ping")
    assert (await play.romeo.ask("get", own, ping))["type"] == "result"
    play.romeo.send_presence(pto=own, ptype="unavailable")
    with pytest.raises(IqError) as failed:
        await play.romeo.ask("get", own, ping)
    assert failed.value.iq["error"]["condition"] == "not-acceptable"


@pytest.mark.gen_test(timeout=60)
async def test_joining_in_the_middle_of_talk_loses_and_doubles_nothing(node: Node) -> None:
    """Past and live messages meet without a gap."""
    play = await Scene(node).set()
    texts = [f"word {count}" for count in range(60)]

    async def talk() -> None:
        for count, text in enumerate(texts):
            await play.alice.say(play.gid, text, f"w{count}", chat=11)

    talking = asyncio.ensure_future(talk())
    for _ in range(5):
        await play.romeo.expect(lambda one: one["body"].startswith("word"))
        play.romeo.messages.clear()
        await play.romeo.join(play.room, play.bob.username, maxstanzas="200")
    await talking
    await play.romeo.expect(lambda one: one["body"] == texts[-1])
    bodies = [one["body"] for one in play.romeo.messages if one["body"]]
    heard = bodies[len(bodies) - bodies[::-1].index(texts[0]) - 1 :]
    assert heard == texts[:-1]
