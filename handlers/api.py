"""HTTP calls as typed methods: what :func:`endpoint` and :class:`ApiHandler` make of annotations.

A handler's method says what it takes and gives, and is checked against nothing else::

    class GroupMember(ApiHandler):
        @endpoint("no-such-user", status=201)
        async def post(self, gid: int, query: Paging, body: Invited) -> MemberView:
            "Summary for the OpenAPI document."

``body`` and ``query`` are msgspec structs, every other argument is in the path: an id, or a name
where it is ``str``. None as a result is 204, :class:`Streamed` one that is written in pieces.
Errors leave as ``application/problem+json`` (RFC 9457); ``handlers/openapi.py`` writes the OpenAPI
document from the same :class:`Endpoint` s.
"""

import functools
import inspect
import json
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from tornado.httputil import HTTPServerRequest
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler

from handlers.hygiene import QuietErrors, log
from handlers.origin import check_origin, cors_headers
from server.errors import ChatError, Slug, StorageAway
from server.model import MAX_ID
from server.services import Services
from server.tokens import Identity

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
T = TypeVar("T")
METHODS = ("get", "post", "put", "patch", "delete")

NOBODY = Identity(0, "")

_DIGITS = re.compile(r"[0-9]{1,16}", re.ASCII)
NAME = "[A-Za-z0-9._~-]{1,128}"
"""What a name in a path may be: nothing that would have to be escaped there."""
_NAME = re.compile(NAME, re.ASCII)
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,4096}", re.ASCII)


class Input(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Base of request bodies: a field that is not known is refused rather than ignored."""


class Problem(msgspec.Struct, omit_defaults=True):
    """What went wrong, RFC 9457. ``errors``: field → what is wrong with it."""

    type: str
    title: str
    status: int
    detail: str = ""
    errors: dict[str, str] = {}


def ascii_id(text: str) -> int | None:
    """A decimal id; None for whatever else ``int()`` takes (``10_000``, ``+1``, full-width)."""
    if _DIGITS.fullmatch(text) and (value := int(text)) <= MAX_ID:
        return value
    return None


def parse_json(raw: bytes) -> object:
    """JSON as RFC 8259 means it, ``1.0`` being an integer. Raises ``bad-json``, for duplicate keys
    too."""
    try:
        msgspec.json.decode(raw)  # refuses more than json does: NaN, lone surrogates, 1e400
        value: object = json.loads(
            raw, object_pairs_hook=_without_duplicates, parse_float=_integer_or_float
        )
    except (ValueError, RecursionError) as error:
        raise ChatError("bad-json", "the body is not well-formed JSON") from error
    return value


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        raise ValueError("a key comes twice")
    return keys


def _integer_or_float(text: str) -> float:
    value = float(text)
    return int(value) if value.is_integer() and abs(value) <= MAX_ID else value


def read_fields(kind: Any, values: Mapping[str, object]) -> Any:
    """``values`` as the struct ``kind``. Raises ``invalid``, naming every wrong field."""
    wrong: dict[str, str] = {}
    fields = msgspec.structs.fields(kind)
    for field in fields:
        if field.encode_name not in values:
            if field.required:
                wrong[field.encode_name] = "is missing"
            continue
        try:
            msgspec.convert(values[field.encode_name], field.type)
        except msgspec.ValidationError as error:
            wrong[field.encode_name] = str(error)
    if kind.__struct_config__.forbid_unknown_fields:
        for name in values.keys() - {field.encode_name for field in fields}:
            wrong[name] = "is not a field of this call"
    if wrong:
        raise ChatError("invalid", "some fields are wrong", fields=wrong)
    return msgspec.convert(values, kind)


def read_body(kind: Any, raw: bytes, content_type: str) -> Any:
    """A request's body; an empty one is ``{}`` where no field is required.

    Raises ``bad-json`` or ``invalid``, and ``HTTPError`` 415 for anything but JSON, which also
    keeps out what an HTML form of a foreign page can send.
    """
    if not raw and not any(field.required for field in msgspec.structs.fields(kind)):
        return kind()
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise HTTPError(415, "Content-Type must be application/json")
    values = parse_json(raw)
    if not isinstance(values, dict):
        raise ChatError("invalid", "the body must be an object")
    return read_fields(kind, values)


def read_query(kind: Any, arguments: Mapping[str, list[bytes]]) -> Any:
    """A query string's fields; blank optional ones count as left out. Raises ``invalid``."""
    values: dict[str, object] = {}
    for field in msgspec.structs.fields(kind):
        given = arguments.get(field.encode_name, [])
        if not given or (given == [b""] and not field.required):
            continue
        try:
            (text,) = (value.decode() for value in given)
        except ValueError as error:
            fields = {field.encode_name: "must come once, as UTF-8"}
            raise ChatError("invalid", "some fields are wrong", fields=fields) from error
        number = None if _takes_text(field.type) else ascii_id(text)
        values[field.encode_name] = text if number is None else number
    return read_fields(kind, values)


def _takes_text(kind: Any) -> bool:
    return kind is str or str in get_args(kind)


class Streamed(Generic[T]):
    """The JSON of a ``T``, piece by piece: each is sent before the next one is asked for."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self.pieces = pieces


class Endpoint:
    """What one HTTP method of one handler takes and gives."""

    def __init__(
        self,
        method: Callable[..., Awaitable[object]],
        *,
        status: int,
        public: bool,
        media: str,
        errors: tuple[Slug, ...],
    ) -> None:
        hints = get_type_hints(method, include_extras=True)
        self.result: Any = hints.pop("return")
        self.body: Any = hints.pop("body", None)
        self.query: Any = hints.pop("query", None)
        self.path = hints
        self.streams = get_origin(self.result) is Streamed
        if self.streams:
            (self.result,) = get_args(self.result)
        self.status = 204 if self.result is type(None) else status
        self.public = public
        self.media = media
        self.errors = errors
        text = inspect.getdoc(method) or ""
        self.summary, _, self.description = (part.strip() for part in text.partition("\n"))

    def read(self, request: HTTPServerRequest, path: Mapping[str, str]) -> dict[str, Any]:
        """The method's arguments. Raises ``not-found`` for a malformed id or name in the path."""
        arguments: dict[str, Any] = {}
        for name, kind in self.path.items():
            text = path[name]
            value = (text if _NAME.fullmatch(text) else None) if kind is str else ascii_id(text)
            if value is None:
                raise ChatError("not-found")
            arguments[name] = value
        if self.query is not None:
            arguments["query"] = read_query(self.query, request.query_arguments)
        if self.body is not None:
            content_type = request.headers.get("Content-Type", "")
            arguments["body"] = read_body(self.body, request.body, content_type)
        return arguments


def endpoint(
    *errors: Slug, status: int = 200, public: bool = False, media: str = JSON
) -> Callable[[Callable[..., Awaitable[object]]], Callable[..., Awaitable[None]]]:
    """Makes an HTTP method of a handler's coroutine; see the module's text.

    ``errors`` are told to the reader of the OpenAPI document beside those that any call can have.
    ``public``: without a token. ``media``: where it is not JSON, the result is str or bytes.
    """

    def declare(method: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[None]]:
        declared = Endpoint(method, status=status, public=public, media=media, errors=errors)

        @functools.wraps(method)
        async def run(self: "ApiHandler", **path: str) -> None:
            if not declared.public:
                self.identity = await self.authenticate()
            result: Any = await method(self, **declared.read(self.request, path))
            self.set_status(declared.status)
            if declared.status != 204:
                self.set_header("Content-Type", declared.media)
                if declared.streams:
                    await self.stream(result)
                    return
                self.write(msgspec.json.encode(result) if declared.media == JSON else result)

        run.__dict__["endpoint"] = declared
        return run

    return declare


def endpoints(handler: type[RequestHandler]) -> dict[str, Endpoint]:
    """HTTP method in lower case → what it takes and gives."""
    found = {method: getattr(getattr(handler, method), "endpoint", None) for method in METHODS}
    return {method: one for method, one in found.items() if one is not None}


class ApiHandler(QuietErrors):
    """Base of the HTTP calls: origin, token, typed arguments in, JSON or a problem out."""

    any_origin = False
    """Whether pages of all origins may read the answer; only for what is public anyway."""

    def initialize(self, services: Services) -> None:
        self.services = services
        self.identity = NOBODY
        self._origin_passed = False

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")

    def prepare(self) -> None:
        """Refuses pages of foreign origins before anything is read."""
        if not self.any_origin:
            check_origin(self)
        self._origin_passed = True
        self._set_cors_headers()

    async def authenticate(self) -> Identity:
        """Whose access token the request carries. Raises ``not-logged-in``."""
        given = self.request.headers.get_list("Authorization")
        if len(given) != 1:
            raise ChatError("not-logged-in", "this call needs an access token")
        scheme, _, token = given[0].strip().partition(" ")
        if scheme.lower() != "bearer" or not _TOKEN.fullmatch(token.strip()):
            raise ChatError("not-logged-in", "this call needs an access token")
        return await self.services.tokens.verify(token.strip())

    @property
    def address(self) -> str:
        """Where the request came from, for rate limits and the list of sessions."""
        return str(self.request.remote_ip)

    @property
    def device(self) -> str:
        """What the client calls itself, for the list of sessions."""
        agent = self.request.headers.get("User-Agent", "")
        return "".join(filter(str.isprintable, agent))[:100]

    async def stream(self, result: Streamed[Any]) -> None:
        """Writes an answer in pieces. When it fails in the middle, it is cut off for all to see."""
        try:
            async for piece in result.pieces:
                self.write(piece)
                await self.flush()
        except StreamClosedError:
            log.debug("http_reader_gone path=%r", self.request.path)
        except StorageAway as error:
            if not self._headers_written:
                raise
            log.warning("http_answer_cut path=%r reason=%s", self.request.path, error)
            self.detach().close()

    async def head(self, **path: str) -> None:
        """GET without the body, which Tornado leaves out."""
        await self.get(**path)  # type: ignore[misc]

    def options(self, **path: str) -> None:
        """What can be done here; also a browser's question before it uses a token (preflight)."""
        self.set_status(204)
        self.set_header("Allow", ", ".join(self._allowed_methods()))

    def compute_etag(self) -> None:
        """Nothing here is cached."""

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Whatever was raised, as a problem. Details of our own bugs stay in the log."""
        error: object = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, StorageAway):
            error = ChatError("storage-away", "the storage does not answer; try again later")
        elif not isinstance(error, ChatError) and status_code == 500:
            error = ChatError("internal-error", "this is a fault of the server; it has been logged")
        if isinstance(error, ChatError):
            problem = _told(error)
            self.services.metrics.error(error.slug)
            if error.retry_after is not None:
                self.set_header("Retry-After", str(max(1, math.ceil(error.retry_after))))
        else:
            detail = error.get_message() if isinstance(error, HTTPError) else None
            title = HTTPStatus(status_code).phrase
            problem = Problem("about:blank", title, status_code, detail or "")
        self.set_status(problem.status)
        if problem.status == 401:
            self.set_header("WWW-Authenticate", 'Bearer realm="tandem"')
        if problem.status == 405:
            self.set_header("Allow", ", ".join(self._allowed_methods()))
        if self._origin_passed:
            self._set_cors_headers()
        self.set_header("Content-Type", PROBLEM_JSON)
        self.finish(msgspec.json.encode(problem))

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Adds the two expected exceptions of ours to Tornado's own."""
        if isinstance(value, ChatError):
            log.debug("http_refused path=%r slug=%s", self.request.path, value.slug)
        elif isinstance(value, StorageAway):
            log.warning("http_storage_away path=%r reason=%s", self.request.path, value)
        else:
            super().log_exception(typ, value, tb)

    def _allowed_methods(self) -> list[str]:
        methods = list(endpoints(type(self)))
        return [name.upper() for name in [*methods, *["head"] * ("get" in methods), "options"]]

    def _set_cors_headers(self) -> None:
        if self.any_origin:
            self.set_header("Access-Control-Allow-Origin", "*")
            return
        for name, value in cors_headers(self, self._allowed_methods()).get_all():
            self.set_header(name, value)


def _told(error: ChatError) -> Problem:
    return Problem(
        type=f"/problems/{error.slug}",
        title=error.condition.title,
        status=error.status,
        detail=error.detail,
        errors=dict(error.fields or {}),
    )


class NoSuchCall(ApiHandler):
    """Every path under ``/api`` that is none."""

    def prepare(self) -> None:
        super().prepare()
        raise ChatError("not-found", "there is no such call; /api/openapi.json lists them")
