"""The OpenAPI 3.1 document of the HTTP calls, made from their endpoints' own types."""

import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

import msgspec
from tornado.web import RequestHandler

from handlers.api import JSON, NAME, PROBLEM_JSON, Endpoint, Problem, endpoints
from server.errors import CONDITIONS, Slug
from server.model import MAX_ID

Route = tuple[str, type[RequestHandler]]
"""A path with ``{name}`` for each id or name in it, and the handler of its calls."""

_REF = "#/components/schemas/{name}"


def describe(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """The document as JSON values. Struct types become ``components/schemas``."""
    calls = [
        (path, handler, method, call)
        for path, handler in routes
        for method, call in endpoints(handler).items()
    ]
    kinds = {kind for *_, call in calls for kind in _kinds(call)} | {Problem}
    ordered = sorted(kinds, key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(ordered, ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for path, handler, method, call in calls:
        paths.setdefault(path, {})[method] = _operation(path, handler, method, call)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tandem",
            "version": version,
            "description": "Times are milliseconds since 1970 UTC.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
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


def _kinds(call: Endpoint) -> Iterator[type]:
    for kind in (call.body, call.result):
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            yield kind


def _operation(
    path: str, handler: type[RequestHandler], method: str, call: Endpoint
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": "_".join([method, *re.findall(r"\w+", path)]),
        "tags": [handler.__module__.rpartition(".")[2]],
        "summary": call.summary,
        "responses": _responses(call),
    }
    if call.description:
        operation["description"] = call.description
    if parameters := [*_path_parameters(call), *_query_parameters(call)]:
        operation["parameters"] = parameters
    if call.body is not None:
        required = any(field.required for field in msgspec.structs.fields(call.body))
        content = {JSON: {"schema": _schema(call.body)}}
        operation["requestBody"] = {"required": required, "content": content}
    if call.public:
        operation["security"] = []
    return operation


def _schema(kind: Any) -> dict[str, Any]:
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=_REF)
    return schema


def _path_parameters(call: Endpoint) -> Iterator[dict[str, Any]]:
    for name, kind in call.path.items():
        schema: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": MAX_ID}
        if kind is str:
            schema = {"type": "string", "pattern": f"^{NAME}$"}
        yield {"name": name, "in": "path", "required": True, "schema": schema}


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
            "required": field.required,
            "schema": schema,
        }


def _responses(call: Endpoint) -> dict[str, Any]:
    success: dict[str, Any] = {"description": HTTPStatus(call.status).phrase}
    if call.status != 204:
        schema = _schema(call.result) if call.media == JSON else {"type": "string"}
        success["content"] = {call.media.partition(";")[0]: {"schema": schema}}
    responses = {str(call.status): success}
    by_status: dict[int, list[Slug]] = {}
    for slug in _error_slugs(call):
        by_status.setdefault(CONDITIONS[slug].status, []).append(slug)
    for status, slugs in sorted(by_status.items()):
        told = "; ".join(f"{CONDITIONS[slug].title} (`/problems/{slug}`)" for slug in slugs)
        responses[str(status)] = _problem(told)
        if "slow-down" in slugs:
            header = {"description": "Seconds to wait", "schema": {"type": "integer"}}
            responses[str(status)]["headers"] = {"Retry-After": header}
    if call.body is not None:
        responses["415"] = _problem("The body is not application/json")
    responses["default"] = _problem("Anything else that went wrong")
    return responses


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
