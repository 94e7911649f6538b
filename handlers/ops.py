"""What machines ask: liveness, metrics, the OpenAPI document, where the WebSocket is."""

from html import escape
from typing import Any

import msgspec
from tornado.web import HTTPError

from handlers.api import JSON, ApiHandler, endpoint
from handlers.origin import is_host
from server.errors import ChatError
from server.metrics import CONTENT_TYPE

WEBSOCKET_REL = "urn:xmpp:alt-connections:websocket"


class State(msgspec.Struct):
    """``status``: ``ok``."""

    status: str


class Link(msgspec.Struct):
    """One of RFC 6415's links."""

    rel: str
    href: str


class HostMeta(msgspec.Struct):
    """Ways to connect, XEP-0156 section 3."""

    links: list[Link]


class Live(ApiHandler):
    """``/livez``"""

    @endpoint(public=True)
    async def get(self) -> State:
        """Whether the process answers at all."""
        return State("ok")


class Ready(ApiHandler):
    """``/readyz``"""

    @endpoint("stopping", "storage-away", public=True)
    async def get(self) -> State:
        """Whether new clients should be sent here: not while stopping or without storage."""
        if self.services.draining:
            raise ChatError("stopping")
        if not await self.services.store.is_up():
            raise ChatError("storage-away", "the storage does not answer")
        return State("ok")


class MetricsPage(ApiHandler):
    """``/metrics``"""

    @endpoint(public=True, media=CONTENT_TYPE)
    async def get(self) -> bytes:
        """Counters in Prometheus' text format, of all workers where there are several."""
        siblings = self.services.siblings
        return self.services.metrics.render() if siblings is None else await siblings.metrics()


class OpenApi(ApiHandler):
    """``/api/openapi.json``"""

    @endpoint(public=True)
    async def get(self) -> dict[str, Any]:
        """This document."""
        document: dict[str, Any] = self.settings["openapi"]
        return document


class HostMetaJson(ApiHandler):
    """``/.well-known/host-meta.json``"""

    any_origin = True

    @endpoint(public=True, media=JSON)
    async def get(self) -> HostMeta:
        """Where XMPP's WebSocket is, as JSON (XEP-0156)."""
        return HostMeta([Link(WEBSOCKET_REL, websocket_address(self))])


class HostMetaXml(ApiHandler):
    """``/.well-known/host-meta``"""

    any_origin = True

    @endpoint(public=True, media="application/xrd+xml; charset=utf-8")
    async def get(self) -> str:
        """Where XMPP's WebSocket is, as XML (XEP-0156)."""
        return (
            "<?xml version='1.0' encoding='utf-8'?>\n"
            "<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>"
            f"<Link rel='{WEBSOCKET_REL}' href='{escape(websocket_address(self))}'/>"
            "</XRD>\n"
        )


def websocket_address(handler: ApiHandler) -> str:
    """``ws(s)://…/xmpp-websocket`` under the public address, else as the request came."""
    base = handler.services.settings.http.public_url.rstrip("/")
    if not base:
        request = handler.request
        if not is_host(request.host):
            raise HTTPError(400, "no such host name")
        base = f"{request.protocol}://{request.host}"
    return f"ws{base.removeprefix('http')}/xmpp-websocket"
