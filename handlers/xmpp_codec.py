"""The XMPP side's words for the router: messages and errors as stanzas, ready to be written."""

from collections.abc import Callable

from handlers.frames import deflated_frame, frame
from server.deliveries import Envelope, Event, Passed, Presence, Stanza
from server.errors import ChatError
from server.model import GROUP, SINGLE, TYPING, Message, User, is_group
from stanzas import carbons, messages, ns, replies
from stanzas.xml import attribute

CLIENT_NAMESPACE = f" xmlns='{ns.CLIENT}'"


def _plain(stanza: str) -> bytes:
    return stanza.encode()


def _framed(stanza: str) -> bytes:
    return frame(stanza.encode())


def _deflated(stanza: str) -> bytes:
    return deflated_frame(stanza.encode())


class ForRoom(bytes):
    """Something for those who have joined a room, which writes it when the first of them gets it.

    Each is sent it under a ``to`` of its own; ``rest`` is the stanza from its ``from`` on, the same
    for all on this node.
    """

    about: Passed | Event
    rest: str

    def __new__(cls, about: Passed | Event) -> "ForRoom":
        made = super().__new__(cls)
        made.about = about
        made.rest = ""
        return made


class XmppCodec:
    """See :class:`server.clients.Codec`. Over WebSocket a stanza is a frame with its namespace."""

    per_user = reflects = True

    def __init__(self, name: str, xmlns: str, ready: Callable[[str], bytes]) -> None:
        self.name = name
        self.xmlns = xmlns
        self.ready = ready

    def message(self, passed: Passed, viewer: User) -> bytes | None:
        """A chat message for its recipient, or a carbon of it for the author's other devices."""
        message, recipient = passed.message, passed.recipient
        if recipient is None:
            return ForRoom(passed) if is_group(passed.conv) else None
        author = passed.author.jid
        if passed.resource:
            author = f"{author}/{passed.resource}"
        is_carbon = is_own(message, viewer.id)
        stanza = messages.from_message(
            message,
            sender=author,
            recipient=recipient.jid,
            archive=viewer.jid,
            xml=passed.xml,
            xmlns=CLIENT_NAMESPACE if is_carbon else self.xmlns,
        )
        return self.ready(carbons.sent(stanza, viewer.jid, self.xmlns) if is_carbon else stanza)

    def event(self, event: Event) -> bytes | None:
        """Presence of one's own other resources, and what 1:1 conversations have of receipts and
        typing; in rooms; the other hints have no XMPP form."""
        body = event.body
        if type(body) is Message:
            if body.chat == GROUP and (body.cmd == TYPING or event.name):
                return ForRoom(event)
            if body.chat != SINGLE or event.author is None:
                return None
            hint = messages.from_hint(
                body, sender=event.author.jid, name=event.name, xmlns=self.xmlns
            )
            return None if hint is None else self.ready(hint)
        if type(body) is Stanza:
            return self.ready(f"<{body.name}{self.xmlns} to='{attribute(body.to)}'{body.rest}")
        if type(body) is not Presence:
            return None
        return self.ready(f"<presence{self.xmlns} to='{attribute(body.to)}'{body.rest}")

    def ack(self, envelope: Envelope) -> bytes | None:
        """XMPP has no ack of its own, but who sends to a room again sees that it is there."""
        if envelope.dup and is_group(envelope.conv):
            envelope.node.deliver(ForRoom(envelope), envelope.message)
        if envelope.origin.name == "iq":
            me = f"{envelope.author.jid}/{envelope.node.resource}"
            return self.ready(replies.result(envelope.origin, me, self.xmlns))
        return None

    def error(self, envelope: Envelope, error: ChatError) -> bytes | None:
        me = f"{envelope.author.jid}/{envelope.node.resource}"
        return self.ready(replies.error(envelope.origin, me, self.xmlns, error))


def is_own(message: Message, userid: int) -> bool:
    """Whether ``userid`` sent it to somebody else: other devices of theirs get it as a carbon."""
    return message.userid == userid and message.dstid != userid


TCP = XmppCodec("xmpp", "", _plain)
WEBSOCKET = XmppCodec("xmpp-websocket", CLIENT_NAMESPACE, _framed)
DEFLATED_WEBSOCKET = XmppCodec("xmpp-websocket", CLIENT_NAMESPACE, _deflated)
