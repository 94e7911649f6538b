"""The same stories with real client libraries, each with somebody on JSON at the other end.

What a library prints as a warning or an error fails its story.
"""

import logging
from typing import Any

import pytest

from tests.support.contacts import call, contacts
from tests.support.json_client import JsonClient
from tests.support.libraries import LIBRARIES, Library, logged_in, why_not
from tests.support.node import Node
from tests.support.xmpp_client import XmppClient

pytestmark = pytest.mark.dialogue


@pytest.fixture(
    params=[
        pytest.param(name, marks=pytest.mark.skipif(bool(why_not(name)), reason=why_not(name)))
        for name in LIBRARIES
    ]
)
def library(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Any:
    yield request.param
    said = [one for one in caplog.get_records("call") if one.levelno >= logging.WARNING]
    assert [one.getMessage() for one in said if one.name.startswith("slixmpp")] == []


async def ann_and_account(node: Node) -> tuple[JsonClient, JsonClient]:
    """Ann on JSON, and the account that the library is to log in with."""
    return await JsonClient.online(node), await JsonClient.register(node)


@pytest.mark.gen_test(timeout=40)
async def test_contact_that_is_asked_for(node: Node, library: str) -> None:
    """The roster is fetched, a JSON user added by name, who accepts: both see each other."""
    ann, account = await ann_and_account(node)
    async with logged_in(library, node, account) as xena:
        assert await xena.roster() == {}
        await xena.come_online()
        await xena.do("add", jid=ann.jid, name="Ann of Verona")
        await xena.expect("push", jid=ann.jid, name="Ann of Verona", ask="subscribe")
        await ann.expect(cmd=21, event="request", userid=account.id)
        assert (await call(ann, "POST", f"/api/contacts/{account.id}/accept"))[0] == 200
        await xena.expect("presence", **{"from": ann.jid}, type="subscribed")
        await xena.expect("push", jid=ann.jid, subscription="both")
        await xena.expect("presence", **{"from": f"{ann.jid}/web"}, type="available")
        await ann.expect(cmd=20, userid=account.id, state="online")
        ann.send(cmd=20, state="away", memo="at the window")
        seen = await xena.expect("presence", **{"from": f"{ann.jid}/web"}, show="away")
        assert seen["status"] == "at the window"
        entry = (await xena.roster())[ann.jid]
        assert (entry["name"], entry["subscription"]) == ("Ann of Verona", "both")
    assert (await contacts(ann))[account.id]["state"] == "both"
    await ann.expect(cmd=20, userid=account.id, state="offline")


@pytest.mark.gen_test(timeout=40)
async def test_contact_that_asks(node: Node, library: str) -> None:
    """A request from JSON, made before the login, is a subscribe that the library approves."""
    ann, account = await ann_and_account(node)
    assert (await call(ann, "POST", "/api/contacts", {"id": account.id}))[0] == 201
    async with logged_in(library, node, account) as xena:
        await xena.come_online()
        await xena.expect("presence", **{"from": ann.jid}, type="subscribe")
        await xena.do("approve", jid=ann.jid)
        await ann.expect(cmd=21, event="accepted", userid=account.id)
        await xena.expect("push", jid=ann.jid, subscription="both")
        await xena.expect("presence", **{"from": f"{ann.jid}/web"}, type="available")
        assert (await xena.roster())[ann.jid]["subscription"] == "both"
    assert (await contacts(ann))[account.id]["state"] == "both"


@pytest.mark.gen_test(timeout=40)
async def test_chat_both_ways(node: Node, library: str) -> None:
    """Text, ids, the read marker and carbons, with a JSON user."""
    ann, account = await ann_and_account(node)
    async with logged_in(library, node, account) as xena:
        await xena.come_online()
        ack = await ann.say(account.id, "wherefore art thou <Romeo> & co? 🌹", "c1")
        message = await xena.expect("message", type="chat")
        assert message["body"] == "wherefore art thou <Romeo> & co? 🌹"
        assert message["from"].partition("/")[0] == ann.jid
        assert (message["id"], message["stanza_id"]) == ("c1", str(ack["id"]))
        await xena.do("read", to=ann.jid, id="c1")
        await ann.expect(cmd=12, userid=account.id, seq=ack["seq"], state="read")
        await xena.say(ann.jid, "deny thy father\n& refuse thy name ❤", "m1")
        frame = await ann.expect(cmd=10)
        assert frame["content"] == "deny thy father\n& refuse thy name ❤"
        assert (frame["userid"], frame["dstid"]) == (account.id, ann.id)
        ann.send(cmd=12, chat=10, dstid=account.id, seq=frame["seq"], state="read")
        await xena.expect("message", displayed="m1")
        phone = await XmppClient(node, account.jid).login()
        phone.say(ann.jid, "from another device")
        carbon = await xena.expect("carbon", which="sent")
        assert (carbon["body"], carbon["to"]) == ("from another device", ann.jid)
        assert carbon["from"] == str(phone.boundjid)
        await phone.logout()
    said = [one["content"] for one in await ann.history(10, account.id)]
    assert said[1:] == ["deny thy father\n& refuse thy name ❤", "from another device"]


@pytest.mark.gen_test(timeout=40)
async def test_somebody_is_blocked(node: Node, library: str) -> None:
    """Nothing comes from them until they are unblocked; it is the same block as over HTTP."""
    ann, account = await ann_and_account(node)
    async with logged_in(library, node, account) as xena:
        await xena.come_online()
        await xena.do("block", jid=ann.jid)
        _, listed = await account.call("GET", "/api/blocks")
        assert [user["id"] for user in listed["users"]] == [ann.id]
        refused = await ann.refused(cmd=10, dstid=account.id, content="hear me", cid="c1")
        assert refused == (403, "not-allowed")
        await xena.do("unblock", jid=ann.jid)
        await ann.say(account.id, "hear me now", "c2")
        assert (await xena.expect("message"))["body"] == "hear me now"


@pytest.mark.gen_test(timeout=40)
async def test_history_after_reconnect(node: Node, library: str) -> None:
    """A second login asks the archive for what was said before and meanwhile, page by page."""
    ann, account = await ann_and_account(node)
    async with logged_in(library, node, account) as xena:
        await xena.come_online()
        await xena.say(ann.jid, "before", "m1")
        await ann.expect(cmd=10)
    for number in range(4):
        await ann.say(account.id, f"meanwhile {number}", f"c{number}")
    stored = await ann.history(10, account.id)
    async with logged_in(library, node, account) as again:
        told = await again.do("history", jid=ann.jid, page=2)
        assert [one["archived"] for one in told] == [str(one["id"]) for one in stored]
        assert [one["body"] for one in told] == [one["content"] for one in stored]
        assert [one["from"].partition("/")[0] for one in told] == [account.jid] + 4 * [ann.jid]
        assert await again.do("history", jid=account.jid, page=2) == []
        await again.come_online()
        await ann.say(account.id, "live", "live")
        # On another node what is only just past may come as well, known by its stanza-id.
        await again.expect("message", body="live")


@pytest.mark.gen_test(timeout=40)
async def test_missed_messages_come_to_who_does_not_ask(node: Node, library: str) -> None:
    """Without the archive, the first presence brings them, in order, with their time."""
    ann, account = await ann_and_account(node)
    for number in range(3):
        await ann.say(account.id, f"missed {number}", f"c{number}")
    async with logged_in(library, node, account) as xena:
        await xena.come_online()
        for number in range(3):
            message = await xena.expect("message")
            assert message["body"] == f"missed {number}" and message["stamp"]


@pytest.mark.gen_test(timeout=40)
async def test_session_that_was_cut_off_is_resumed(node: Node, library: str) -> None:
    """The library's own stream management comes back to the session: nothing lost or doubled."""
    ann, account = await ann_and_account(node)
    async with logged_in(library, node, account) as xena:
        await xena.come_online()
        await ann.say(account.id, "0", "0")
        await xena.expect("message", body="0")
        for cut in range(3):
            await xena.say(ann.jid, f"before cut {cut}", f"m{cut}")
            await xena.do("cut")
            for part in ("a", "b"):
                await ann.say(account.id, f"{cut}{part}", f"{cut}{part}")
            await xena.do("back")
            await xena.expect("resumed")
            for part in ("a", "b"):
                assert (await xena.expect("message"))["body"] == f"{cut}{part}"
            assert (await ann.expect(cmd=10))["content"] == f"before cut {cut}"
        await xena.say(ann.jid, "after all", "last")
        assert (await ann.expect(cmd=10))["content"] == "after all"
        assert [one for one in xena.events if one["event"] == "message"] == []


async def group(ann: JsonClient, account: JsonClient) -> tuple[int, str]:
    """A group that was made over JSON, and the room that it is."""
    status, made = await ann.call(
        "POST", "/api/groups", {"name": "Verona", "members": [account.id]}
    )
    assert status == 201, made
    return made["id"], f"{made['id']}@conference.{account.jid.partition('@')[2]}"


async def enter(xena: Library, room: str, nick: str) -> None:
    await xena.do("join", room=room, nick=nick)
    own = await xena.expect("presence", **{"from": f"{room}/{nick}"})
    assert own["affiliation"] == "member" and "110" in own["codes"]


@pytest.mark.gen_test(timeout=40)
async def test_room_with_a_json_member(node: Node, library: str) -> None:
    """Who is on JSON is an occupant; what is said goes both ways and comes back to the speaker."""
    ann, account = await ann_and_account(node)
    gid, room = await group(ann, account)
    async with logged_in(library, node, account) as xena:
        await xena.come_online()
        await enter(xena, room, account.username)
        owner = await xena.expect("presence", **{"from": f"{room}/{ann.username}"})
        assert (owner["type"], owner["affiliation"]) == ("available", "owner")
        ack = await ann.say(gid, "hello all", "c1", chat=11)
        heard = await xena.expect("message", body="hello all")
        assert (heard["type"], heard["from"]) == ("groupchat", f"{room}/{ann.username}")
        assert heard["stanza_id"] == str(ack["id"])
        await xena.say(room, "hello Ann", "m1", kind="groupchat")
        frame = await ann.expect(cmd=11)
        assert (frame["content"], frame["userid"], frame["dstid"]) == ("hello Ann", account.id, gid)
        mine = await xena.expect("message", body="hello Ann")
        assert (mine["from"], mine["id"]) == (f"{room}/{account.username}", "m1")
        assert mine["stanza_id"] == str(frame["id"])


@pytest.mark.gen_test(timeout=40)
async def test_room_after_reconnect(node: Node, library: str) -> None:
    """What was said meanwhile is told on joining, and is in the room's archive."""
    ann, account = await ann_and_account(node)
    gid, room = await group(ann, account)
    async with logged_in(library, node, account) as xena:
        await xena.come_online()
        await enter(xena, room, account.username)
        await xena.say(room, "before", "m1", kind="groupchat")
        await ann.expect(cmd=11)
    for number in range(3):
        await ann.say(gid, f"meanwhile {number}", f"c{number}", chat=11)
    stored = [one for one in await ann.history(11, gid) if one["cmd"] == 11]
    bodies = ["before", *(f"meanwhile {number}" for number in range(3))]
    assert [one["content"] for one in stored] == bodies
    async with logged_in(library, node, account) as again:
        await again.come_online()
        await enter(again, room, account.username)
        for message in stored:
            told = await again.expect("message", body=message["content"])
            assert told["stanza_id"] == str(message["id"]) and told["stamp"]
        found = await again.do("history", of=room, page=2)
        assert [one["archived"] for one in found] == [str(one["id"]) for one in stored]
        assert [one["body"] for one in found] == bodies
        assert found[-1]["from"] == f"{room}/{ann.username}"
        await ann.say(gid, "live", "live", chat=11)
        assert (await again.expect("message", body="live")).get("stamp") is None
