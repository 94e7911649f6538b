"""The files of the ``web`` package: the chat page and its scripts."""

from importlib.resources import files
from pathlib import PurePath

from tornado.web import HTTPError, StaticFileHandler

from handlers.hygiene import QuietErrors

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data: https:; "
    "object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)
SERVED = frozenset(
    {".css", ".gif", ".html", ".ico", ".jpg", ".js", ".json", ".map", ".mjs", ".png", ".svg"}
    | {".txt", ".webmanifest", ".webp", ".woff2"}
)
"""Suffixes of what is a page's; anything else in the package (Python) is not there."""


def web_directory() -> str:
    """Where the package's files are, in a checkout and in an installed wheel."""
    # By way of a file: a package without __init__.py has no directory of its own to name.
    return str(PurePath(str(files("web") / "index.html")).parent)


class Page(QuietErrors, StaticFileHandler):
    """``/`` and the files beside it. Browsers ask each time whether theirs is still the same."""

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.set_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cross-Origin-Opener-Policy", "same-origin")
        self.set_header("Cache-Control", "no-cache")

    def validate_absolute_path(self, root: str, absolute_path: str) -> str | None:
        """Raises ``HTTPError`` 403 and 404 as Tornado does, and 404 for what is no page's."""
        path = super().validate_absolute_path(root, absolute_path)
        hidden = any(part.startswith((".", "_")) for part in PurePath(self.path).parts)
        if path is not None and (hidden or PurePath(path).suffix.lower() not in SERVED):
            raise HTTPError(404)
        return path

    def set_extra_headers(self, path: str) -> None:
        """Text is UTF-8, which Tornado leaves unsaid."""
        kind = self.get_content_type()
        if kind.startswith("text/") or kind in ("application/javascript", "application/json"):
            self.set_header("Content-Type", f"{kind}; charset=utf-8")

    def write_error(self, status_code: int, **kwargs: object) -> None:
        """One plain line."""
        if status_code == 405:
            self.set_header("Allow", "GET, HEAD")
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code}\n")
