"""Groups are rooms: JSON and XMPP clients in one group, XEP-0045."""

import pytest

from stanzas import ns
from tests.support.eventually import eventually
from tests.support.groups import make_group
from tests.support.json_client import JsonClient
from tests.support.node import Node
from tests.support.rooms import RoomClient, codes, has_subject, item, room_of

pytestmark = pytest.mark.dialogue


async def friends(node: Node) -> tuple[JsonClient, JsonClient, RoomClient, int, str]:
    """Alice, the owner, on JSON; Bob's account, who is on XMPP; their group and its room."""
    alice, bob = await JsonClient.online(node), await JsonClient.register(node)
    gid = await make_group(alice, bob)
    romeo = await RoomClient(node, bob.jid).login()
    return alice, bob, romeo, gid, room_of(romeo, gid)


@pytest.mark.gen_test(timeout=40)
async def test_joining_shows_all_members_and_oneself(node: Node) -> None:
    """JSON members are occupants; one's own presence comes last, with its codes."""
    alice, bob, romeo, _, room = await friends(node)
    own = await romeo.join(room, bob.username)
    assert codes(own) == {"110", "100", "170"}
    assert own["from"].resource == bob.username
    assert item(own) == {"affiliation": "member", "role": "participant", "jid": bob.jid}
    other = await romeo.expect_presence(lambda one: one["from"] == f"{room}/{alice.username}")
    assert item(other).get("affiliation") == "owner"
    assert item(other).get("role") == "moderator"
    assert other.xml.find(f"{{{ns.OCCUPANT}}}occupant-id") is not None


@pytest.mark.gen_test(timeout=40)
async def test_another_nick_than_ones_own_is_given_back(node: Node) -> None:
    """Code 210 and the name that the member has in the group."""
    _, bob, romeo, _, room = await friends(node)
    own = await romeo.join(room, "somebody else")
    assert own["from"].resource == bob.username and "210" in codes(own)


@pytest.mark.gen_test(timeout=40)
async def test_messages_go_both_ways_and_are_reflected(node: Node) -> None:
    """From the author's name in the room, with the room's stanza-id; one's own with its id."""
    alice, bob, romeo, gid, room = await friends(node)
    await romeo.join(room, bob.username)
    ack = await alice.say(gid, "hello all", "c1", chat=11)
    heard = await romeo.expect(lambda one: one["body"] == "hello all")
    assert (heard["type"], heard["from"]) == ("groupchat", f"{room}/{alice.username}")
    number = heard.xml.find(f"{{{ns.IDS}}}stanza-id")
    assert (number.get("by"), number.get("id")) == (room, str(ack["id"]))
    romeo.say_in(room, "hi alice", id="m1")
    come = await alice.expect(cmd=11)
    assert (come["content"], come["userid"], come["dstid"]) == ("hi alice", bob.id, gid)
    mine = await romeo.expect(lambda one: one["body"] == "hi alice")
    assert (mine["id"], mine["from"]) == ("m1", f"{room}/{bob.username}")
    assert mine.xml.find(f"{{{ns.IDS}}}stanza-id").get("id") == str(come["id"])


@pytest.mark.gen_test(timeout=40)
async def test_the_past_is_told_on_joining(node: Node) -> None:
    """Delayed, in order, as much as was asked for; then the subject."""
    alice, bob, romeo, gid, room = await friends(node)
    await alice.call("PATCH", f"/api/groups/{gid}", {"announcement": "plans"})
    for number in range(5):
        await alice.say(gid, f"said {number}", f"c{number}", chat=11)
    romeo.ask_in(room, bob.username, maxstanzas="3")
    subject = await romeo.expect(has_subject)
    assert subject["subject"] == "plans"
    past = [one for one in romeo.messages if one["body"]]
    assert [one["body"] for one in past] == ["said 2", "said 3", "said 4"]
    assert all(one.xml.find(f"{{{ns.DELAY}}}delay") is not None for one in past)
    romeo.messages.clear()
    await romeo.join(room, bob.username, maxstanzas="0")
    assert not [one for one in romeo.messages if one["body"]]
    await romeo.join(room, bob.username, since="2020-01-01T00:00:00Z")
    assert len([one for one in romeo.messages if one["body"]]) == 5
    await alice.say(gid, "live", "live", chat=11)
    live = await romeo.expect(lambda one: one["body"] == "live")
    assert live.xml.find(f"{{{ns.DELAY}}}delay") is None


@pytest.mark.gen_test(timeout=40)
async def test_outsiders_do_not_come_in(node: Node) -> None:
    """registration-required, also where there is no such group; and not a word about it."""
    alice, _, _, gid, room = await friends(node)
    eve = await JsonClient.register(node)
    tybalt = await RoomClient(node, eve.jid).login()
    for where in (room, room_of(tybalt, 2**50)):
        tybalt.ask_in(where, "tybalt")
        error = await tybalt.expect_presence(lambda one: one["type"] == "error")
        assert error["error"]["condition"] == "registration-required"
    tybalt.say_in(room, "let me in", id="t1")
    refused = await tybalt.expect(lambda one: one["type"] == "error")
    assert refused["error"]["condition"] == "not-acceptable"
    await alice.say(gid, "secret", "c1", chat=11)
    assert not await tybalt.settled()


@pytest.mark.gen_test(timeout=40)
async def test_leaving_the_room_is_not_leaving_the_group(node: Node) -> None:
    """The client hears no more; what was said meanwhile is told when it comes back."""
    alice, bob, romeo, gid, room = await friends(node)
    await romeo.join(room, bob.username)
    romeo.send_presence(pto=f"{room}/{bob.username}", ptype="unavailable")
    gone = await romeo.expect_presence(lambda one: one["type"] == "unavailable")
    assert "110" in codes(gone)
    await alice.say(gid, "meanwhile", "c1", chat=11)
    assert not [one for one in await romeo.settled() if one["body"]]
    await romeo.join(room, bob.username)
    assert [one["body"] for one in romeo.messages if one["body"]] == ["meanwhile"]


@pytest.mark.gen_test(timeout=40)
async def test_the_subject_is_the_announcement(node: Node) -> None:
    """Owner and admins set it from either side; others may not."""
    alice, bob, romeo, gid, room = await friends(node)
    await romeo.join(room, bob.username)
    romeo.make_message(mto=room, msubject="mine", mtype="groupchat").send()
    refused = await romeo.expect(lambda one: one["type"] == "error")
    assert refused["error"]["condition"] == "forbidden"
    await alice.call("PATCH", f"/api/groups/{gid}", {"announcement": "hers"})
    heard = await romeo.expect(has_subject)
    assert (heard["subject"], heard["from"]) == ("hers", f"{room}/{alice.username}")
    await alice.call("PATCH", f"/api/groups/{gid}/members/{bob.id}", {"role": "admin"})
    await romeo.expect_presence(lambda one: item(one).get("affiliation") == "admin")
    romeo.make_message(mto=room, msubject="ours", mtype="groupchat").send()
    assert (await romeo.expect(has_subject))["subject"] == "ours"
    _, group = await alice.call("GET", f"/api/groups/{gid}")
    assert group["announcement"] == "ours"


@pytest.mark.gen_test(timeout=60)
async def test_large_rooms_show_who_is_there_moderates_or_speaks(own_node: Node) -> None:
    """The affiliation lists have everybody."""
    own_node.env["TANDEM_XMPP_ROOM_OCCUPANTS"] = "2"
    own_node.start()
    alice, bob, romeo, gid, _ = await friends(own_node)
    carol, dave = await JsonClient.online(own_node), await JsonClient.register(own_node)
    for user in (carol, dave):
        await alice.call("POST", f"/api/groups/{gid}/members", {"id": user.id})
    room = room_of(romeo, gid)
    alice.close()

    async def shown() -> set[str]:
        """Of the others; a client that is alone in the room has it looked at anew."""
        romeo.send_presence(pto=f"{room}/{bob.username}", ptype="unavailable")
        await romeo.settled()
        romeo.presences.clear()
        await romeo.join(room, bob.username)
        return {one["from"].resource for one in romeo.presences if one["from"].bare == room}

    async def carol_is() -> bool:
        return carol.username in await shown()

    await eventually(carol_is)
    assert await shown() == {alice.username, carol.username}
    assert len(await romeo.listed(room, affiliation="member")) == 3
    await dave.connect()
    await dave.say(gid, "I am here", "c1", chat=11)
    await romeo.expect_presence(lambda one: one["from"].resource == dave.username)
    await romeo.expect(lambda one: one["body"] == "I am here")
    # Who comes without being known to be online sees oneself, and is shown to who looks.
    newcomer = await JsonClient.register(own_node)
    await alice.call("POST", f"/api/groups/{gid}/members", {"id": newcomer.id})
    tybalt = await RoomClient(own_node, newcomer.jid).login(presence=False)
    own = await tybalt.join(room, newcomer.username)
    assert own["from"].resource == newcomer.username
    await romeo.expect_presence(lambda one: one["from"].resource == newcomer.username)
