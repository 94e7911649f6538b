"""The XMPP side's words for the router: messages and errors as stanzas, ready to be written."""

from collections.abc import Callable

from handlers.frames import deflated_frame, frame
from server.deliveries import Envelope, Event, Passed
from server.errors import ChatError
from server.group_shapes import GroupChange
from server.model import GROUP, SINGLE, TYPING, Message, Names, User, is_group
from stanzas import carbons, messages, ns, replies

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


class ForDevices(bytes):
    """A message as the device ``resource`` of its reader gets it, empty for none; other devices get
    a copy of this ``kind``, where they ask for copies and there are any."""

    resource: str
    kind: carbons.Kind
    _write: Callable[[], str] | None
    _forwarded: str

    def __new__(
        cls, data: bytes, resource: str, kind: carbons.Kind, write: Callable[[], str] | None
    ) -> "ForDevices":
        """``write``: makes what is copied; None: nobody is to have a copy."""
        made = super().__new__(cls, data)
        made.resource, made.kind, made._write, made._forwarded = resource, kind, write, ""
        return made

    @property
    def has_copies(self) -> bool:
        return self._write is not None

    @property
    def forwarded(self) -> str:
        """What is copied, written for the first who wants it."""
        if not self._forwarded and self._write is not None:
            self._forwarded = self._write()
        return self._forwarded


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
        names = Names.of(passed.xml)

        def stanza(xmlns: str) -> str:
            return messages.from_message(
                message,
                sender=author,
                recipient=recipient.jid,
                archive=viewer.jid,
                xmlns=xmlns,
                names=names,
            )

        def copied() -> str:
            return stanza(CLIENT_NAMESPACE)

        if is_own(message, viewer.id):
            return None if names.is_private else ForDevices(b"", "", "sent", copied)
        data = self.ready(stanza(self.xmlns))
        if not names.to:
            return data
        return ForDevices(data, names.to, "received", None if names.is_private else copied)

    def event(self, event: Event) -> bytes | None:
        """What 1:1 conversations and rooms have of receipts and typing, and changes of groups; what
        else there is to say to XMPP clients is :class:`server.deliveries.Personal`."""
        body = event.body
        if type(body) is GroupChange:
            return ForRoom(event)
        if type(body) is not Message:
            return None
        if body.chat == GROUP and (body.cmd == TYPING or event.name):
            return ForRoom(event)
        if body.chat != SINGLE or event.author is None:
            return None
        hint = messages.from_hint(body, sender=event.author.jid, name=event.name, xmlns=self.xmlns)
        return None if hint is None else self.ready(hint)

    def ack(self, envelope: Envelope) -> bytes | None:
        """XMPP has no ack of its own, but a count (XEP-0198), and who sends to a room again sees
        that it is there."""
        _done(envelope)
        if envelope.dup and is_group(envelope.conv):
            envelope.node.deliver(ForRoom(envelope), envelope.message)
        if envelope.origin.name == "iq":
            me = f"{envelope.author.jid}/{envelope.node.resource}"
            return self.ready(replies.result(envelope.origin, me, self.xmlns))
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
