"""slixmpp's own plugins for publishing, capabilities, private XML and bookmarks."""

import asyncio
from collections import deque
from typing import Any

import pytest
from slixmpp.exceptions import IqError
from slixmpp.plugins.xep_0402.stanza import Conference
from slixmpp.xmlstream.handler import Callback as Handler
from slixmpp.xmlstream.matcher import StanzaPath

from server.pep import BOOKMARKS
from stanzas import ns
from tests.support.contacts import befriend
from tests.support.json_client import JsonClient
from tests.support.node import Node
from tests.support.xmpp_client import XmppClient

pytestmark = pytest.mark.dialogue
PLUGINS = ("xep_0060", "xep_0115", "xep_0163", "xep_0118", "xep_0048", "xep_0049", "xep_0402")


class Person(XmppClient):
    """Hears of tunes and bookmarks, as its capabilities say. ``asked``: how often it was asked."""

    def __init__(self, node: Node, account: JsonClient, resource: str) -> None:
        super().__init__(node, f"{account.jid}/{resource}", plugins=PLUGINS)
        self.heard: deque[tuple[str, Any]] = deque()
        self.asked = 0
        self._more = asyncio.Event()
        self.plugin["xep_0060"].map_node_event(BOOKMARKS, "bookmark")
        for event in ("user_tune_publish", "bookmark_publish", "bookmark_retract"):
            self.add_event_handler(event, lambda message, event=event: self._hear(event, message))
        disco = StanzaPath("iq@type=get/disco_info")
        self.register_handler(Handler("asked", disco, self._was_asked))

    def _hear(self, event: str, message: Any) -> None:
        self.heard.append((event, message))
        self._more.set()

    def _was_asked(self, _: Any) -> None:
        self.asked += 1

    async def start(self) -> "Person":
        """Available, with its capabilities said and known."""
        await self.login(presence=False)
        for namespace in ("http://jabber.org/protocol/tune", BOOKMARKS):
            self.plugin["xep_0030"].add_feature(f"{namespace}+notify")
        await self.plugin["xep_0115"].update_caps()
        await self.come_online()
        await self.ping()
        return self

    async def hear(self, event: str) -> Any:
        async with asyncio.timeout(10):
            while True:
                for each in self.heard:
                    if each[0] == event:
                        self.heard.remove(each)
                        return each[1]
                self._more.clear()
                await self._more.wait()


def title(message: Any) -> tuple[str, str]:
    item = message["pubsub_event"]["items"]["item"]
    return message["from"].bare, item["tune"]["title"]


@pytest.mark.gen_test(timeout=60)
async def test_tune_reaches_contacts_and_own_devices(node: Node) -> None:
    """Published with the plugin for it; who comes later hears it with the presence."""
    juliet, romeo = [await JsonClient.register(node) for _ in range(2)]
    await befriend(juliet, romeo)
    phone = await Person(node, juliet, "phone").start()
    friend = await Person(node, romeo, "orchard").start()
    await phone.plugin["xep_0118"].publish_tune(artist="Yes", title="Heart of the Sunrise")
    for client in (friend, phone):
        assert title(await client.hear("user_tune_publish")) == (
            phone.boundjid.bare,
            "Heart of the Sunrise",
        )
    late = await Person(node, juliet, "laptop").start()
    message = await late.hear("user_tune_publish")
    assert title(message)[1] == "Heart of the Sunrise"
    assert message["delay"]["stamp"]


@pytest.mark.gen_test(timeout=60)
async def test_client_of_a_known_kind_is_not_asked_again(one_node: Node) -> None:
    """What one has said under its hash holds for all of its kind on this node."""
    accounts = [await JsonClient.register(one_node) for _ in range(2)]
    await Person(one_node, accounts[0], "first").start()
    other = await Person(one_node, accounts[1], "other").start()
    assert other.asked == 0
    await other.plugin["xep_0118"].publish_tune(title="Roundabout")
    assert title(await other.hear("user_tune_publish"))[1] == "Roundabout"


@pytest.mark.gen_test(timeout=60)
async def test_capabilities_of_the_server_are_true(node: Node) -> None:
    """slixmpp makes the hash that the stream's features say of the answer at its node."""
    client = XmppClient(node, (await JsonClient.register(node)).jid, plugins=("xep_0115",))
    said: list[Any] = []
    client.register_handler(
        Handler(
            "caps", StanzaPath("features"), lambda f: said.extend(f.xml.iter(f"{{{ns.CAPS}}}c"))
        )
    )
    await client.login()
    assert len(said) == 1
    where = f"{said[0].get('node')}#{said[0].get('ver')}"
    info = await client.plugin["xep_0030"].get_info("localhost", node=where)
    made = client.plugin["xep_0115"].generate_verstring(info["disco_info"], "sha-1")
    assert made == said[0].get("ver")


@pytest.mark.gen_test(timeout=60)
async def test_nodes_are_made_set_and_removed(node: Node) -> None:
    """With the plugin for publishing, on the own account."""
    client = await Person(node, await JsonClient.register(node), "phone").start()
    pubsub, me = client.plugin["xep_0060"], client.boundjid.bare
    await pubsub.create_node(me, "urn:x")
    form = (await pubsub.get_node_config(me, "urn:x"))["pubsub_owner"]["configure"]["form"]
    assert form["values"]["pubsub#access_model"] == "presence"
    form.reply()
    answer = client.plugin["xep_0004"].make_form(ftype="submit")
    answer.add_field(var="FORM_TYPE", ftype="hidden", value=f"{ns.PUBSUB}#node_config")
    answer.add_field(var="pubsub#access_model", value="open")
    answer.add_field(var="pubsub#max_items", value="2")
    await pubsub.set_node_config(me, "urn:x", answer)
    for number in range(3):
        tune = Conference()
        tune["name"] = str(number)
        await pubsub.publish(me, "urn:x", id=str(number), payload=tune.xml)
    items = (await pubsub.get_items(me, "urn:x"))["pubsub"]["items"]["substanzas"]
    assert [item["id"] for item in items] == ["2", "1"]
    await pubsub.retract(me, "urn:x", "1", notify="1")
    await pubsub.purge(me, "urn:x")
    assert not (await pubsub.get_items(me, "urn:x"))["pubsub"]["items"]["substanzas"]
    await pubsub.delete_node(me, "urn:x")
    with pytest.raises(IqError) as refused:
        await pubsub.get_items(me, "urn:x")
    assert refused.value.condition == "item-not-found"


@pytest.mark.gen_test(timeout=60)
async def test_bookmark_of_one_kind_is_there_for_the_other(node: Node) -> None:
    """Published as an item, told to the other device, and read out of private XML."""
    account = await JsonClient.register(node)
    phone = await Person(node, account, "phone").start()
    laptop = await Person(node, account, "laptop").start()
    room = "play@conference.localhost"
    bookmark = Conference()
    bookmark["name"], bookmark["nick"], bookmark["autojoin"] = "The Play", "JC", True
    options = phone.plugin["xep_0004"].make_form(ftype="submit")
    options.add_field(var="FORM_TYPE", ftype="hidden", value=f"{ns.PUBSUB}#publish-options")
    options.add_field(var="pubsub#persist_items", value="true")
    options.add_field(var="pubsub#max_items", value="max")
    options.add_field(var="pubsub#send_last_published_item", value="never")
    options.add_field(var="pubsub#access_model", value="whitelist")
    pubsub = phone.plugin["xep_0060"]
    await pubsub.publish(None, BOOKMARKS, id=room, payload=bookmark.xml, options=options)
    heard = (await laptop.hear("bookmark_publish"))["pubsub_event"]["items"]["item"]
    assert (heard["id"], heard["payload"].get("name")) == (room, "The Play")
    old = await laptop.plugin["xep_0049"].retrieve("bookmarks")
    [found] = old["private"]["bookmarks"]["conferences"]
    assert (str(found["jid"]), found["nick"], found["autojoin"]) == (room, "JC", True)
    await pubsub.retract(None, BOOKMARKS, room, notify="1")
    await laptop.hear("bookmark_retract")
    gone = await laptop.plugin["xep_0049"].retrieve("bookmarks")
    assert not list(gone["private"]["bookmarks"]["conferences"])
