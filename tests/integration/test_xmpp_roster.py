"""Contacts over XMPP, and between XMPP and JSON: rosters, subscriptions, presence."""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from slixmpp.exceptions import IqError
from slixmpp.stanza import Iq, Message, Presence
from slixmpp.xmlstream.handler import Callback as Handler
from slixmpp.xmlstream.matcher import MatchXPath

from stanzas import ns
from tests.support.contacts import ask, call, contacts, states
from tests.support.json_client import PASSWORD, JsonClient, fresh_name
from tests.support.node import Node
from tests.support.xmpp_client import XmppClient

pytestmark = pytest.mark.dialogue


class Account(NamedTuple):
    """One that is there already."""

    jid: str


class Contact(XmppClient):
    """An XMPP client that keeps all presences, and answers nothing by itself."""

    def __init__(self, node: Node, account: JsonClient | Account, resource: str = "") -> None:
        name = f"{account.jid}/{resource}" if resource else account.jid
        super().__init__(node, name, plugins=("xep_0191",))
        self.bare = account.jid
        self.heard: list[Presence] = []
        self.pushed: list[Iq] = []
        self.auto_authorize = self.auto_subscribe = None
        self.roster.auto_authorize = self.roster.auto_subscribe = None
        self._more = asyncio.Event()
        everything = MatchXPath("{jabber:client}presence")
        self.register_handler(Handler("all presences", everything, self._hear))
        pushes = MatchXPath(f"{{jabber:client}}iq/{{{ns.ROSTER}}}query")
        self.register_handler(Handler("all pushes", pushes, self._push))

    def _hear(self, presence: Presence) -> None:
        self.heard.append(presence)
        self._more.set()

    def _push(self, iq: Iq) -> None:
        if iq["type"] == "set":
            self.pushed.append(iq)
            self._more.set()

    async def _first(self, queue: list[Any], fits: Callable[[Any], Any]) -> Any:
        async with asyncio.timeout(10):
            while True:
                for each in queue:
                    if fits(each):
                        queue.remove(each)
                        return each
                self._more.clear()
                await self._more.wait()

    async def hear(self, kind: str, sender: str) -> Presence:
        """``kind``: slixmpp's: ``available``, ``away``, ``unavailable``, ``subscribe`` …"""
        return await self._first(
            self.heard,
            lambda presence: (
                presence["type"] == kind
                and sender in (str(presence["from"]), presence["from"].bare)
            ),
        )

    def wire(self, namespace: str) -> "asyncio.Future[Message]":
        """The next message with an element of this namespace."""
        return self._next("message", namespace)

    def wire_iq(self, namespace: str) -> "asyncio.Future[Iq]":
        """The next iq set with a child of this namespace."""
        return self._next("iq", namespace)

    def _next(self, name: str, namespace: str) -> "asyncio.Future[Any]":
        found: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def look(stanza: Any) -> None:
            inside = [child.tag for child in stanza.xml]
            is_it = any(tag.startswith(f"{{{namespace}}}") for tag in inside)
            if is_it and stanza["type"] != "result" and not found.done():
                found.set_result(stanza)

        matcher = MatchXPath(f"{{jabber:client}}{name}")
        self.register_handler(Handler(f"next {namespace}", matcher, look))
        return found

    async def push(self, jid: str, subscription: str, **attributes: str) -> dict[str, Any]:
        def item(iq: Iq) -> Any:
            return iq.xml.find(f"{{{ns.ROSTER}}}query/{{{ns.ROSTER}}}item")

        wanted = {"jid": jid, "subscription": subscription, **attributes}
        iq = await self._first(
            self.pushed, lambda iq: all(item(iq).get(k) == v for k, v in wanted.items())
        )
        groups = [group.text for group in item(iq)]
        return {**item(iq).attrib, "groups": groups}

    async def items(self) -> dict[str, tuple[str, str | None]]:
        """The roster, by JID: subscription and ask."""
        iq = self.make_iq_get(queryxmlns=ns.ROSTER)
        answer = await iq.send(timeout=10)
        return {
            item.get("jid"): (item.get("subscription"), item.get("ask"))
            for item in answer.xml.iter(f"{{{ns.ROSTER}}}item")
        }

    def tell(self, to: str, kind: str | None = None, **more: Any) -> None:
        self.send_presence(pto=to, ptype=kind, **more)

    async def start(self) -> "Contact":
        await self.login(presence=False)
        await self.items()
        await self.come_online()
        self.pushed.clear()
        return self


async def couple(node: Node) -> tuple[Contact, Contact]:
    one, other = await JsonClient.register(node), await JsonClient.register(node)
    return await Contact(node, one, "balcony").start(), await Contact(
        node, other, "orchard"
    ).start()


async def friends(node: Node) -> tuple[Contact, Contact]:
    """Juliet and Romeo, who see each other and have heard so."""
    juliet, romeo = await couple(node)
    for one, other in ((romeo, juliet), (juliet, romeo)):
        one.tell(other.bare, "subscribe")
        await other.hear("subscribe", one.bare)
        other.tell(one.bare, "subscribed")
        await one.hear("subscribed", other.bare)
        await one.hear("available", other.boundjid.full)
    await juliet.push(romeo.bare, "both")
    await romeo.push(juliet.bare, "both")
    return juliet, romeo


@pytest.mark.gen_test(timeout=40)
async def test_subscription_goes_its_steps(node: Node) -> None:
    """Asked, granted, asked back, granted, taken back, given up: pushes and presences of each."""
    juliet, romeo = await couple(node)
    romeo.tell(juliet.bare, "subscribe")
    await romeo.push(juliet.bare, "none", ask="subscribe")
    await juliet.hear("subscribe", romeo.bare)
    assert await juliet.items() == {}
    juliet.tell(romeo.bare, "subscribed")
    await juliet.push(romeo.bare, "from")
    await romeo.push(juliet.bare, "to")
    await romeo.hear("subscribed", juliet.bare)
    await romeo.hear("available", juliet.boundjid.full)
    juliet.tell(romeo.bare, "subscribe")
    await romeo.hear("subscribe", juliet.bare)
    await juliet.push(romeo.bare, "from", ask="subscribe")
    romeo.tell(juliet.bare, "subscribed")
    await juliet.push(romeo.bare, "both")
    await romeo.push(juliet.bare, "both")
    await juliet.hear("available", romeo.boundjid.full)
    juliet.tell(romeo.bare, "unsubscribed")
    await juliet.push(romeo.bare, "to")
    await romeo.push(juliet.bare, "from")
    await romeo.hear("unsubscribed", juliet.bare)
    await romeo.hear("unavailable", juliet.boundjid.full)
    juliet.tell(romeo.bare, "unsubscribe")
    await romeo.hear("unsubscribe", juliet.bare)
    await juliet.hear("unavailable", romeo.boundjid.full)
    assert await juliet.items() == {romeo.bare: ("none", None)}
    assert await romeo.items() == {juliet.bare: ("none", None)}


@pytest.mark.gen_test(timeout=40)
async def test_request_waits_for_the_login_and_can_be_refused(node: Node) -> None:
    """Each login brings it until it is answered."""
    one, two = await JsonClient.register(node), await JsonClient.register(node)
    romeo = await Contact(node, one).start()
    romeo.tell(two.jid, "subscribe")
    await romeo.push(two.jid, "none", ask="subscribe")
    for _ in range(2):
        juliet = await Contact(node, two).start()
        await juliet.hear("subscribe", one.jid)
        await juliet.logout()
    juliet = await Contact(node, two).start()
    juliet.tell(one.jid, "unsubscribed")
    await romeo.hear("unsubscribed", two.jid)
    await romeo.push(two.jid, "none")
    assert await romeo.items() == {two.jid: ("none", None)}
    assert await states(one) == await states(two) == {}


@pytest.mark.gen_test(timeout=40)
async def test_presence_goes_to_contacts_with_what_is_in_it(node: Node) -> None:
    """Changes, the farewell, the loss; and who comes later hears it as it is."""
    juliet, romeo = await friends(node)
    juliet.send_presence(pshow="away", pstatus="asleep", ppriority=-5)
    heard = await romeo.hear("away", juliet.boundjid.full)
    assert (heard["status"], heard["priority"], heard["to"].bare) == ("asleep", -5, romeo.bare)
    await romeo.logout()
    await juliet.hear("unavailable", romeo.boundjid.full)
    again = await Contact(node, Account(romeo.bare), "orchard").start()
    assert (await again.hear("away", juliet.boundjid.full))["status"] == "asleep"
    await juliet.hear("available", again.boundjid.full)
    juliet.abort()
    await again.hear("unavailable", juliet.boundjid.full)


@pytest.mark.gen_test(timeout=40)
async def test_directed_presence_reaches_strangers_and_so_does_its_end(node: Node) -> None:
    """To a full and to a bare JID, without any subscription; the loss is told as well."""
    juliet, romeo = await couple(node)
    juliet.tell(romeo.boundjid.full, pstatus="here")
    assert (await romeo.hear("available", juliet.boundjid.full))["status"] == "here"
    juliet.tell(romeo.bare, pshow="dnd")
    await romeo.hear("dnd", juliet.boundjid.full)
    juliet.tell(romeo.bare, "unavailable")
    await romeo.hear("unavailable", juliet.boundjid.full)
    romeo.heard.clear()
    juliet.abort()
    await romeo.hear("unavailable", juliet.boundjid.full)


@pytest.mark.gen_test(timeout=40)
async def test_roster_keeps_names_and_groups_and_versions(node: Node) -> None:
    """Set, pushed to the other resource, told at login; the same version gets an empty answer."""
    juliet, romeo = await couple(node)
    other = await Contact(node, Account(juliet.bare), "chamber").start()
    iq = juliet.make_iq_set()
    iq["roster"]["items"] = {
        romeo.bare: {"name": "Romeo & co", "groups": ["Friends", "Verona"], "subscription": "none"}
    }
    await iq.send(timeout=10)
    for client in (juliet, other):
        pushed = await client.push(romeo.bare, "none", name="Romeo & co")
        assert pushed["groups"] == ["Friends", "Verona"]
    get = juliet.make_iq_get(queryxmlns=ns.ROSTER)
    get.xml[0].set("ver", "")
    whole = (await get.send(timeout=10)).xml[0]
    assert [item.get("name") for item in whole] == ["Romeo & co"]
    get = juliet.make_iq_get(queryxmlns=ns.ROSTER)
    get.xml[0].set("ver", whole.get("ver"))
    assert len((await get.send(timeout=10)).xml) == 0
    remove = juliet.make_iq_set()
    remove["roster"]["items"] = {romeo.bare: {"subscription": "remove"}}
    await remove.send(timeout=10)
    await other.push(romeo.bare, "remove")
    remove = juliet.make_iq_set()
    remove["roster"]["items"] = {romeo.bare: {"subscription": "remove"}}
    with pytest.raises(IqError) as refused:
        await remove.send(timeout=10)
    assert refused.value.condition == "item-not-found"


@pytest.mark.gen_test(timeout=40)
async def test_removal_cancels_both_ways(node: Node) -> None:
    """The other one's item stays with nothing between them, and both lose sight."""
    juliet, romeo = await friends(node)
    remove = juliet.make_iq_set()
    remove["roster"]["items"] = {romeo.bare: {"subscription": "remove"}}
    await remove.send(timeout=10)
    await juliet.push(romeo.bare, "remove")
    await romeo.push(juliet.bare, "none")
    await romeo.hear("unsubscribe", juliet.bare)
    await romeo.hear("unsubscribed", juliet.bare)
    await romeo.hear("unavailable", juliet.boundjid.full)
    await juliet.hear("unavailable", romeo.boundjid.full)
    assert await juliet.items() == {}


@pytest.mark.gen_test(timeout=40)
async def test_json_request_is_a_subscribe_and_its_acceptance_mutual(node: Node) -> None:
    """Juliet on JSON asks Romeo on XMPP, who grants it."""
    juliet, two = await JsonClient.online(node), await JsonClient.register(node)
    romeo = await Contact(node, two).start()
    await ask(juliet, two)
    await romeo.hear("subscribe", juliet.jid)
    romeo.tell(juliet.jid, "subscribed")
    await juliet.expect(cmd=21, event="accepted", userid=two.id)
    await romeo.push(juliet.jid, "both")
    await romeo.hear("available", f"{juliet.jid}/web")
    assert (await juliet.expect(cmd=20, userid=two.id))["state"] == "online"
    assert await states(juliet) == {two.id: "both"}
    juliet.send(cmd=20, state="away", memo="tea")
    assert (await romeo.hear("away", f"{juliet.jid}/web"))["status"] == "tea"
    romeo.send_presence(pshow="dnd")
    await juliet.expect(cmd=20, userid=two.id, state="dnd")
    juliet.close()
    await romeo.hear("unavailable", f"{juliet.jid}/web")


@pytest.mark.gen_test(timeout=40)
async def test_xmpp_request_is_accepted_and_removed_over_json(node: Node) -> None:
    """Romeo on XMPP asks Juliet on JSON; she agrees for both, and later ends it for both."""
    juliet, two = await JsonClient.online(node), await JsonClient.register(node)
    romeo = await Contact(node, two).start()
    romeo.tell(juliet.jid, "subscribe")
    await juliet.expect(cmd=21, event="request", userid=two.id)
    assert await states(juliet) == {two.id: "pending"}
    assert (await call(juliet, "POST", f"/api/contacts/{two.id}/accept"))[0] == 200
    await romeo.hear("subscribed", juliet.jid)
    await romeo.push(juliet.jid, "both")
    await romeo.hear("available", f"{juliet.jid}/web")
    again = await Contact(node, two).start()
    await again.hear("available", f"{juliet.jid}/web")
    assert (await call(juliet, "DELETE", f"/api/contacts/{two.id}"))[0] == 204
    await romeo.hear("unsubscribed", juliet.jid)
    await romeo.hear("unavailable", f"{juliet.jid}/web")
    await romeo.push(juliet.jid, "none")
    assert await contacts(juliet) == await contacts(two) == {}


@pytest.mark.gen_test(timeout=40)
async def test_xmpp_removal_reaches_json(node: Node) -> None:
    """And a name given over JSON is the roster's."""
    juliet, two = await JsonClient.online(node), await JsonClient.register(node)
    romeo = await Contact(node, two).start()
    await ask(juliet, two, memo="Romeo M.")
    await romeo.hear("subscribe", juliet.jid)
    romeo.tell(juliet.jid, "subscribed")
    await juliet.expect(cmd=21, event="accepted", userid=two.id)
    own = await Contact(node, Account(juliet.jid)).start()
    answer = await own.make_iq_get(queryxmlns=ns.ROSTER).send(timeout=10)
    assert [item.get("name") for item in answer.xml[0]] == ["Romeo M."]
    remove = romeo.make_iq_set()
    remove["roster"]["items"] = {juliet.jid: {"subscription": "remove"}}
    await remove.send(timeout=10)
    await juliet.expect(cmd=21, event="removed", userid=two.id)
    assert await states(juliet) == {}


@pytest.mark.gen_test(timeout=40)
async def test_new_username_and_deletion_reach_the_roster(node: Node) -> None:
    """The old address is removed, the new one comes with its name and groups."""
    juliet, two = await JsonClient.register(node), await JsonClient.register(node)
    romeo = await Contact(node, two).start()
    iq = romeo.make_iq_set()
    iq["roster"]["items"] = {juliet.jid: {"name": "Jule", "groups": ["Verona"]}}
    await iq.send(timeout=10)
    await romeo.push(juliet.jid, "none")
    name = fresh_name()
    assert (await call(juliet, "PATCH", "/api/me", {"username": name}))[0] == 200
    await romeo.push(juliet.jid, "remove")
    pushed = await romeo.push(f"{name}@localhost", "none", name="Jule")
    assert pushed["groups"] == ["Verona"]
    status, _ = await call(juliet, "DELETE", "/api/me", {"password": PASSWORD})
    assert status == 204
    await romeo.push(f"{name}@localhost", "remove")
    assert await romeo.items() == {}


@pytest.mark.gen_test(timeout=30)
async def test_resource_of_the_web_is_nobodys(node: Node) -> None:
    """Contacts could not tell it from the connections that are not XMPP's."""
    client = await Contact(node, await JsonClient.register(node), "web").start()
    assert client.boundjid.resource.startswith("web-")
