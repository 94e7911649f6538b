"""What happens to a request before its handler: ``handlers/http.py``."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine
from tornado.web import RequestHandler

from handlers.http import ROUTES, TandemApplication, TooLong, make_application
from server.services import Services


def services(*trusted_proxies: str) -> Services:
    """As much of a node as routing looks at."""
    http = SimpleNamespace(trusted_proxies=trusted_proxies)
    settings = SimpleNamespace(http=http, limits=SimpleNamespace(http_body_bytes=100))
    return cast(Services, SimpleNamespace(settings=settings))


def request(peer: str = "127.0.0.1", path: str = "/", **headers: str) -> HTTPServerRequest:
    """A request that came from ``peer``; ``_`` in a header's name is ``-``."""
    context = SimpleNamespace(remote_ip=peer, protocol="http")
    fields = HTTPHeaders({"Host": "localhost"})
    for name, value in headers.items():
        fields.add(name.replace("_", "-"), value)
    connection: Any = SimpleNamespace(context=context)
    start = RequestStartLine("POST", path, "HTTP/1.1")
    return HTTPServerRequest(headers=fields, connection=connection, start_line=start)


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),
    ],
)
def test_address_behind_proxy_is_the_last_one_not_ours(
    peer: str, forwarded: str, address: str
) -> None:
    """Only a trusted proxy is believed, and only about whom it saw itself."""
    application = TandemApplication(services("10.0.0.0/24"), [])
    incoming = request(peer, X_Forwarded_For=forwarded, X_Real_Ip="192.0.2.1")
    application.find_handler(incoming)
    assert incoming.remote_ip == address


@pytest.mark.parametrize(("peer", "scheme"), [("10.0.0.1", "https"), ("10.0.1.1", "http")])
def test_scheme_behind_proxy_is_the_proxys_word(peer: str, scheme: str) -> None:
    """Whoever is not a trusted proxy cannot make a plain request look like TLS."""
    application = TandemApplication(services("10.0.0.1"), [])
    incoming = request(peer, X_Forwarded_Proto="https")
    application.find_handler(incoming)
    assert incoming.protocol == scheme


@pytest.mark.parametrize(
    ("length", "refused"), [("100", False), ("101", True), ("9" * 30, True), ("x", False)]
)
def test_body_over_the_limit_is_refused_by_its_header(length: str, refused: bool) -> None:
    """413 needs no byte of the body; what is no number is left to Tornado's parser."""
    application = TandemApplication(services(), [])
    delegate = application.find_handler(request(path="/api/login", Content_Length=length))
    assert (delegate.handler_class is TooLong) is refused


@pytest.mark.parametrize(("path", "handler"), ROUTES)
def test_every_route_leads_to_its_handler(path: str, handler: type[RequestHandler]) -> None:
    """No row of the table is hidden by another one."""
    delegate = cast(Any, make_application(services())).find_handler(
        request(path=path.replace("{gid}", "10001").replace("{id}", "10002"))
    )
    assert delegate.handler_class is handler
