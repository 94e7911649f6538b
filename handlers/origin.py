"""Which web pages may talk to us (RFC 6454): our own, and those of ``http.allowed_origins``.

A browser says in ``Origin`` whose page makes a request. Our own origin is ``http.public_url``;
where that is empty, it is the request's Host, but only a loopback one: any name can be made to
resolve to 127.0.0.1 (DNS rebinding), and the page of such a name would otherwise pass as our own.
"""

import ipaddress
import re
from collections.abc import Collection, Sequence

from tornado.httputil import HTTPHeaders
from tornado.web import HTTPError, RequestHandler

from server.services import Services

_ORIGIN = re.compile(
    r"([a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", re.IGNORECASE
)
_HOST = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", re.IGNORECASE)
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def normal_origin(text: str) -> str | None:
    """``scheme://host[:port]`` in lower case without a default port; None for anything else."""
    match = _ORIGIN.fullmatch(text)
    if match is None:
        return None
    scheme, host, port = match[1].lower(), match[2].lower(), match[3]
    if port is None or port == _DEFAULT_PORTS.get(scheme):
        return f"{scheme}://{host}"
    return f"{scheme}://{host}:{port}"


def is_host(host: str) -> bool:
    """Whether a Host header is a plain ``name[:port]``."""
    return _HOST.fullmatch(host) is not None


def is_loopback(host: str) -> bool:
    """Whether a Host header names this machine: ``localhost``, ``127.x.x.x`` or ``[::1]``."""
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = match[1].lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def own_origin(public_url: str, scheme: str, host: str) -> str | None:
    """The service's own origin; None where the Host cannot be trusted to be ours."""
    if public_url:
        return normal_origin(public_url.rstrip("/"))
    return normal_origin(f"{scheme}://{host}") if is_loopback(host) else None


def why_refused(
    origins: Sequence[str],
    *,
    from_browser: bool,
    scheme: str,
    host: str,
    public_url: str,
    allowed: Collection[str],
) -> str | None:
    """Why a request must not be served, or None.

    ``origins``: its Origin headers. ``from_browser``: it carries ``Sec-Fetch-*``, so a browser
    made it even where it left ``Origin`` out, as for a same-origin GET. ``scheme`` and ``host``:
    how it reached us. What ``Sec-Fetch-Site`` claims does not count: a page under a rebound name
    is ``same-origin`` too.
    """
    if not origins and not from_browser:
        return None
    own = own_origin(public_url, scheme, host)
    if not origins:
        return None if own else "this host name is not ours; set http.public_url"
    if len(origins) > 1:
        return "more than one origin"
    origin = normal_origin(origins[0])
    if origin is None:
        return "not the origin of a page"
    if origin == own or origin in {normal_origin(one.rstrip("/")) for one in allowed}:
        return None
    return "pages of this origin are not allowed here"


def check_origin(handler: RequestHandler) -> None:
    """Raises ``HTTPError`` 403 for a request made by a page that may not. Call it in ``prepare``.

    Tornado's own check comes too late, skips requests that say ``Sec-Fetch-Site: same-origin``
    and trusts any Host.
    """
    request = handler.request
    services: Services = handler.settings["services"]
    http = services.settings.http
    reason = why_refused(
        request.headers.get_list("Origin"),
        from_browser=any(name.startswith("Sec-Fetch-") for name in request.headers),
        scheme=request.protocol,
        host=request.host,
        public_url=http.public_url,
        allowed=http.allowed_origins,
    )
    if reason is not None:
        raise HTTPError(403, reason)


def cors_headers(handler: RequestHandler, methods: Collection[str]) -> HTTPHeaders:
    """What lets a page of an allowed foreign origin use the answer (Fetch standard, section 3.3).

    Only for requests that passed :func:`check_origin`; empty for those without ``Origin``.
    """
    headers = HTTPHeaders({"Vary": "Origin"})
    if origin := handler.request.headers.get("Origin"):
        headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Expose-Headers"] = "Retry-After"
        if handler.request.method == "OPTIONS":
            headers["Access-Control-Allow-Methods"] = ", ".join(methods)
            headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
            headers["Access-Control-Max-Age"] = "600"
    return headers
