"""Rooms for tests: an XMPP client in a room, and all that it is told there."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from slixmpp.stanza import Presence
from slixmpp.xmlstream import ET

from tests.support.node import Node
from tests.support.xmpp_client import XmppClient

MUC_USER = "{http://jabber.org/protocol/muc#user}"
MUC = "http://jabber.org/protocol/muc"


def room_of(client: XmppClient, name: int | str) -> str:
    return f"{name}@conference.{client.boundjid.domain}"


def codes(stanza: Any) -> set[str]:
    """The status codes of a presence or message."""
    return {one.get("code") for one in stanza.xml.iter(f"{MUC_USER}status")}


def item(stanza: Any) -> dict[str, str]:
    """What a presence says of its occupant."""
    found = stanza.xml.find(f"{MUC_USER}x/{MUC_USER}item")
    return {} if found is None else dict(found.attrib)


class RoomClient(XmppClient):
    """Hears presences too. ``join`` returns when the room has said everything about the past."""

    def __init__(self, node: Node, jid: str, **more: Any) -> None:
        more.setdefault("plugins", ())
        more["plugins"] = (*more["plugins"], "xep_0045", "xep_0249")
        super().__init__(node, jid, hears_all=True, **more)
        self.presences: deque[Presence] = deque()
        self._presence_news = asyncio.Event()
        for kind in ("presence", "presence_error"):
            self.add_event_handler(kind, self._saw)

    def _saw(self, presence: Presence) -> None:
        if presence not in self.presences:
            self.presences.append(presence)
        self._presence_news.set()

    async def expect_presence(
        self, fits: Callable[[Presence], Any] = lambda _: True, timeout_s: float = 10
    ) -> Presence:
        """The first presence, come or coming, that fits; it is taken out of ``presences``."""
        async with asyncio.timeout(timeout_s):
            while True:
                for presence in self.presences:
                    if fits(presence):
                        self.presences.remove(presence)
                        return presence
                self._presence_news.clear()
                await self._presence_news.wait()

    def ask_in(self, room: str, nick: str, password: str = "", **history: str) -> None:
        """Sends what joins."""
        presence = self.make_presence(pto=f"{room}/{nick}")
        x = ET.SubElement(presence.xml, f"{{{MUC}}}x")
        if password:
            ET.SubElement(x, f"{{{MUC}}}password").text = password
        if history:
            ET.SubElement(x, f"{{{MUC}}}history", **history)
        presence.send()

    async def join(self, room: str, nick: str, password: str = "", **history: str) -> Presence:
        """One's own presence; what the room said of the past is in ``messages``."""
        self.ask_in(room, nick, password, **history)
        own = await self.expect_presence(
            lambda one: one["from"].bare == room and "110" in codes(one)
        )
        await self.expect(lambda one: one["from"].bare == room and has_subject(one))
        return own

    def say_in(self, room: str, body: str, **attributes: str) -> None:
        message = self.make_message(mto=room, mbody=body, mtype="groupchat")
        for name, value in attributes.items():
            message[name] = value
        message.send()

    async def ask(self, kind: str, to: str, child: ET.Element) -> Any:
        """An iq with this child; its answer."""
        iq = self.make_iq(ito=to, itype=kind)
        iq.append(child)
        return await iq.send(timeout=10)

    async def change(self, room: str, reason: str = "", **attributes: str) -> Any:
        """A muc#admin change of one item."""
        query = ET.Element(f"{{{MUC}#admin}}query")
        one = ET.SubElement(query, f"{{{MUC}#admin}}item", **attributes)
        if reason:
            ET.SubElement(one, f"{{{MUC}#admin}}reason").text = reason
        return await self.ask("set", room, query)

    async def listed(self, room: str, **attributes: str) -> list[dict[str, str]]:
        """A muc#admin list."""
        query = ET.Element(f"{{{MUC}#admin}}query")
        ET.SubElement(query, f"{{{MUC}#admin}}item", **attributes)
        answer = await self.ask("get", room, query)
        return [dict(one.attrib) for one in answer.xml.iter(f"{{{MUC}#admin}}item")]


def has_subject(message: Any) -> bool:
    return (
        message.xml.find("{jabber:client}subject") is not None
        and message.xml.find("{jabber:client}body") is None
    )
