"""The chat page, its files, and the SDK for the pages of others: what ``server/assets.py`` has."""

from urllib.parse import urlsplit

from tornado.web import HTTPError

from handlers.hygiene import QuietErrors
from handlers.origin import own_origin
from server.assets import choose_encoding
from server.services import Services
from server.settings import Settings

FOR_EVER = "public, max-age=31536000, immutable"
NOTHING = "default-src 'none'; frame-ancestors 'none'"
"""The policy of what is no page."""


def content_security_policy(settings: Settings, own: str | None) -> str:
    """What the page may load and reach. ``own``: its origin, where that is known."""
    assets = settings.web.assets_url and f" {settings.web.assets_url}/assets/"
    files = settings.files.url and " {0.scheme}://{0.netloc}".format(urlsplit(settings.files.url))
    # Not all browsers take 'self' for the WebSockets of the same host.
    sockets = f" ws{own.removeprefix('http')}" if own else ""
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src 'self'{assets}",
            f"style-src 'self'{assets}",
            f"font-src 'self'{assets}",
            "worker-src 'self'",
            f"connect-src 'self'{sockets}{assets}{files}",
            f"img-src 'self' data: blob: https:{assets}{files}",
            f"media-src 'self' blob: https:{files}",
            "object-src 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "form-action 'self'",
        )
    )


class Page(QuietErrors):
    """``/`` and all files. Browsers ask each time for what has no hash in its address."""

    def initialize(self, services: Services) -> None:
        self._services = services

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.set_header("Content-Security-Policy", NOTHING)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cross-Origin-Opener-Policy", "same-origin")

    async def get(self, path: str) -> None:
        """The file behind the path as it was sent, so that each has one address of a kind."""
        path = self.request.path
        file = self._services.assets.find(path)
        if file is None:
            raise HTTPError(404)
        settings, request = self._services.settings, self.request
        own = own_origin(settings.http.public_url, request.protocol, request.host)
        self.set_header("Content-Security-Policy", content_security_policy(settings, own))
        self.set_header("Cache-Control", FOR_EVER if path.startswith("/assets/") else "no-cache")
        if path.startswith(("/assets/", "/sdk/")):
            self.set_header("Access-Control-Allow-Origin", "*")
            self.set_header("Cross-Origin-Resource-Policy", "cross-origin")
        self.set_header("Vary", "Accept-Encoding")
        encoding = choose_encoding(request.headers.get("Accept-Encoding", ""), file.encodings)
        self.set_header("Etag", f'"{file.digest}{encoding and "-"}{encoding}"')
        if self.check_etag_header():
            self.set_status(304)
            return
        self.set_header("Content-Type", file.type)
        if encoding:
            self.set_header("Content-Encoding", encoding)
        self.write(await file.encoded(encoding))

    head = get

    def write_error(self, status_code: int, **kwargs: object) -> None:
        """One plain line. A file that is not there may come with the next version."""
        if status_code == 405:
            self.set_header("Allow", "GET, HEAD")
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code}\n")
