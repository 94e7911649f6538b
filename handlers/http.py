"""The URL table, and the HTTP server under it with its limits and TLS."""

import ipaddress
import logging
import re
import ssl
from collections.abc import Sequence
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.netutil import bind_sockets
from tornado.web import Application, stream_request_body

from handlers import (
    account,
    contacts,
    groups,
    history,
    invitations,
    login,
    ops,
    profile,
    search,
    uploads,
)
from handlers.api import ApiHandler, NoSuchCall
from handlers.chat import ChatHandler
from handlers.examples import EXAMPLES
from handlers.files import FileHandler
from handlers.hygiene import log_request
from handlers.openapi import Route, describe
from handlers.pages import Page
from handlers.xmpp_socket import XmppSocketHandler
from server import __version__
from server.errors import ChatError
from server.services import Services

__all__ = ["ROUTES", "listen_http", "make_application"]

log = logging.getLogger(__name__)

BACKLOG = 4096

ROUTES: tuple[Route, ...] = (
    ("/api/register", login.Register),
    ("/api/login", login.Login),
    ("/api/token", login.Refresh),
    ("/api/logout", login.Logout),
    ("/api/ticket", login.TicketOffice),
    ("/api/me", profile.OwnProfile),
    ("/api/me/password", account.OwnPassword),
    ("/api/me/sessions", account.OwnSessions),
    ("/api/me/sessions/{sid}", account.OneSession),
    ("/api/me/app-passwords", account.OwnAppPasswords),
    ("/api/me/app-passwords/{id}", account.OneAppPassword),
    ("/api/me/xmpp", account.OwnXmpp),
    ("/api/me/export", account.OwnExport),
    ("/api/users", profile.UserSearch),
    ("/api/users/{id}", profile.UserProfile),
    ("/api/contacts", contacts.OwnContacts),
    ("/api/contacts/{id}", contacts.OneContact),
    ("/api/contacts/{id}/accept", contacts.Acceptance),
    ("/api/blocks", contacts.OwnBlocks),
    ("/api/blocks/{id}", contacts.OneBlock),
    ("/api/groups", groups.OwnGroups),
    ("/api/groups/{gid}", groups.OneGroup),
    ("/api/groups/{gid}/members", groups.GroupMembers),
    ("/api/groups/{gid}/members/{id}", groups.OneMember),
    ("/api/groups/{gid}/invitations", invitations.GroupInvitations),
    ("/api/groups/{gid}/invitations/{id}", invitations.OneInvitation),
    ("/api/groups/{gid}/requests", invitations.GroupRequests),
    ("/api/groups/{gid}/requests/{id}", invitations.OneRequest),
    ("/api/groups/{gid}/requests/{id}/accept", invitations.AcceptRequest),
    ("/api/join", invitations.Join),
    ("/api/conversations", history.Conversations),
    ("/api/messages", history.Messages),
    ("/api/receipts", history.Receipts),
    ("/api/uploads", uploads.UploadOffice),
    ("/api/search", search.MessageSearch),
    ("/api/openapi.json", ops.OpenApi),
    ("/.well-known/host-meta", ops.HostMetaXml),
    ("/.well-known/host-meta.json", ops.HostMetaJson),
    ("/livez", ops.Live),
    ("/readyz", ops.Ready),
    ("/metrics", ops.MetricsPage),
)
"""Path → its calls. The OpenAPI document is made from this table."""


class TandemApplication(Application):
    """Knows clients behind trusted proxies, and refuses bodies that are too long before reading."""

    def __init__(self, services: Services, rules: Sequence[Any], **settings: Any) -> None:
        http = services.settings.http
        self._services = services
        self._proxies = [ipaddress.ip_network(one, strict=False) for one in http.trusted_proxies]
        super().__init__(list(rules), services=services, **settings)

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """The handler of a request whose header has come, and whose body has not."""
        if self._proxies and self._is_proxy(request.remote_ip):
            self._look_behind_proxy(request)
        length = request.headers.get("Content-Length", "0")
        if request.method == "PUT" and request.path.startswith("/files/"):
            limit = self._services.settings.files.upload_bytes
        else:
            limit = self._services.settings.limits.http_body_bytes
        if len(length) > 18 or (length.isascii() and length.isdecimal() and int(length) > limit):
            return self.get_handler_delegate(request, TooLong, {"services": self._services})
        return super().find_handler(request, **kwargs)

    def _is_proxy(self, address: str | None) -> bool:
        try:
            ip = ipaddress.ip_address(address or "")
        except ValueError:
            return False
        return any(ip in network for network in self._proxies)

    def _look_behind_proxy(self, request: HTTPServerRequest) -> None:
        """Takes address and scheme from a trusted proxy's headers.

        Tornado's ``xheaders`` would believe them from anybody. The address is the last one in
        ``X-Forwarded-For`` that is not a proxy of ours: the ones before it are the client's claim.
        """
        forwarded = ",".join(request.headers.get_list("X-Forwarded-For")).split(",")
        for address in map(str.strip, reversed(forwarded)):
            if not self._is_proxy(address):
                try:
                    request.remote_ip = str(ipaddress.ip_address(address))
                except ValueError:
                    log.debug("forwarded_for_malformed proxy=%s", request.remote_ip)
                break
        scheme = request.headers.get("X-Forwarded-Proto", "").strip().lower()
        if scheme in ("http", "https"):
            request.protocol = scheme


@stream_request_body
class TooLong(ApiHandler):
    """413 for a body over its limit, of which nothing is read."""

    def prepare(self) -> None:
        raise ChatError("too-long", "the body is too long")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Tells the client not to send another request behind the unread body."""
        self.set_header("Connection", "close")
        super().write_error(status_code, **kwargs)

    def data_received(self, chunk: bytes) -> None:
        """What comes all the same is dropped."""


def make_application(services: Services) -> Application:
    """All URLs: calls, both WebSockets, the page's files."""
    given = {"services": services}
    rules = [
        # First, since thousands may come at once; Tornado tries one after the other.
        (r"/chat", ChatHandler, given),
        (r"/xmpp-websocket", XmppSocketHandler, given),
        *((_pattern(path), handler, given) for path, handler in ROUTES),
        (r"/files/(?P<key>[^/]+)/(?P<name>[^/]+)", FileHandler, given),
        (r"/(?:api|files|\.well-known|problems)(?:/.*)?", NoSuchCall, given),
        (r"/(.*)", Page, given),
    ]
    return TandemApplication(
        services,
        rules,
        openapi=describe(ROUTES, __version__, EXAMPLES),
        log_function=log_request,
        default_handler_class=NoSuchCall,
        default_handler_args=given,
        static_hash_cache=False,
        autoreload=False,
    )


def listen_http(services: Services) -> HTTPServer:
    """The HTTP server, listening as ``[http]`` says. Raises ``OSError`` where it cannot.

    The caller stops it: ``stop()``, then ``await close_all_connections()``.
    """
    http, limits = services.settings.http, services.settings.limits
    server = HTTPServer(
        make_application(services),
        ssl_options=_tls(http.tls_certificate, http.tls_key) if http.tls_certificate else None,
        decompress_request=False,
        max_header_size=limits.http_header_bytes,
        idle_connection_timeout=limits.http_header_s,
        body_timeout=limits.http_body_s,
        max_body_size=limits.http_body_bytes,
    )
    server.add_sockets(
        bind_sockets(http.port, http.address, backlog=BACKLOG, reuse_port=bool(services.worker))
    )
    return server


def _pattern(path: str) -> str:
    return re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path))


def _tls(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key or None)
    return context
