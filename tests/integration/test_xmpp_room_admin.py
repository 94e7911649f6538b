"""Who may do what in a room, from XMPP and from JSON; making and ending rooms."""

import pytest
from slixmpp.exceptions import IqError
from slixmpp.xmlstream import ET

from tests.support.eventually import eventually
from tests.support.groups import members_of
from tests.support.json_client import JsonClient, fresh_name, http
from tests.support.node import Node
from tests.support.rooms import MUC, MUC_USER, RoomClient, codes, item, room_of

pytestmark = pytest.mark.dialogue


def gone(room: str, nick: str) -> object:
    return lambda one: one["type"] == "unavailable" and one["from"] == f"{room}/{nick}"


async def refused(pending: object) -> str:
    with pytest.raises(IqError) as failed:
        await pending  # type: ignore[misc]
    return str(failed.value.iq["error"]["condition"])


class Scene:
    """Juliet on XMPP owns a room; Romeo is a member on XMPP, and Nurse one on JSON."""

    def __init__(self, node: Node) -> None:
        self.node = node

    async def set(self) -> "Scene":
        node = self.node
        self.owner, self.bob = await JsonClient.register(node), await JsonClient.register(node)
        self.nurse = await JsonClient.online(node)
        self.juliet = await RoomClient(node, self.owner.jid).login()
        self.romeo = await RoomClient(node, self.bob.jid).login()
        self.slug = fresh_name()
        self.room = room_of(self.juliet, self.slug)
        own = await self.juliet.join(self.room, self.owner.username)
        assert "201" in codes(own) and item(own)["affiliation"] == "owner"
        for user in (self.bob, self.nurse):
            await self.juliet.change(self.room, jid=user.jid, affiliation="member")
        joined = await self.nurse.expect(cmd=22, event="joined")
        self.gid = joined["dstid"]
        await self.romeo.join(self.room, self.bob.username)
        await self.romeo.expect_presence(lambda one: one["from"].resource == self.nurse.username)
        self.juliet.say_in(self.room, "who is here")
        await self.nurse.expect(cmd=11, content="who is here")
        return self


@pytest.mark.gen_test(timeout=40)
async def test_a_room_made_from_xmpp_is_a_group(node: Node) -> None:
    """JSON members talk in it like in any other; others see them come."""
    play = await Scene(node).set()
    await play.juliet.expect_presence(lambda one: one["from"].resource == play.bob.username)
    await play.nurse.say(play.gid, "good morrow", "c1", chat=11)
    for client in (play.juliet, play.romeo):
        heard = await client.expect(lambda one: one["body"] == "good morrow")
        assert heard["from"] == f"{play.room}/{play.nurse.username}"
    play.juliet.say_in(play.room, "hist")
    await play.nurse.expect(cmd=11, content="hist")
    _, group = await play.nurse.call("GET", f"/api/groups/{play.gid}")
    assert (group["name"], group["owner"]) == (play.slug, play.owner.id)


@pytest.mark.gen_test(timeout=40)
async def test_configuration_is_read_and_changed_by_form(node: Node) -> None:
    """Name and description on both sides; occupants hear 104; members are refused."""
    play = await Scene(node).set()
    muc = play.juliet.plugin["xep_0045"]
    form = await muc.get_room_config(play.room)
    assert form.get_values()["muc#roomconfig_roomname"] == play.slug
    form["type"] = "submit"
    form.set_values({"muc#roomconfig_roomname": "Verona", "muc#roomconfig_roomdesc": "fair"})
    await muc.set_room_config(play.room, form)
    await play.romeo.expect(lambda one: "104" in codes(one))
    _, group = await play.nurse.call("GET", f"/api/groups/{play.gid}")
    assert (group["name"], group["memo"]) == ("Verona", "fair")
    query = ET.Element(f"{{{MUC}#owner}}query")
    assert await refused(play.romeo.ask("get", play.room, query)) == "forbidden"


@pytest.mark.gen_test(timeout=40)
async def test_instant_rooms_stay_and_cancelled_ones_go(node: Node) -> None:
    """An empty form keeps a new room, cancel takes it back."""
    user = await JsonClient.register(node)
    client = await RoomClient(node, user.jid).login()
    for kind, left in (("submit", 1), ("cancel", 1)):
        room = room_of(client, fresh_name())
        await client.join(room, user.username)
        query = ET.Element(f"{{{MUC}#owner}}query")
        ET.SubElement(query, "{jabber:x:data}x", type=kind)
        await client.ask("set", room, query)
        status, listed = await user.call("GET", "/api/groups")
        assert status == 200 and len(listed["groups"]) == left


@pytest.mark.gen_test(timeout=40)
async def test_kicked_is_removed_and_told_why(node: Node) -> None:
    """307 with reason for all; the kicked one is no member any more."""
    play = await Scene(node).set()
    await play.juliet.change(play.room, "avaunt", nick=play.bob.username, role="none")
    for client in (play.romeo, play.juliet):
        leaves = await client.expect_presence(gone(play.room, play.bob.username))
        assert "307" in codes(leaves)
        assert leaves.xml.find(f".//{MUC_USER}reason").text == "avaunt"
        assert leaves.xml.find(f".//{MUC_USER}actor").get("nick") == play.owner.username
    assert set(await members_of(play.nurse, play.gid)) == {play.owner.id, play.nurse.id}
    play.romeo.ask_in(play.room, "romeo")
    error = await play.romeo.expect_presence(lambda one: one["type"] == "error")
    assert error["error"]["condition"] == "registration-required"


@pytest.mark.gen_test(timeout=40)
async def test_banned_ones_do_not_come_back(node: Node) -> None:
    """Neither by the door nor by a link; the owner can add them again."""
    play = await Scene(node).set()
    _, link = await play.owner.call("POST", f"/api/groups/{play.gid}/invitations", {})
    await play.juliet.change(play.room, jid=play.bob.jid, affiliation="outcast")
    leaves = await play.romeo.expect_presence(gone(play.room, play.bob.username))
    assert "301" in codes(leaves) and item(leaves)["affiliation"] == "outcast"
    play.romeo.ask_in(play.room, "romeo")
    error = await play.romeo.expect_presence(lambda one: one["type"] == "error")
    assert error["error"]["condition"] == "forbidden"
    status, _ = await play.bob.call("POST", "/api/join", {"code": link["code"]})
    assert status == 403
    listed = await play.juliet.listed(play.room, affiliation="outcast")
    assert [one["jid"] for one in listed] == [play.bob.jid]
    assert (
        await refused(play.romeo.change(play.room, jid=play.bob.jid, affiliation="member"))
        == "item-not-found"
    )
    await play.juliet.change(play.room, jid=play.bob.jid, affiliation="member")
    assert await play.juliet.listed(play.room, affiliation="outcast") == []
    await play.romeo.join(play.room, play.bob.username)


@pytest.mark.gen_test(timeout=40)
async def test_voice_is_not_being_muted(node: Node) -> None:
    """Taken and given from XMPP, and by mute from JSON; without it nothing can be said."""
    play = await Scene(node).set()
    await play.juliet.change(play.room, nick=play.bob.username, role="visitor")
    await play.romeo.expect_presence(lambda one: item(one).get("role") == "visitor")
    assert (await members_of(play.nurse, play.gid))[play.bob.id]["muted_until"] > 0
    play.romeo.say_in(play.room, "o")
    error = await play.romeo.expect(lambda one: one["type"] == "error")
    assert error["error"]["condition"] == "forbidden"
    await play.juliet.change(play.room, nick=play.bob.username, role="participant")
    await play.romeo.expect_presence(
        lambda one: item(one).get("role") == "participant" and "110" in codes(one)
    )
    play.romeo.say_in(play.room, "I speak")
    await play.nurse.expect(cmd=11, content="I speak")
    await play.owner.call("PATCH", f"/api/groups/{play.gid}", {"muted_all": True})
    await play.romeo.expect_presence(
        lambda one: item(one).get("role") == "visitor" and "110" in codes(one)
    )

    async def are_listed() -> bool:
        """On any node: each hears of the change within a second or two."""
        muted = await play.juliet.listed(play.room, role="visitor")
        return {one["jid"] for one in muted} == {play.bob.jid, play.nurse.jid}

    await eventually(are_listed)


@pytest.mark.gen_test(timeout=40)
async def test_affiliations_are_the_groups_roles(node: Node) -> None:
    """Admin and owner are given by the owner alone; lists show them to members."""
    play = await Scene(node).set()
    change = play.romeo.change(play.room, jid=play.nurse.jid, affiliation="admin")
    assert await refused(change) == "forbidden"
    await play.juliet.change(play.room, jid=play.bob.jid, affiliation="admin")
    await play.romeo.expect_presence(
        lambda one: item(one).get("affiliation") == "admin" and "110" in codes(one)
    )
    assert (await members_of(play.nurse, play.gid))[play.bob.id]["role"] == "admin"
    listed = await play.romeo.listed(play.room, affiliation="admin")
    assert [(one["jid"], one["role"]) for one in listed] == [(play.bob.jid, "moderator")]
    change = play.romeo.change(play.room, nick=play.owner.username, role="none")
    assert await refused(change) == "not-allowed"
    await play.juliet.change(play.room, jid=play.bob.jid, affiliation="owner")
    await play.romeo.expect_presence(
        lambda one: item(one).get("affiliation") == "owner" and "110" in codes(one)
    )
    [owner] = await play.romeo.listed(play.room, affiliation="owner")
    assert owner["jid"] == play.bob.jid


@pytest.mark.gen_test(timeout=40)
async def test_a_destroyed_room_says_where_to_go_on(node: Node) -> None:
    """Everybody is told, on JSON too; the name is free again."""
    play = await Scene(node).set()
    query = ET.Element(f"{{{MUC}#owner}}query")
    destroy = ET.SubElement(query, f"{{{MUC}#owner}}destroy", jid="vault@conference.localhost")
    ET.SubElement(destroy, f"{{{MUC}#owner}}reason").text = "alas"
    assert await refused(play.romeo.ask("set", play.room, query)) == "forbidden"
    await play.juliet.ask("set", play.room, query)
    for client in (play.juliet, play.romeo):
        ended = await client.expect_presence(
            lambda one: one.xml.find(f".//{MUC_USER}destroy") is not None
        )
        told = ended.xml.find(f".//{MUC_USER}destroy")
        assert told.get("jid") == "vault@conference.localhost"
        assert told.find(f"{MUC_USER}reason").text == "alas"
    await play.nurse.expect(cmd=22, event="dissolved", dstid=play.gid)
    own = await play.romeo.join(play.room, play.bob.username)
    assert "201" in codes(own)


@pytest.mark.gen_test(timeout=40)
async def test_mediated_invitations_make_members(node: Node) -> None:
    """By a moderator, except of who has blocked that one; a decline is told and takes it back."""
    play = await Scene(node).set()
    eve = await JsonClient.register(node)
    tybalt = await RoomClient(node, eve.jid).login()
    invite = {"reason": "a feast", "mfrom": None}
    play.juliet.plugin["xep_0045"].invite(play.room, eve.jid, **invite)
    come = await tybalt.expect(lambda one: one.xml.find(f".//{MUC_USER}invite") is not None)
    assert come["from"] == play.room
    found = come.xml.find(f".//{MUC_USER}invite")
    assert found.get("from") == play.owner.jid
    assert found.find(f"{MUC_USER}reason").text == "a feast"
    assert come.xml.find("{jabber:x:conference}x").get("jid") == play.room
    await tybalt.join(play.room, eve.username)
    await play.romeo.expect_presence(lambda one: one["from"].resource == eve.username)
    tybalt.plugin["xep_0045"].decline(play.room, play.owner.jid, "no")
    answer = await play.juliet.expect(lambda one: one.xml.find(f".//{MUC_USER}decline") is not None)
    assert answer.xml.find(f".//{MUC_USER}decline").get("from") == eve.jid
    for client in (tybalt, play.romeo):
        await client.expect_presence(gone(play.room, eve.username))
    play.romeo.plugin["xep_0045"].invite(play.room, eve.jid, **invite)
    error = await play.romeo.expect(lambda one: one["type"] == "error")
    assert error["error"]["condition"] == "forbidden"
    await http(play.juliet.node, "PUT", f"/api/blocks/{play.owner.id}", token=eve.token)
    play.juliet.plugin["xep_0045"].invite(play.room, eve.jid, **invite)
    error = await play.juliet.expect(lambda one: one["type"] == "error")
    assert error["error"]["condition"] == "forbidden"


@pytest.mark.gen_test(timeout=40)
async def test_direct_invitations_pass_and_their_password_opens(node: Node) -> None:
    """A link's code is the password; JSON clients read where they are invited to."""
    play = await Scene(node).set()
    eve = await JsonClient.online(node)
    tybalt = await RoomClient(node, eve.jid).login()
    _, link = await play.owner.call("POST", f"/api/groups/{play.gid}/invitations", {})
    message = play.romeo.make_message(mto=eve.jid)
    ET.SubElement(
        message.xml, "{jabber:x:conference}x", jid=play.room, password=link["code"], reason="come"
    )
    message.send()
    come = await tybalt.expect(lambda one: one.xml.find("{jabber:x:conference}x") is not None)
    assert come.xml.find("{jabber:x:conference}x").get("password") == link["code"]
    assert play.room in (await eve.expect(cmd=10))["content"]
    tybalt.ask_in(play.room, "tybalt", "wrong")
    await tybalt.expect_presence(lambda one: one["type"] == "error")
    await tybalt.join(play.room, "tybalt", link["code"])
    assert eve.id in await members_of(eve, play.gid)


@pytest.mark.gen_test(timeout=40)
async def test_changes_from_json_are_shown(node: Node) -> None:
    """Who is added, named, and leaves on the web."""
    play = await Scene(node).set()
    path = f"/api/groups/{play.gid}/members"
    eve = await JsonClient.register(node)
    await play.owner.call("POST", path, {"id": eve.id})
    await play.romeo.expect_presence(lambda one: one["from"].resource == eve.username)
    await play.owner.call("PATCH", f"{path}/{eve.id}", {"nick": "the prince"})
    renamed = await play.romeo.expect_presence(gone(play.room, eve.username))
    assert "303" in codes(renamed) and item(renamed)["nick"] == "the prince"
    await play.romeo.expect_presence(lambda one: one["from"].resource == "the prince")
    assert (await eve.call("DELETE", f"{path}/{eve.id}"))[0] == 204
    left = await play.romeo.expect_presence(gone(play.room, "the prince"))
    assert item(left)["affiliation"] == "none"
