"""A session in rooms: ``handlers/xmpp_rooms.py``."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from lxml import etree
from msgspec import structs

from handlers.xmpp_room_news import HELD
from handlers.xmpp_rooms import SessionRooms
from server.errors import ChatError
from server.model import GROUP, Message, User
from stanzas import replies
from stanzas.xml import Element
from tests.unit.server.test_rooms import GID, Town, Window

MUC = "http://jabber.org/protocol/muc"


class Past:
    """The room's, read when ``gate`` is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()

    async def recent(self, *_: Any) -> tuple[list[Any], int]:
        await self.gate.wait()
        return [], 0


class Stage:
    """One session, and what it was told."""

    def __init__(self) -> None:
        self.town = town = Town([("romeo", "", ""), ("alice", "", "")])
        self.past = Past()
        self.told: list[str] = []

        async def people(_: Any) -> dict[int, User]:
            return {}

        services = SimpleNamespace(
            rooms=town.rooms,
            groups=town,
            room_history=self.past,
            accounts=SimpleNamespace(people=people),
            router=SimpleNamespace(count=lambda node: None),
            settings=SimpleNamespace(
                xmpp=SimpleNamespace(room_history=50), limits=SimpleNamespace(page_messages=200)
            ),
        )
        self.session: Any = SimpleNamespace(
            services=services,
            domain="localhost",
            node=SimpleNamespace(userid=1, user=town.users_by_id[1]),
            transport=SimpleNamespace(tell=self.told.append),
            me="romeo@localhost/x",
            xmlns="",
            is_closed=False,
        )
        self.rooms = SessionRooms(self.session)

    def join(self) -> "asyncio.Task[None]":
        stanza: Element = etree.fromstring(
            f"<presence xmlns='jabber:client' to='{GID}@conference.localhost/romeo'>"
            f"<x xmlns='{MUC}'/></presence>"
        )
        pending: Any = self.rooms.presence(stanza, replies.origin(stanza))
        return asyncio.create_task(pending)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_nobody_looks_at_a_room_whose_session_closed_while_joining() -> None:
    """Wherever it was: before the room was read, meanwhile, or while the past was."""

    async def act() -> None:
        for at in ("before", "reading", "past"):
            stage = Stage()
            stage.town.gate.clear()
            if at == "before":
                stage.session.is_closed = True
                stage.rooms.leave_all()
            joining = stage.join()
            await settled()
            if at == "past":
                stage.town.gate.set()
                await settled()
                assert stage.town.rooms._rooms
            if at != "before":
                stage.session.is_closed = True
                stage.rooms.leave_all()
            stage.town.gate.set()
            stage.past.gate.set()
            await joining
            assert not stage.town.rooms._rooms, at
            assert not stage.rooms.joined and not stage.rooms.by_local, at
            assert not any("<subject" in told for told in stage.told), at

    asyncio.run(act())


def test_who_was_let_in_a_moment_ago_comes_into_the_room_that_is_known() -> None:
    """The room of this node may not have heard of it, nor what it is reading at the moment."""

    async def act() -> None:
        for is_reading in (False, True):
            stage = Stage()
            stage.past.gate.set()
            town = stage.town
            assert town.group is not None
            romeo = town.group.members.pop(1)
            room = await town.rooms.join(town.group, Window())
            if is_reading:
                town.gate.clear()
                town.changed()
                await settled()
            town.group = structs.replace(town.group, members={1: romeo, **town.group.members})
            assert room.group is not town.group
            joining = stage.join()
            await settled()
            town.gate.set()
            await joining
            assert any("code='110'" in told for told in stage.told)
            assert stage.rooms.joined[GID].room is room

    asyncio.run(act())


def test_who_is_removed_while_joining_is_not_in_the_room() -> None:
    """Also where nothing is asked of the past, which would not be told either."""

    async def act() -> None:
        stage = Stage()
        stage.session.services.settings.xmpp.room_history = 0
        stage.town.gate.clear()
        joining = stage.join()
        await settled()
        assert stage.town.group is not None
        del stage.town.group.members[1]
        stage.town.gate.set()
        with pytest.raises(ChatError, match="not-a-member"):
            await joining
        assert not stage.told and not stage.rooms.joined and not stage.town.rooms._rooms

    asyncio.run(act())


def test_who_cannot_be_told_the_past_in_time_is_put_out() -> None:
    """And told so, rather than left waiting in a room where nothing comes."""

    async def act() -> None:
        for is_read in (True, False):
            stage = Stage()
            if not is_read:
                stage.town.gate.clear()
            joining = stage.join()
            await settled()
            await overrun(stage)
            stage.town.gate.set()
            await joining
            assert "type='unavailable'" in stage.told[-1] and "code='333'" in stage.told[-1]
            assert not stage.rooms.joined and not stage.town.rooms._rooms

    async def overrun(stage: Stage) -> None:
        for seq in range(1, HELD + 2):
            message = Message(cmd=GROUP, dstid=GID, seq=seq)
            data: Any = SimpleNamespace(about=SimpleNamespace(conv=f"g{GID}"))
            stage.rooms.deliver(data, message)
        stage.past.gate.set()

    asyncio.run(act())
