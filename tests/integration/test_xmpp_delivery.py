"""What XMPP clients send to others and nobody keeps, and what a block does to it."""

import asyncio

import pytest
from slixmpp.exceptions import IqError
from slixmpp.stanza import Message
from slixmpp.xmlstream import ET

from stanzas import ns
from tests.integration.test_xmpp_roster import Account, Contact, couple, friends
from tests.support.contacts import block, call
from tests.support.json_client import JsonClient
from tests.support.node import Node

pytestmark = pytest.mark.dialogue


def message(sender: Contact, to: str, kind: str, body: str = "x", **attributes: str) -> Message:
    """Sends one, of any type."""
    sent = sender.make_message(mto=to, mbody=body, mtype=kind)
    for name, value in attributes.items():
        sent[name] = value
    sent.send()
    return sent


async def version_of(client: Contact, to: str) -> str:
    iq = client.make_iq_get(queryxmlns=ns.VERSION, ito=to)
    answer = await iq.send(timeout=10)
    return str(answer.xml[0].findtext(f"{{{ns.VERSION}}}name"))


@pytest.mark.gen_test(timeout=40)
async def test_headline_goes_to_who_is_there_and_is_not_kept(node: Node) -> None:
    """To the bare JID, to the resource; a resource of negative priority gets the latter only."""
    juliet, romeo = await couple(node)
    message(juliet, romeo.bare, "headline", "news")
    heard = await romeo.expect()
    assert (heard["type"], heard["body"], heard["from"]) == (
        "headline",
        "news",
        juliet.boundjid.full,
    )
    romeo.send_presence(ppriority=-1)
    await romeo.ping()
    message(juliet, romeo.bare, "headline", "not heard")
    message(juliet, f"{romeo.bare}/elsewhere", "headline", "not heard")
    message(juliet, romeo.boundjid.full, "headline", "by name")
    assert (await romeo.expect())["body"] == "by name"
    assert not romeo.messages and not await juliet.settled()


@pytest.mark.gen_test(timeout=40)
async def test_types_that_nobody_takes_get_the_rfcs_error(node: Node) -> None:
    """groupchat to an account; normal to a resource that is not there; to no account."""
    juliet, romeo = await couple(node)
    for to, kind in (
        (romeo.bare, "groupchat"),
        (f"{romeo.bare}/elsewhere", "groupchat"),
        (f"{romeo.bare}/elsewhere", "normal"),
    ):
        message(juliet, to, kind, id="m1")
        error = await juliet.expect(lambda heard: heard["type"] == "error")
        assert error["error"]["condition"] == "service-unavailable"
        assert (error["from"], error["id"]) == (to, "m1")
    assert not await romeo.settled()


@pytest.mark.gen_test(timeout=40)
async def test_chat_to_a_resource_that_is_gone_is_for_the_account(node: Node) -> None:
    """RFC 6121 section 8.5.3.2.1; and a normal message to one that is there is kept as well."""
    juliet, romeo = await couple(node)
    message(juliet, f"{romeo.bare}/elsewhere", "chat", "still?")
    assert (await romeo.expect())["body"] == "still?"
    message(juliet, romeo.boundjid.full, "normal", "dear Romeo")
    assert (await romeo.expect())["body"] == "dear Romeo"


@pytest.mark.gen_test(timeout=40)
async def test_errors_and_messages_without_text_pass(node: Node) -> None:
    """An error to the resource that it is for, to nobody else; an element of its own."""
    juliet, two = await couple(node)
    romeo = await Contact(node, Account(two.bare), "chamber").start()
    message(juliet, two.boundjid.full, "error", id="e1")
    assert (await two.expect())["id"] == "e1"
    sent = juliet.make_message(mto=romeo.bare, mtype="normal")
    sent.append(ET.Element("{urn:example}nudge"))
    sent["id"] = "n1"
    received = romeo.wire("urn:example")
    sent.send()
    assert (await received)["from"] == juliet.boundjid.full
    message(juliet, f"{two.bare}/elsewhere", "error")
    assert not await juliet.settled()


@pytest.mark.gen_test(timeout=40)
async def test_iq_passes_between_resources_of_contacts(node: Node) -> None:
    """There and back with id and from; a resource that is gone is the RFC's error."""
    juliet, romeo = await friends(node)
    romeo.register_plugin("xep_0092", {"software_name": "Romeo's"})
    assert await version_of(juliet, romeo.boundjid.full) == "Romeo's"
    for to in (f"{romeo.bare}/elsewhere", "nobody-here@localhost/x", romeo.bare):
        with pytest.raises(IqError) as refused:
            await version_of(juliet, to)
        assert refused.value.condition == "service-unavailable"


@pytest.mark.gen_test(timeout=40)
async def test_iq_of_a_stranger_does_not_tell_who_is_there(node: Node) -> None:
    juliet, romeo = await couple(node)
    romeo.register_plugin("xep_0092", {"software_name": "Romeo's"})
    for to in (romeo.boundjid.full, f"{romeo.bare}/elsewhere"):
        with pytest.raises(IqError) as refused:
            await version_of(juliet, to)
        assert refused.value.condition == "service-unavailable"
        assert not refused.value.text


@pytest.mark.gen_test(timeout=40)
async def test_block_hides_and_refuses_until_it_is_taken_back(node: Node) -> None:
    """Romeo sees her leave and gets the answer of who is not there; she hears that she blocks."""
    juliet, romeo = await friends(node)
    other = await Contact(node, Account(juliet.bare), "chamber").start()
    await romeo.hear("available", other.boundjid.full)
    assert await blocked(other) == []
    changed = other.wire_iq(ns.BLOCKING)
    await juliet.plugin["xep_0191"].block(romeo.bare, timeout=10)
    assert f"<block xmlns='{ns.BLOCKING}'" in str(await changed).replace('"', "'")
    await romeo.hear("unavailable", juliet.boundjid.full)
    await romeo.hear("unavailable", other.boundjid.full)
    assert await blocked(juliet) == [romeo.bare]
    romeo.heard.clear()
    juliet.tell(romeo.bare)
    juliet.send_presence(pshow="away")
    for sender, to, condition in (
        (juliet, romeo, "not-acceptable"),
        (romeo, juliet, "service-unavailable"),
    ):
        for kind in ("chat", "headline"):
            refused = await refusal(sender, to.bare, kind)
            assert refused["error"]["condition"] == condition
            tag = f"{{{ns.BLOCKING_ERRORS}}}blocked"
            is_said = refused.xml.find(f"{{jabber:client}}error/{tag}") is not None
            assert is_said is (sender is juliet)
        with pytest.raises(IqError) as error:
            await version_of(sender, to.boundjid.full)
        assert error.value.condition == condition
    await romeo.ping()
    assert not [one for one in romeo.heard if one["from"].bare == juliet.bare]
    await juliet.plugin["xep_0191"].unblock(romeo.bare, timeout=10)
    await romeo.hear("away", juliet.boundjid.full)
    assert await blocked(juliet) == []


@pytest.mark.gen_test(timeout=40)
async def test_block_over_json_is_pushed_and_seen_in_the_list(node: Node) -> None:
    """And whoever has no account cannot be on it; all can be unblocked at once."""
    account, two = await JsonClient.register(node), await JsonClient.register(node)
    juliet = await Contact(node, account).start()
    await blocked(juliet)
    changed = juliet.wire_iq(ns.BLOCKING)
    await block(account, two)
    assert two.jid in str(await changed)
    assert await blocked(juliet) == [two.jid]
    for jid in ("nobody-here@localhost", "x@elsewhere.example", f"{two.jid}/resource"):
        with pytest.raises(IqError) as refused:
            await juliet.plugin["xep_0191"].block(jid, timeout=10)
        assert refused.value.condition == "item-not-found"
    iq = juliet.make_iq_set()
    iq.append(ET.Element(f"{{{ns.BLOCKING}}}unblock"))
    await iq.send(timeout=10)
    assert await blocked(juliet) == []
    status, listed = await call(account, "GET", "/api/blocks")
    assert (status, listed["users"]) == (200, [])


async def refusal(sender: Contact, to: str, kind: str) -> Message:
    """Sends until it is refused, since another node may not know yet."""
    async with asyncio.timeout(5):
        while True:
            message(sender, to, kind)
            for heard in await sender.settled():
                if heard["type"] == "error":
                    return heard


async def blocked(client: Contact) -> list[str]:
    iq = client.make_iq_get()
    iq.append(ET.Element(f"{{{ns.BLOCKING}}}blocklist"))
    answer = await iq.send(timeout=10)
    return [item.get("jid") for item in answer.xml.iter(f"{{{ns.BLOCKING}}}item")]
