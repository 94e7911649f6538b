"""The XMPP side's words for the router: messages and errors as stanzas, ready to be written."""

from collections.abc import Callable

from handlers.frames import deflated_frame, frame
from server.deliveries import Envelope, Event, Passed
from server.errors import ChatError
from server.model import SINGLE, Message, User
from stanzas import carbons, messages, ns, replies

CLIENT_NAMESPACE = f" xmlns='{ns.CLIENT}'"


def _plain(stanza: str) -> bytes:
    return stanza.encode()


def _framed(stanza: str) -> bytes:
    return frame(stanza.encode())


def _deflated(stanza: str) -> bytes:
    return deflated_frame(stanza.encode())


class XmppCodec:
    """See :class:`server.clients.Codec`. Over WebSocket a stanza is a frame with its namespace."""

    per_user = True

    def __init__(self, name: str, xmlns: str, ready: Callable[[str], bytes]) -> None:
        self.name = name
        self.xmlns = xmlns
        self.ready = ready

    def message(self, passed: Passed, viewer: User) -> bytes | None:
        """A chat message for its recipient, or a carbon of it for the author's other devices."""
        message, recipient = passed.message, passed.recipient
        if recipient is None:
            return None
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
        """What 1:1 conversations have of receipts and typing; what else there is to say to XMPP
        clients is :class:`server.deliveries.Personal`."""
        body = event.body
        if type(body) is not Message or body.chat != SINGLE or event.author is None:
            return None
        hint = messages.from_hint(body, sender=event.author.jid, name=event.name, xmlns=self.xmlns)
        return None if hint is None else self.ready(hint)

    def ack(self, envelope: Envelope) -> bytes | None:
        """XMPP has no ack of its own, but a count (XEP-0198)."""
        _done(envelope)
        return None

    def error(self, envelope: Envelope, error: ChatError) -> bytes | None:
        _done(envelope)
        me = f"{envelope.author.jid}/{envelope.node.resource}"
        return self.ready(replies.error(envelope.origin, me, self.xmlns, error))


def _done(envelope: Envelope) -> None:
    session = getattr(envelope.node, "session", None)
    if session is not None:
        session.transport.finish_stanza(envelope.origin)


def is_own(message: Message, userid: int) -> bool:
    """Whether ``userid`` sent it to somebody else: other devices of theirs get it as a carbon."""
    return message.userid == userid and message.dstid != userid


TCP = XmppCodec("xmpp", "", _plain)
WEBSOCKET = XmppCodec("xmpp-websocket", CLIENT_NAMESPACE, _framed)
DEFLATED_WEBSOCKET = XmppCodec("xmpp-websocket", CLIENT_NAMESPACE, _deflated)
