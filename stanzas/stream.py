"""Stream negotiation, sans-I/O: what comes in becomes events, what goes out is made here.

RFC 6120 sections 4 to 7 over TCP; RFC 7395 frames the same over WebSocket. A mistake of the peer is
a :class:`stanzas.xml.XmlError`; whoever drives the stream answers it with :meth:`Stream.error`.
"""

import enum
import secrets
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from stanzas import client_state, disco, ns, stream_management
from stanzas.xml import Bounds, Element, StreamParser, XmlError, attribute, parse_document, text

PROTOCOL = (
    ("RFC 6120", "2011-03", "partial: client to server, without federation"),
    ("RFC 7395", "2014-10", "complete"),
)

TOP_LEVEL = frozenset(f"{{{ns.CLIENT}}}{name}" for name in ("message", "presence", "iq"))
_IQ = f"{{{ns.CLIENT}}}iq"
_STREAM = f"{{{ns.STREAMS}}}stream"
_OPEN = f"{{{ns.FRAMING}}}open"
_CLOSE = f"{{{ns.FRAMING}}}close"
_STARTTLS = f"{{{ns.TLS}}}starttls"
_SASL = tuple(f"{{{ns.SASL}}}{name}" for name in ("auth", "response", "abort"))
_BIND = f"{{{ns.BIND}}}bind"

_MANAGEMENT = frozenset((*stream_management.TAGS, *client_state.TAGS))


class Kind(enum.Enum):
    """What a peer did."""

    OPENED = enum.auto()
    """It opened the stream, first or anew; header and features are to be sent."""
    STARTTLS = enum.auto()
    """It wants TLS now."""
    SASL = enum.auto()
    """A SASL element."""
    STANZA = enum.auto()
    """A message, presence or iq."""
    MANAGEMENT = enum.auto()
    """An element of stream management or client state."""
    CLOSED = enum.auto()
    """It closed the stream."""


class Event(NamedTuple):
    """One thing that a peer did, with its element."""

    kind: Kind
    element: Element


class Stream:
    """One stream. ``mechanisms``: the SASL mechanisms to offer as things stand.

    ``starttls``: None where TLS cannot be begun, else whether it is required.
    """

    def __init__(
        self,
        domain: str,
        before_login: Bounds,
        after_login: Bounds,
        *,
        websocket: bool = False,
        starttls: bool | None = None,
        mechanisms: Sequence[str] = (),
    ) -> None:
        self._domain = domain
        self._before_login = before_login
        self._after_login = after_login
        self._websocket = websocket
        self.starttls = starttls
        self.mechanisms = mechanisms
        self.is_authenticated = False
        self.is_bound = False
        self.is_closed = False
        self._is_open = False
        self._header_sent = False
        self._parser = StreamParser(before_login)

    # What comes in.

    def receive(self, data: bytes) -> Iterator[Event]:
        """Events in ``data``: any piece of a TCP stream, or one whole WebSocket message.

        Raises :class:`XmlError`. A restart (TLS, SASL) in the middle drops the rest of the
        piece: before TLS, anybody may have put it in.
        """
        if self._websocket:
            yield self._frame(parse_document(data, self._bounds()))
            return
        parser = self._parser
        for what, element in parser.feed(data):
            if what == "open":
                yield self._opened(element, element.tag == _STREAM)
            elif what == "stanza":
                yield self._element(element)
            else:
                self.is_closed = True
                yield Event(Kind.CLOSED, element)
            if parser is not self._parser:
                return

    def restart(self) -> None:
        """After TLS or SASL the peer opens the stream anew (RFC 6120 section 4.3.3)."""
        self._parser = StreamParser(self._bounds())
        self._is_open = self._header_sent = False

    def authenticated(self) -> None:
        """SASL succeeded: larger stanzas are taken, and the peer opens the stream anew."""
        self.is_authenticated = True
        self.restart()

    def _bounds(self) -> Bounds:
        return self._after_login if self.is_authenticated else self._before_login

    def _frame(self, root: Element) -> Event:
        if root.tag == _OPEN:
            return self._opened(root, not self._is_open)
        if root.tag == _CLOSE:
            self.is_closed = True
            return Event(Kind.CLOSED, root)
        if not self._is_open:
            raise XmlError("invalid-namespace", "the stream is not open")
        return self._element(root)

    def _opened(self, root: Element, expected: bool) -> Event:
        if not expected:
            raise XmlError("invalid-namespace")
        if not self._websocket and root.nsmap.get(None) != ns.CLIENT:
            raise XmlError("invalid-namespace")
        if root.get("to", self._domain).lower() != self._domain:
            raise XmlError("host-unknown")
        if not root.get("version", "").startswith("1."):
            raise XmlError("unsupported-version")
        self._is_open = True
        return Event(Kind.OPENED, root)

    def _element(self, element: Element) -> Event:
        tag = element.tag
        if tag in TOP_LEVEL:
            binding = tag == _IQ and any(child.tag == _BIND for child in element)
            if not self.is_authenticated or not (self.is_bound or binding):
                raise XmlError("not-authorized")
            return Event(Kind.STANZA, element)
        if tag in _MANAGEMENT and self.is_authenticated:
            return Event(Kind.MANAGEMENT, element)
        if tag in _SASL and not self.is_authenticated:
            if self.starttls:
                raise XmlError("policy-violation", "TLS comes first")
            return Event(Kind.SASL, element)
        if tag == _STARTTLS and self.starttls is not None:
            return Event(Kind.STARTTLS, element)
        raise XmlError("unsupported-stanza-type" if self.is_authenticated else "not-authorized")

    # What goes out.

    def header(self) -> str:
        """The server's own opening."""
        self._header_sent = True
        names = (
            f"from='{attribute(self._domain)}' id='{secrets.token_hex(8)}' "
            "version='1.0' xml:lang='en'"
        )
        if self._websocket:
            return f"<open xmlns='{ns.FRAMING}' {names}/>"
        return (
            f"<?xml version='1.0'?><stream:stream xmlns='{ns.CLIENT}' "
            f"xmlns:stream='{ns.STREAMS}' {names}>"
        )

    def features(self) -> str:
        """What the peer may do next (RFC 6120 section 4.3.2)."""
        if self.is_authenticated:
            inside = (
                f"<bind xmlns='{ns.BIND}'/><session xmlns='{ns.SESSION}'><optional/></session>"
                f"<ver xmlns='{ns.ROSTER_VERSIONS}'/>"
                f"{stream_management.FEATURE}{client_state.FEATURE}{disco.SERVER_CAPS}"
            )
        else:
            inside = ""
            if self.starttls is not None:
                required = "<required/>" if self.starttls else ""
                inside = f"<starttls xmlns='{ns.TLS}'>{required}</starttls>"
            if not self.starttls:
                offered = "".join(f"<mechanism>{name}</mechanism>" for name in self.mechanisms)
                inside += f"<mechanisms xmlns='{ns.SASL}'>{offered}</mechanisms>"
        return f"<stream:features{self._stream_namespace()}>{inside}</stream:features>"

    def error(self, condition: str, detail: str = "", more: str = "") -> list[str]:
        """A stream error and the end, opened first if need be; one string a WebSocket frame.

        ``more``: see :class:`stanzas.xml.XmlError`.
        """
        out = [] if self._header_sent else [self.header()]
        told = f"<text xmlns='{ns.STREAM_ERRORS}'>{text(detail)}</text>" if detail else ""
        out.append(
            f"<stream:error{self._stream_namespace()}>"
            f"<{condition} xmlns='{ns.STREAM_ERRORS}'/>{told}{more}</stream:error>"
        )
        return [*out, self.close()]

    def close(self) -> str:
        """The server's own end."""
        self.is_closed = True
        return f"<close xmlns='{ns.FRAMING}'/>" if self._websocket else "</stream:stream>"

    def _stream_namespace(self) -> str:
        return f" xmlns:stream='{ns.STREAMS}'" if self._websocket else ""


def sasl_failure(condition: str, detail: str = "") -> str:
    """RFC 6120 section 6.5."""
    told = f"<text>{text(detail)}</text>" if detail else ""
    return f"<failure xmlns='{ns.SASL}'><{condition}/>{told}</failure>"


def sasl(name: str, encoded: str = "") -> str:
    """``challenge`` or ``success``, with base64 content."""
    return f"<{name} xmlns='{ns.SASL}'>{encoded}</{name}>"


def proceed() -> str:
    """STARTTLS may begin (RFC 6120 section 5.4.2.3)."""
    return f"<proceed xmlns='{ns.TLS}'/>"
