"""What is published, on a real database: ``server/pep.py``, ``server/bookmarks.py``, the store."""

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from server import capabilities
from server.clients import ClientNode
from server.deliveries import NodeEvent, Personal
from server.errors import ChatError
from server.model import User
from server.pep import BOOKMARKS, OLD_BOOKMARKS
from server.services import Services
from tests.support.house import house

ROOM = "10004@conference.localhost"


class Ear(ClientNode):
    """A connection that keeps the events that it is given."""

    __slots__ = ("heard",)

    def take(self, body: Personal) -> None:
        if isinstance(body, NodeEvent):
            self.heard.append(body)


async def person(services: Services) -> tuple[User, list[NodeEvent]]:
    user = await services.accounts.create(password="correct horse battery")
    nobody: Any = None
    pipe: Any = type("Pipe", (), {"send": staticmethod(lambda _: None), "is_slow": False})()
    ear = Ear(user, nobody, pipe)
    ear.heard = []  # type: ignore[misc]
    services.clients.bind(ear)
    return user, ear.heard


def told(heard: list[NodeEvent]) -> list[tuple[str, str, list[str]]]:
    """And nothing is left of it."""
    come = [(event.node, event.what, event.ids) for event in heard]
    heard.clear()
    return come


async def ids(services: Services, user: User, node: str) -> list[str]:
    return [item.id for item in await services.pep.own(user.id, node)]


@pytest.mark.gen_test(timeout=60)
async def test_bookmarks_of_the_server_are_seen_by_all_views(tmp_path: Path) -> None:
    """Added once, left as the user has it, told to the devices in both forms, and taken back."""
    async with house(tmp_path / "var") as services:
        user, heard = await person(services)
        bookmarks = services.bookmarks
        assert "conference" not in await bookmarks.old(user.id)
        await bookmarks.add(user.id, ROOM, "Hikers & friends", "Ann")
        assert told(heard) == [
            (BOOKMARKS, "items", [ROOM]),
            (OLD_BOOKMARKS, "items", ["current"]),
        ]
        [item] = await services.pep.own(user.id, BOOKMARKS)
        assert "name='Hikers &amp; friends' autojoin='true'><nick>Ann</nick>" in item.xml
        old = await bookmarks.old(user.id)
        assert f"jid='{ROOM}' name='Hikers &amp; friends' autojoin='true'" in old
        await bookmarks.keep_old(user.id, old.replace("autojoin='true'", "autojoin='false'"))
        assert told(heard)[0] == (BOOKMARKS, "items", [ROOM])
        await bookmarks.add(user.id, ROOM, "Another name", "")
        assert told(heard) == []
        assert "autojoin='false'" in await bookmarks.old(user.id)
        await bookmarks.remove(user.id, ROOM)
        assert told(heard)[0] == (BOOKMARKS, "retract", [ROOM])
        await bookmarks.remove(user.id, ROOM)
        assert told(heard) == []
        config = await services.pep.config(user.id, BOOKMARKS)
        assert (config.access_model, config.max_items) == ("whitelist", 0)


@pytest.mark.gen_test(timeout=60)
async def test_limits_are_kept_and_said(tmp_path: Path) -> None:
    """Nodes, items of each, bytes of each item and of private XML."""
    async with house(tmp_path / "var") as services:
        user, _ = await person(services)
        pep = services.pep
        pep._settings = replace(
            services.settings.xmpp, pep_nodes=2, pep_items=3, pep_item_bytes=2000
        )
        for n in range(5):
            await pep.publish(user.id, "many", str(n), "<x/>", {"max_items": ["max"]})
            await pep.publish(user.id, "one", str(n), "<x/>")
        assert await ids(services, user, "many") == ["4", "3", "2"]
        assert await ids(services, user, "one") == ["4"]
        with pytest.raises(ChatError) as refused:
            await pep.publish(user.id, "third", "1", "<x/>")
        assert (refused.value.slug, refused.value.pubsub) == ("too-long", "max-nodes-exceeded")
        with pytest.raises(ChatError) as refused:
            await pep.publish(user.id, "one", "1", f"<x>{'安' * 700}</x>")
        assert refused.value.pubsub == "payload-too-big"
        with pytest.raises(ChatError, match="too-long"):
            await pep.publish(user.id, "n" * 513, "1", "<x/>")
        with pytest.raises(ChatError, match="too-long"):
            await pep.publish(user.id, "one", "1" * 513, "<x/>")
        for name in ("{a}a", "{b}b", "{a}a"):
            await pep.keep_private(user.id, name, "<x/>")
        with pytest.raises(ChatError, match="too-long"):
            await pep.keep_private(user.id, "{c}c", "<x/>")


@pytest.mark.gen_test(timeout=60)
async def test_publications_at_once_leave_the_newest(tmp_path: Path) -> None:
    """Each has its place in the node's order, and no more are kept than may be."""
    async with house(tmp_path / "var") as services:
        user, _ = await person(services)
        await services.pep.create(user.id, "n", {"max_items": ["5"]})
        await asyncio.gather(
            *(services.pep.publish(user.id, "n", str(n % 9), f"<x n='{n}'/>") for n in range(40))
        )
        assert len(await services.pep.own(user.id, "n")) <= 5
        await asyncio.gather(
            *(services.pep.publish(user.id, "made", "1", f"<x n='{n}'/>") for n in range(9))
        )
        assert await ids(services, user, "made") == ["1"]


@pytest.mark.gen_test(timeout=60)
async def test_configuration_takes_effect(tmp_path: Path) -> None:
    """What is too much goes; what is not kept or not told is not."""
    async with house(tmp_path / "var") as services:
        user, heard = await person(services)
        pep = services.pep
        for n in range(4):
            await pep.publish(user.id, "n", str(n), "<x/>", {"max_items": ["4"]})
        await pep.configure(user.id, "n", {"max_items": ["2"]})
        assert await ids(services, user, "n") == ["3", "2"]
        await pep.configure(user.id, "n", {"deliver_payloads": ["0"]})
        heard.clear()
        await pep.publish(user.id, "n", "4", "<x/>")
        assert [(event.ids, event.xml) for event in heard] == [(["4"], "")]
        await pep.configure(user.id, "n", {"persist_items": ["false"]})
        assert await ids(services, user, "n") == []
        heard.clear()
        await pep.publish(user.id, "n", "5", "<x/>")
        assert (told(heard), await ids(services, user, "n")) == ([("n", "items", ["5"])], [])
        await pep.configure(user.id, "n", {"deliver_notifications": ["false"]})
        await pep.publish(user.id, "n", "6", "<x/>")
        assert told(heard) == []


@pytest.mark.gen_test(timeout=60)
async def test_last_items_are_those_that_one_may_see(tmp_path: Path) -> None:
    """Of contacts by their access models, of one's own all, of others none."""
    async with house(tmp_path / "var") as services:
        (ann, _), (bob, heard), (eve, _) = [await person(services) for _ in range(3)]
        pep = services.pep
        for owner in (ann, bob, eve):
            for model in ("open", "presence", "whitelist", "roster"):
                options = {"access_model": [model], "roster_groups_allowed": ["friends"]}
                await pep.publish(owner.id, model, model, "<x/>", options)
        await pep.publish(ann.id, "quiet", "1", "<x/>", {"send_last_published_item": ["never"]})
        heard.clear()
        await services.contacts.request(ann.id, bob.id)
        await services.contacts.accept(bob.id, ann.id)
        names = ["open", "presence", "whitelist", "roster", "quiet", "absent"]

        async def last() -> set[tuple[str, str]]:
            return {(each.jid, each.node) async for each in pep.last(bob.id, names)}

        own = {(bob.jid, name) for name in names[:4]}
        assert await last() == own | {(ann.jid, "open"), (ann.jid, "presence")}
        await services.contacts.keep(ann.id, bob.id, "Bob", ["friends"])
        assert (ann.jid, "roster") in await last()
        await services.contacts.block(ann.id, bob.id)
        assert await last() == own


@pytest.mark.gen_test(timeout=60)
async def test_new_contacts_are_told_what_there_is(tmp_path: Path) -> None:
    """Also where it was agreed over JSON: both hear what the other shows contacts."""
    async with house(tmp_path / "var") as services:
        (ann, heard), (bob, bob_heard) = await person(services), await person(services)
        await services.pep.publish(ann.id, "n", "1", "<x/>")
        await services.pep.publish(ann.id, "secret", "1", "<x/>", {"access_model": ["whitelist"]})
        await services.contacts.request(bob.id, ann.id)
        assert told(bob_heard) == []
        await services.contacts.accept(ann.id, bob.id)
        assert told(bob_heard) == [("n", "items", ["1"])]
        assert [jid for jid in {event.jid for event in heard}] == [ann.jid]


async def _all(found: AsyncIterator[Any]) -> list[Any]:
    return [each async for each in found]


@pytest.mark.gen_test(timeout=60)
async def test_account_takes_with_it_what_it_published(tmp_path: Path) -> None:
    """The export has it all, and after the account there is nothing; others' stays."""
    async with house(tmp_path / "var") as services:
        (ann, _), (bob, _) = await person(services), await person(services)
        pep = services.pep
        for user in (ann, bob):
            await pep.publish(user.id, "n", "1", "<x/>")
            await pep.keep_private(user.id, "{a}a", "<a xmlns='a'/>")
        [node] = await _all(pep.export(ann.id))
        assert (node["node"], node["access"]) == ("n", "presence")
        assert [(item["id"], item["xml"]) for item in node["items"]] == [("1", "<x/>")]
        assert await pep.export_private(ann.id) == ["<a xmlns='a'/>"]
        document = b"".join(await _all(services.exports.of(ann.id)))
        assert b'"published":[{"node":"n"' in document and b'"private_xml":["<a' in document
        await services.departures.leave(ann.id)
        assert await _all(pep.export(ann.id)) == await pep.export_private(ann.id) == []
        assert await ids(services, ann, "n") == []
        assert await ids(services, bob, "n") == ["1"]
        assert await pep.private(bob.id, "{a}a")


@pytest.mark.gen_test(timeout=60)
async def test_node_made_anew_is_empty(tmp_path: Path) -> None:
    """And takes items again."""
    async with house(tmp_path / "var") as services:
        user, _ = await person(services)
        for n in range(3):
            await services.pep.publish(user.id, "n", "1", f"<x n='{n}'/>")
        await services.pep.delete(user.id, "n")
        await services.pep.create(user.id, "n", {})
        assert await ids(services, user, "n") == []
        await services.pep.publish(user.id, "n", "1", "<y/>")
        assert [item.xml for item in await services.pep.own(user.id, "n")] == ["<y/>"]


def test_kinds_of_clients_are_forgotten_by_their_last_use() -> None:
    """A bounded number is known."""
    known = capabilities.Capabilities()
    for n in range(capabilities.CACHED):
        known.learn("sha-1", str(n), frozenset({str(n)}))
    assert known.get("sha-1", "0") == {"0"}
    known.learn("sha-1", "new", frozenset())
    assert known.get("sha-1", "1") is None
    kept: Collection[str] | None = known.get("sha-1", "0")
    assert kept == {"0"}
