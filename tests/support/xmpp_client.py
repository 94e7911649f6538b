"""An XMPP client for tests: stock slixmpp, trusting the certificate that the server made itself."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import slixmpp
from slixmpp.stanza import Message
from slixmpp.xmlstream.handler import Callback as Handler
from slixmpp.xmlstream.matcher import MatchXPath

from tests.support.json_client import PASSWORD
from tests.support.node import Node

OPENED: list["XmppClient"] = []
"""The clients of the running test, ended with it."""


class XmppClient(slixmpp.ClientXMPP):  # type: ignore[misc]
    """One resource of an account. ``login`` returns when the session has started."""

    def __init__(
        self,
        node: Node,
        jid: str,
        password: str = PASSWORD,
        *,
        mechanism: str | None = None,
        tls: str = "starttls",
        plugins: tuple[str, ...] = (),
        hears_all: bool = False,
    ) -> None:
        """``hears_all``: also messages without a body."""
        super().__init__(jid, password, sasl_mech=mechanism)
        self.node = node.pick()
        self.ca_certs = self.node.certificate
        self.enable_direct_tls = tls == "direct"
        self.enable_starttls = tls == "starttls"
        self.enable_plaintext = tls == "none"
        self.messages: deque[Message] = deque()
        self.failures: list[str] = []
        self.auto_reconnect = False
        self._tls = tls
        self._news = asyncio.Event()
        self._ended = asyncio.Event()
        OPENED.append(self)
        for plugin in ("xep_0030", "xep_0059", "xep_0199", "xep_0203", "xep_0313", *plugins):
            self.register_plugin(plugin)
        if tls == "none":
            mechanisms = self.plugin["feature_mechanisms"]
            mechanisms.unencrypted_plain = mechanisms.unencrypted_scram = True
        if hears_all:
            everything = MatchXPath("{jabber:client}message")
            self.register_handler(Handler("everything", everything, self._heard))
        else:
            self.add_event_handler("message", self._heard)
            self.add_event_handler("message_error", self._heard)
        self.add_event_handler("failed_auth", lambda _: self.failures.append("failed_auth"))
        self.add_event_handler("failed_all_auth", lambda _: self._ended.set())
        self.add_event_handler("connection_failed", lambda _: self._ended.set())
        self.add_event_handler("disconnected", lambda _: self._ended.set())

    def _heard(self, message: Message) -> None:
        self.messages.append(message)
        self._news.set()

    async def login(self, *, presence: bool = True, timeout_s: float = 15) -> "XmppClient":
        """Connects and logs in. Raises ``ConnectionError`` when that fails."""
        started = asyncio.Event()
        self.add_event_handler("session_start", lambda _: started.set(), disposable=True)
        port = self.node.tls_port if self._tls == "direct" else self.node.xmpp_port
        self.connect(self.node.address, port)
        waiting = [asyncio.ensure_future(event.wait()) for event in (started, self._ended)]
        await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        if not started.is_set():
            raise ConnectionError(f"no session: {self.failures}")
        if presence:
            await self.come_online()
        return self

    async def ended(self, timeout_s: float = 10) -> None:
        """Waits for the end of the stream."""
        async with asyncio.timeout(timeout_s):
            await self._ended.wait()

    async def come_online(self) -> None:
        """Sends initial presence; returns when the server has processed it."""
        self.send_presence()
        await self.ping()

    async def ping(self) -> None:
        """Waits until the server has processed what was sent."""
        await self.plugin["xep_0199"].send_ping(self.boundjid.domain, timeout=10)

    async def settled(self) -> list[Message]:
        """All messages that came before the answer to a ping sent now."""
        await self.ping()
        come = list(self.messages)
        self.messages.clear()
        return come

    async def expect(
        self, fits: Callable[[Message], Any] = lambda _: True, timeout_s: float = 10
    ) -> Message:
        """The first message, come or coming, that fits; it is taken out of ``messages``."""
        async with asyncio.timeout(timeout_s):
            while True:
                for message in self.messages:
                    if fits(message):
                        self.messages.remove(message)
                        return message
                self._news.clear()
                await self._news.wait()

    def say(self, to: str, body: str, **attributes: str) -> Message:
        """Sends a chat message and gives it back, with the id it was sent under."""
        message = self.make_message(mto=to, mbody=body, mtype="chat")
        for name, value in attributes.items():
            message[name] = value
        message.send()
        return message

    @staticmethod
    async def close_all() -> None:
        """Ends what the test left open. slixmpp's own tasks would outlive the event loop."""
        while OPENED:
            client = OPENED.pop()
            client.abort()
            task = client._run_out_filters
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                client._run_out_filters = None

    async def logout(self) -> None:
        await self.disconnect(wait=2.0)
