"""The OpenAPI 3.1 document of the HTTP calls, made from their endpoints' own types.

The types give the schemas, their docstrings what each is for, ``handlers/glossary.py`` what the
fields mean, ``handlers/examples.py`` the examples. Bodies say what they take; answers say all that
they have, so whoever checks an answer against its schema finds what is not described.
"""

import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, get_args

import msgspec
from tornado.web import RequestHandler

from handlers.api import JSON, NAME, PROBLEM_JSON, ApiHandler, Endpoint, Input, Problem, endpoints
from handlers.glossary import meaning
from server.errors import CONDITIONS, Slug
from server.model import MAX_ID

Route = tuple[str, type[RequestHandler]]
"""A path with ``{name}`` for each id or name in it, and the handler of its calls."""

_REF = "#/components/schemas/{name}"

_INTRODUCTION = """\
Accounts, contacts, groups, history and files of an instant-messaging server.

Log in with `/api/login`, send the `token` of the answer as `Authorization: Bearer …`, and trade the
`refresh_token` for a new pair with `/api/token` before it ends.

Times are milliseconds since 1970 UTC. Ids are integers below 2^53, so JavaScript reads them
exactly. Errors are `application/problem+json` (RFC 9457); tell them apart by `type`. Bodies must
not have fields that are not described. Answers have exactly those that are described; a later
version may have more, so let your client ignore what it does not know.

Messages are sent and received over the WebSocket `/chat`. Files are sent to the address that
`/api/uploads` gives and read at the other one; both are opaque, and may be of another server."""


def describe(
    routes: Iterable[Route], version: str, examples: Mapping[type, object]
) -> dict[str, Any]:
    """The document as JSON values. Struct types become ``components/schemas``.

    ``examples``: of bodies and results, by type.
    """
    calls = [
        (path, handler, method, call)
        for path, handler in routes
        for method, call in endpoints(handler).items()
    ]
    kinds = {kind for *_, call in calls for kind in _kinds(call)} | {Problem}
    paths: dict[str, dict[str, Any]] = {}
    for path, handler, method, call in calls:
        operation = _operation(path, handler, method, call, examples)
        paths.setdefault(path, {})[method] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tandem",
            "version": version,
            "description": _INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "tags": [
            {"name": _tag(module), "description": _purpose(module)}
            for module in dict.fromkeys(handler.__module__ for _, handler, *_ in calls)
        ],
        "paths": paths,
        "components": {
            "schemas": _components(kinds),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "The `token` of /api/register, /api/login or /api/token.",
                }
            },
        },
    }


def _tag(module: str) -> str:
    return module.rpartition(".")[2]


def _purpose(module: str) -> str:
    """The first paragraph of its docstring; the others are for who reads the code."""
    return _markdown(sys.modules[module].__doc__).partition("\n\n")[0]


def _markdown(docstring: str | None) -> str:
    return inspect.cleandoc(docstring or "").replace("``", "`")


def _kinds(call: Endpoint) -> Iterator[type]:
    for kind in (call.body, call.result):
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            yield kind


def _components(kinds: Iterable[type]) -> dict[str, Any]:
    """The schemas of these structs and of those in them."""
    ordered = sorted(kinds, key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(ordered, ref_template=_REF)
    for kind in _with_nested(ordered):
        schema = schemas[kind.__name__]
        schema["description"] = _markdown(kind.__doc__)
        for name, field in schema["properties"].items():
            field["description"] = meaning(kind.__name__, name)
        if not issubclass(kind, Input):
            schema["additionalProperties"] = False
            schema["required"] = list(_always_there(kind))
    _state_types(schemas)
    return schemas


def _with_nested(kinds: Iterable[type]) -> set[type]:
    found: set[type] = set()
    waiting: list[Any] = list(msgspec.inspect.multi_type_info(kinds))
    while waiting:
        info = waiting.pop()
        if isinstance(info, msgspec.inspect.StructType):
            if info.cls in found:
                continue
            found.add(info.cls)
            waiting += [field.type for field in info.fields]
        for inner in ("item_type", "value_type"):
            if hasattr(info, inner):
                waiting.append(getattr(info, inner))
        waiting += getattr(info, "types", ())
    return found


def _always_there(kind: type) -> Iterator[str]:
    """The fields that no answer of this type leaves out."""
    leaves_out = kind.__struct_config__.omit_defaults  # type: ignore[attr-defined]
    for field in msgspec.structs.fields(kind):
        is_required = field.required or not leaves_out
        if is_required and msgspec.UnsetType not in get_args(field.type):
            yield field.encode_name


def _state_types(schema: Any) -> None:
    """What msgspec leaves open and generators of clients need: int64, and what enums are of."""
    if isinstance(schema, dict):
        if schema.get("type") == "integer":
            schema["format"] = "int64"
        if isinstance(schema.get("enum"), list):
            is_text = isinstance(schema["enum"][0], str)
            schema["type"] = "string" if is_text else "integer"
    for inner in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(inner, dict | list):
            _state_types(inner)


def _operation(
    path: str,
    handler: type[RequestHandler],
    method: str,
    call: Endpoint,
    examples: Mapping[type, object],
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": "_".join([method, *re.findall(r"\w+", path)]),
        "tags": [_tag(handler.__module__)],
        "summary": call.summary,
        "responses": _responses(handler, call, examples),
    }
    if call.description:
        operation["description"] = _markdown(call.description)
    if parameters := [*_path_parameters(handler, call), *_query_parameters(call)]:
        operation["parameters"] = parameters
    if call.body is not None:
        required = any(field.required for field in msgspec.structs.fields(call.body))
        operation["requestBody"] = {
            "description": _markdown(call.body.__doc__),
            "required": required,
            "content": {JSON: _content(call.body, examples)},
        }
    if call.public:
        operation["security"] = []
    return operation


def _content(kind: Any, examples: Mapping[type, object]) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": _schema(kind)}
    if kind in examples:
        content["example"] = examples[kind]
    return content


def _schema(kind: Any) -> dict[str, Any]:
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=_REF)
    _state_types(schema)
    return schema


def _path_parameters(handler: type[RequestHandler], call: Endpoint) -> Iterator[dict[str, Any]]:
    for name, kind in call.path.items():
        schema: dict[str, Any] = {
            "type": "integer",
            "format": "int64",
            "minimum": 0,
            "maximum": MAX_ID,
        }
        if kind is str:
            schema = {"type": "string", "pattern": f"^{NAME}$"}
        yield {
            "name": name,
            "in": "path",
            "description": meaning(handler.__name__, name),
            "required": True,
            "schema": schema,
        }


def _query_parameters(call: Endpoint) -> Iterator[dict[str, Any]]:
    if call.query is None:
        return
    for field in msgspec.structs.fields(call.query):
        schema = _schema(field.type)
        # A query string has no null: an optional parameter is simply left out.
        choices = [one for one in schema.pop("anyOf", []) if one != {"type": "null"}]
        if choices:
            schema.update(choices[0])
        if not field.required and field.default is not None:
            schema["default"] = field.default
        yield {
            "name": field.encode_name,
            "in": "query",
            "description": meaning(call.query.__name__, field.encode_name),
            "required": field.required,
            "allowEmptyValue": not field.required,
            "schema": schema,
        }


def _responses(
    handler: type[RequestHandler], call: Endpoint, examples: Mapping[type, object]
) -> dict[str, Any]:
    success: dict[str, Any] = {"description": HTTPStatus(call.status).phrase}
    if call.status != 204:
        media = call.media.partition(";")[0]
        text = {"schema": {"type": "string"}}
        success["content"] = {media: _content(call.result, examples) if media == JSON else text}
    responses = {str(call.status): success}
    for status, reasons in sorted(_reasons(handler, call).items()):
        responses[str(status)] = response = _problem("; ".join(reasons))
        if status in _HEADERS:
            response["headers"] = _HEADERS[status]
    responses["default"] = _problem("Anything else that went wrong")
    return responses


def _reasons(handler: type[RequestHandler], call: Endpoint) -> dict[int, list[str]]:
    """HTTP status → what of the foreseen can be wrong."""
    reasons: dict[int, list[str]] = {}
    for slug in _error_slugs(call):
        condition = CONDITIONS[slug]
        told = f"{condition.title} (`/problems/{slug}`)"
        reasons.setdefault(condition.status, []).append(told)
    if call.body is not None:
        reasons.setdefault(415, []).append("The body is not application/json (`about:blank`)")
    if not (issubclass(handler, ApiHandler) and handler.any_origin):
        reasons.setdefault(403, []).append("A page of another origin asked (`about:blank`)")
    return reasons


_HEADERS: Mapping[int, dict[str, Any]] = {
    401: {
        "WWW-Authenticate": {
            "description": "RFC 6750",
            "required": True,
            "schema": {"type": "string"},
        }
    },
    429: {
        "Retry-After": {
            "description": "Seconds to wait",
            "required": True,
            "schema": {"type": "integer", "minimum": 1},
        }
    },
    503: {
        "Retry-After": {
            "description": "Seconds to wait, where that is known",
            "schema": {"type": "integer", "minimum": 1},
        }
    },
}


def _error_slugs(call: Endpoint) -> list[Slug]:
    """What the endpoint declares, and what follows from its shape."""
    slugs: list[Slug] = list(call.errors)
    if not call.public:
        slugs.append("not-logged-in")
    if call.path:
        slugs.append("not-found")
    if call.body is not None:
        slugs += ["bad-json", "too-long"]
    if call.body is not None or call.query is not None:
        slugs.append("invalid")
    if not call.public or call.body is not None:
        slugs.append("storage-away")
    return list(dict.fromkeys(slugs))


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": {PROBLEM_JSON: {"schema": _schema(Problem)}}}
