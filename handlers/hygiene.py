"""Keeps secrets out of the log: tokens travel in query strings, and Tornado likes to log those.

Tornado would write the query in the access line, for a refused handshake and for an uncaught
exception. The first is :func:`log_request` instead, the others are :class:`QuietErrors`;
:func:`install_log_hygiene` is the net below both, for whatever else writes a line.
"""

import logging
import re
from types import TracebackType

from tornado.web import HTTPError, RequestHandler

log = logging.getLogger(__name__)

_SECRET = re.compile(
    r"""((?:\b(?:token|refresh_token|access_token|ticket|password)["']?\s*[=:]\s*["']?)"""
    r"""|\bbearer\s+)[^\s&"',;)}]+""",
    re.IGNORECASE,
)
_JWT = re.compile(r"\beyJ[\w-]*\.[\w-]*\.[\w-]*")
_FILE = re.compile(r"(/files/)[^\s\"']+")
"""Whoever knows a file's address may read it, and its name is what somebody wrote."""

TORNADO_LOGGERS = ("tornado.access", "tornado.application", "tornado.general")


def redact(text: str) -> str:
    """``text`` with what looks like a token, ticket, password or file replaced by ``***``."""
    return _FILE.sub(r"\1***", _JWT.sub("***", _SECRET.sub(r"\1***", text)))


class _Redactor(logging.Filter):
    """Rewrites a record's message and traceback; lets every record pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if (clean := redact(message)) != message:
            record.msg, record.args = clean, ()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        return True


def install_log_hygiene() -> None:
    """Redacts all that Tornado, asyncio and the root logger's present handlers write. Idempotent.

    Call it after logging is configured.
    """
    places: list[logging.Filterer] = [*logging.getLogger().handlers]
    places += [logging.getLogger(name) for name in (*TORNADO_LOGGERS, "asyncio")]
    for place in places:
        if not any(isinstance(present, _Redactor) for present in place.filters):
            place.addFilter(_Redactor())


def log_request(handler: RequestHandler) -> None:
    """The access line: method, path without query, status, milliseconds."""
    status = handler.get_status()
    log.log(
        logging.WARNING if status >= 500 else logging.DEBUG,
        "http_request method=%r path=%r status=%d ms=%.1f",
        handler.request.method,
        handler.request.path,
        status,
        1000 * handler.request.request_time(),
    )


class QuietErrors(RequestHandler):
    """Base of all handlers: exceptions are logged without the query, refusals at debug."""

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """An ``HTTPError`` is the peer's mistake; anything else is ours and gets a traceback."""
        request = self.request
        if isinstance(value, HTTPError):
            log.debug(
                "http_refused method=%r path=%r status=%d reason=%r",
                request.method,
                request.path,
                value.status_code,
                value.get_message(),
            )
            return
        log.error(
            "http_failed method=%r path=%r",
            request.method,
            request.path,
            exc_info=(typ, value, tb) if typ and value else None,
        )
