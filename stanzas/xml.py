"""Reading XML from clients, hardened: RFC 6120 section 11.1 forbids comments, processing
instructions, DTDs and entities, and here nothing is read beyond its bounds.

Every way in goes through this module, and only lxml ever sees client bytes.
"""

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from lxml import etree

Element: TypeAlias = Any
"""An lxml element; lxml has no types."""

SLICE_BYTES = 4096
_DECLARATION = re.compile(rb"\s*<\?xml[^>]*\?>")
_UNFINISHED = re.compile(rb"\s*<\?xml[^>]*")
_ENCODING = re.compile(rb"""encoding\s*=\s*["']([^"']*)["']""")


class XmlError(Exception):
    """What a peer sent cannot be taken: a stream error condition of RFC 6120 section 4.9.3.

    ``more``: an element that says more than the condition (RFC 6120 section 4.9.4).
    """

    def __init__(self, condition: str, text: str = "", more: str = "") -> None:
        super().__init__(text or condition)
        self.condition = condition
        self.more = more


@dataclass(frozen=True)
class Bounds:
    """How much one stanza may be: bytes, nested elements, elements in all (0: any number)."""

    max_bytes: int
    max_depth: int
    max_elements: int = 0


def _parser_settings() -> dict[str, Any]:
    return {
        "resolve_entities": False,
        "no_network": True,
        "load_dtd": False,
        "huge_tree": False,
        "collect_ids": False,
    }


_MARKS = (b"<!", b"<?", b"&", b"\0")
_DOCUMENTS = etree.XMLParser(**_parser_settings())


def parse_document(data: bytes, bounds: Bounds) -> Element:
    """One whole document, as RFC 7395 frames them. Raises :class:`XmlError`."""
    if len(data) > bounds.max_bytes:
        raise XmlError("policy-violation", "stanza is too large")
    # Neither doctype, comment, instruction nor entity; nor another encoding than UTF-8.
    is_plain = data[:1] == b"<" and not any(mark in data for mark in _MARKS)
    if not is_plain:
        _check_encoding(data)
    try:
        root = etree.fromstring(data, _DOCUMENTS)
    except etree.XMLSyntaxError as error:
        raise _explain(str(error)) from None
    except ValueError:
        raise XmlError("not-well-formed") from None
    if is_plain and data.count(b"<") <= min(bounds.max_depth, bounds.max_elements or 64):
        return root  # there are too few tags for too much depth
    if root.getroottree().docinfo.doctype or root.getprevious() is not None:
        raise XmlError("restricted-xml")
    if root.getnext() is not None:
        raise XmlError("restricted-xml")
    depth = count = 0
    for event, element in etree.iterwalk(root, events=("start", "end", "comment", "pi")):
        if event == "start":
            depth, count = depth + 1, count + 1
            _check_element(element)
            _check_bounds(bounds, depth, count)
        elif event == "end":
            depth -= 1
        else:
            raise XmlError("restricted-xml")
        if event == "start" and any(child.tag is etree.Entity for child in element):
            raise XmlError("restricted-xml", "entity reference")
    return root


class StreamParser:
    """The one long document of a TCP stream: ``feed`` bytes, take what is complete.

    Yields ``("open", root)`` once, ``("stanza", element)`` for each child of the root and
    ``("close", root)``. Raises :class:`XmlError` behind what was complete before the mistake.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self._parser = etree.XMLPullParser(
            events=("start", "end", "comment", "pi"), **_parser_settings()
        )
        self._root: Element | None = None
        self._depth = 0
        self._count = 0
        self._bytes = 0
        self._head = b""

    def feed(self, data: bytes) -> Iterator[tuple[str, Element]]:
        if self._root is None:
            self._look_at_head(data)
        for at in range(0, len(data), SLICE_BYTES):
            part = data[at : at + SLICE_BYTES]
            self._bytes += len(part)
            failure: XmlError | None = None
            try:
                self._parser.feed(part)
            except etree.XMLSyntaxError as error:
                failure = _explain(str(error))
            if failure is None and len(self._parser.feed_error_log):
                # libxml2 stops at some mistakes without saying so before the next feed.
                mistakes = self._parser.feed_error_log.filter_from_errors()
                failure = _explain(mistakes[0].message) if len(mistakes) else None
            for event in self._events():
                if failure is not None and event[0] == "stanza" and not _is_sound(event[1]):
                    break
                yield event
            if failure is not None:
                raise failure
            self._forget_whitespace()
            if self._bytes > self.bounds.max_bytes:
                raise XmlError("policy-violation", "stanza is too large")

    def _look_at_head(self, data: bytes) -> None:
        """Only UTF-8 is allowed (RFC 6120 section 11.6), whatever libxml2 could decode."""
        if len(self._head) < 256:
            self._head = (self._head + data)[:256]
            _check_encoding(self._head)
            if len(self._head) == 256 and _UNFINISHED.fullmatch(self._head):
                raise XmlError("policy-violation", "XML declaration is too long")

    def _events(self) -> Iterator[tuple[str, Element]]:
        for event, element in self._parser.read_events():
            if event == "start":
                self._depth += 1
                self._count += 1
                _check_element(element)
                _check_bounds(self.bounds, self._depth - 1, self._count)
                if self._depth == 1:
                    if element.getroottree().docinfo.doctype:
                        raise XmlError("restricted-xml")
                    self._root = element
                    self._count = self._bytes = 0
                    yield "open", element
                elif self._depth == 2:
                    self._forget_before(element)
            elif event == "end":
                self._depth -= 1
                if any(child.tag is etree.Entity for child in element):
                    raise XmlError("restricted-xml", "entity reference")
                if self._depth == 1:
                    self._count = self._bytes = 0
                    yield "stanza", element
                elif self._depth == 0:
                    yield "close", element
            else:
                raise XmlError("restricted-xml")

    def _forget_before(self, element: Element) -> None:
        """Finished stanzas leave the tree, so that a stream of years stays small."""
        root = element.getparent()
        if root is not None:
            _check_between(root.text)
            root.text = None
            for old in list(root)[: root.index(element)]:
                _check_between(old.tail)
                root.remove(old)

    def _forget_whitespace(self) -> None:
        """Whitespace between stanzas keeps the connection alive: it neither counts nor stays."""
        root = self._root
        if root is None or self._depth != 1:
            return
        last = root[-1] if len(root) else None
        between = root.text if last is None else last.tail
        if between:
            _check_between(between)
            self._bytes = max(0, self._bytes - len(between))
            if last is None:
                root.text = None
            else:
                last.tail = None


def _check_between(text: str | None) -> None:
    if text and not text.isspace():
        raise XmlError("bad-format", "text between stanzas")


def _is_sound(element: Element) -> bool:
    """libxml2 goes on behind mistakes with namespaces: it is not to be passed on with them."""
    try:
        etree.fromstring(etree.tostring(element), etree.XMLParser(**_parser_settings()))
    except etree.XMLSyntaxError:
        return False
    return True


def _check_encoding(data: bytes) -> None:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data[:4]:
        raise XmlError("unsupported-encoding")
    declaration = _DECLARATION.match(data)
    named = _ENCODING.search(declaration[0]) if declaration else None
    if named and named[1].upper() not in (b"UTF-8", b"UTF8"):
        raise XmlError("unsupported-encoding")


def _check_element(element: Element) -> None:
    """libxml2 lets an unbound prefix pass as part of the name."""
    tag = element.tag
    if not isinstance(tag, str):
        raise XmlError("restricted-xml")
    if ":" in tag and not tag.startswith("{"):
        raise XmlError("bad-namespace-prefix")
    for name in element.attrib:
        if ":" in name and not name.startswith("{"):
            raise XmlError("bad-namespace-prefix")


def _check_bounds(bounds: Bounds, depth: int, count: int) -> None:
    if depth > bounds.max_depth:
        raise XmlError("policy-violation", "nested too deep")
    if bounds.max_elements and count > bounds.max_elements:
        raise XmlError("policy-violation", "too many elements")


def _explain(text: str) -> XmlError:
    if "Excessive depth" in text or "huge" in text.lower():
        return XmlError("policy-violation", "too large")
    if "Namespace prefix" in text:
        return XmlError("bad-namespace-prefix")
    return XmlError("not-well-formed")


_ESCAPES = {
    ord("&"): "&amp;",
    ord("<"): "&lt;",
    ord(">"): "&gt;",
    ord('"'): "&quot;",
    ord("'"): "&apos;",
}
_ATTRIBUTE_ESCAPES = {**_ESCAPES, 9: "&#9;", 10: "&#10;", 13: "&#13;"}


_TO_ESCAPE = re.compile("[&<>\"'\t\n\r]")


def text(value: str) -> str:
    """Character data; ``value`` must be of XML characters."""
    return value.translate(_ESCAPES) if _TO_ESCAPE.search(value) else value


def attribute(value: str) -> str:
    """The inside of an attribute value."""
    return value.translate(_ATTRIBUTE_ESCAPES) if _TO_ESCAPE.search(value) else value


def serialise(element: Element) -> str:
    """An element alone, with no more namespaces than it needs."""
    alone = copy.deepcopy(element)  # without what its ancestors declare and it does not use
    return etree.tostring(alone, encoding="unicode", with_tail=False)
