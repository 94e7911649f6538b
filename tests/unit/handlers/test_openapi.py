"""The OpenAPI document and the endpoints it is made from: ``handlers/openapi.py``."""

import json
import re
from typing import Any

import msgspec
import openapi_spec_validator
import pytest
from jsonschema import Draft202012Validator

from handlers.api import JSON, METHODS, Endpoint, endpoints, read_body, read_query
from handlers.examples import EXAMPLES
from handlers.glossary import GLOSSARY, meaning
from handlers.http import ROUTES
from handlers.openapi import describe
from server.errors import ChatError

DOCUMENT: dict[str, Any] = json.loads(msgspec.json.encode(describe(ROUTES, "1.2.3", EXAMPLES)))
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
CALLS = [
    (path, method, call) for path, handler in ROUTES for method, call in endpoints(handler).items()
]


def for_each(calls: list[tuple[str, str, Endpoint]]) -> pytest.MarkDecorator:
    """Runs a test once for each call."""
    ids = [f"{method} {path}" for path, method, _ in calls]
    return pytest.mark.parametrize(("path", "method", "call"), calls, ids=ids)


each_call = for_each(CALLS)
each_call_with_body = for_each([one for one in CALLS if one[2].body is not None])
each_call_with_query = for_each([one for one in CALLS if one[2].query is not None])


def references(part: object) -> set[str]:
    """Every ``$ref`` in a part of the document."""
    if isinstance(part, dict):
        found = {value for key, value in part.items() if key == "$ref"}
        return found.union(*map(references, part.values()))
    return set().union(*map(references, part)) if isinstance(part, list) else set()


def sample(schema: dict[str, Any]) -> Any:
    """A value that fits a schema, with every property."""
    if "$ref" in schema:
        return sample(SCHEMAS[schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        return sample(schema["anyOf"][0])
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {})
            return {name: sample(one) for name, one in properties.items()}
        case "array":
            return [sample(schema["items"])]
        case "integer":
            return schema.get("minimum", 7)
        case "boolean":
            return True
        case "string":
            return "text"
    return None


def operation(path: str, method: str) -> dict[str, Any]:
    """One operation of the document."""
    found: dict[str, Any] = DOCUMENT["paths"][path][method]
    return found


def test_document_of_routes_has_every_call_and_no_other() -> None:
    """Paths and methods are those of the URL table, and every handler there has some."""
    described = {
        (path, method) for path, operations in DOCUMENT["paths"].items() for method in operations
    }
    assert described == {(path, method) for path, method, _ in CALLS}
    assert set(DOCUMENT["paths"]) == {path for path, _ in ROUTES}


def test_document_head_names_version_and_bearer_tokens() -> None:
    """It says that it is OpenAPI 3.1, whose, and how one authenticates."""
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert DOCUMENT["info"]["version"] == "1.2.3"
    assert DOCUMENT["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert DOCUMENT["security"] == [{"bearer": []}]


def test_document_is_valid_openapi() -> None:
    """By the standard's own schema."""
    openapi_spec_validator.validate(DOCUMENT, cls=openapi_spec_validator.OpenAPIV31SpecValidator)


def test_document_references_all_lead_somewhere() -> None:
    """No ``$ref`` dangles, and no schema lies about unused."""
    names = {ref.removeprefix("#/components/schemas/") for ref in references(DOCUMENT)}
    assert names == set(SCHEMAS)


def test_document_operation_ids_are_unique() -> None:
    """Generated clients name their functions after them."""
    ids = [operation(path, method)["operationId"] for path, method, _ in CALLS]
    assert len(set(ids)) == len(ids)


def test_fields_and_parameters_are_all_described() -> None:
    """Nobody has to guess what one means, and no description is left of one that went."""
    used = set()
    described = {
        f"{name}.{field}": schema["description"]
        for name, schemas in SCHEMAS.items()
        for field, schema in schemas["properties"].items()
    }
    for path, method, call in CALLS:
        handler = next(handler for route, handler in ROUTES if route == path)
        for one in operation(path, method).get("parameters", []):
            owner = handler if one["in"] == "path" else call.query
            described[f"{owner.__name__}.{one['name']}"] = one["description"]
    assert [name for name, text in described.items() if not text] == []
    for name in described:
        used.add(name if name in GLOSSARY else name.partition(".")[2])
    assert set(GLOSSARY) - used == set()


def test_meaning_of_a_word_is_that_of_its_owner_first() -> None:
    """A word that means something else somewhere is told so there."""
    assert meaning("AppPassword", "name") == GLOSSARY["AppPassword.name"]
    assert meaning("Group", "name") == GLOSSARY["name"]
    assert meaning("Group", "unheard_of") == ""


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_schema_tells_what_it_is_for_and_is_closed(name: str) -> None:
    """What is not described is in no answer, and is refused in a body."""
    assert SCHEMAS[name]["description"]
    assert SCHEMAS[name]["additionalProperties"] is False
    assert "``" not in SCHEMAS[name]["description"]


def test_fields_that_no_answer_leaves_out_are_required() -> None:
    """Those with defaults too, except where the encoder leaves defaults out."""
    assert "cmd" in SCHEMAS["ConversationSet"]["required"]
    assert SCHEMAS["InboxPage"]["required"] == ["conversations", "more"]
    assert {"presence", "status"}.isdisjoint(SCHEMAS["ContactView"]["required"])
    assert SCHEMAS["Message"]["required"] == []
    assert SCHEMAS["Registration"]["required"] == ["password"]


@each_call
def test_operation_is_complete(path: str, method: str, call: Endpoint) -> None:
    """Summary, tag, parameters of the path, one success and problems for the rest."""
    found = operation(path, method)
    parameters = found.get("parameters", [])
    assert method in METHODS
    assert found["summary"].endswith(".")
    assert found["tags"] and set(found["tags"]) <= {tag["name"] for tag in DOCUMENT["tags"]}
    in_path = {one["name"] for one in parameters if one["in"] == "path"}
    assert in_path == set(re.findall(r"\{(\w+)\}", path))
    successes = [status for status in found["responses"] if status.startswith("2")]
    assert successes == [str(call.status)]
    for status, response in found["responses"].items():
        assert response["description"]
        if status not in successes:
            assert list(response["content"]) == ["application/problem+json"]


@each_call
def test_operation_foresees_what_its_shape_lets_go_wrong(
    path: str, method: str, call: Endpoint
) -> None:
    """No status is left to be found out."""
    foreseen = set(operation(path, method)["responses"])
    assert call.public or {"401", "403", "503"} <= foreseen
    assert call.body is None or {"400", "413", "415", "422"} <= foreseen
    assert call.query is None or "422" in foreseen
    assert not call.path or "404" in foreseen


@each_call
def test_operation_has_examples_that_fit(path: str, method: str, call: Endpoint) -> None:
    """Of the body and of the answer: what the schema allows and the endpoint takes and gives."""
    found = operation(path, method)
    examples = []
    if call.body is not None:
        content = found["requestBody"]["content"][JSON]
        examples.append(content)
        read_body(call.body, json.dumps(content["example"]).encode(), JSON)
    content = found["responses"][str(call.status)].get("content", {}).get(JSON)
    if content is not None and path != "/api/openapi.json":
        examples.append(content)
        assert (
            msgspec.to_builtins(msgspec.convert(content["example"], call.result))
            == (content["example"])
        )
    for content in examples:
        schema = {**content["schema"], "components": DOCUMENT["components"]}
        Draft202012Validator(schema).validate(content["example"])


@each_call
def test_operation_without_token_is_marked(path: str, method: str, call: Endpoint) -> None:
    """Whoever needs a token can answer 401; the public pages say that they need none."""
    found = operation(path, method)
    assert (found.get("security") == []) is call.public
    assert call.public or "401" in found["responses"]


def test_only_the_public_calls_need_no_token() -> None:
    """A call that forgets to ask for a token shows up here."""
    assert {path for path, _, call in CALLS if call.public} == {
        "/api/register",
        "/api/login",
        "/api/token",
        "/api/openapi.json",
        "/.well-known/host-meta",
        "/.well-known/host-meta.json",
        "/livez",
        "/readyz",
        "/metrics",
    }


@each_call_with_body
def test_body_that_fits_the_schema_is_read(path: str, method: str, call: Endpoint) -> None:
    """What the document describes is what the endpoint takes."""
    schema = operation(path, method)["requestBody"]["content"][JSON]["schema"]
    value = sample(schema)
    body = read_body(call.body, json.dumps(value).encode(), JSON)
    assert msgspec.to_builtins(body) == value


@each_call_with_body
def test_body_with_unknown_field_is_invalid(path: str, method: str, call: Endpoint) -> None:
    """A misspelt field is told, not ignored, as the schema promises."""
    schema = operation(path, method)["requestBody"]["content"][JSON]["schema"]
    value = {**sample(schema), "unheard_of": 1}
    with pytest.raises(ChatError, match="invalid: ") as raised:
        read_body(call.body, json.dumps(value).encode(), JSON)
    assert raised.value.fields is not None
    assert list(raised.value.fields) == ["unheard_of"]


@each_call_with_query
def test_query_that_fits_the_schema_is_read(path: str, method: str, call: Endpoint) -> None:
    """The parameters of the document are those that the endpoint reads."""
    parameters = [one for one in operation(path, method)["parameters"] if one["in"] == "query"]
    values = {one["name"]: sample(one["schema"]) for one in parameters}
    arguments = {name: [str(value).encode()] for name, value in values.items()}
    assert msgspec.to_builtins(read_query(call.query, arguments)) == values


@each_call
def test_result_that_fits_the_schema_has_the_declared_type(
    path: str, method: str, call: Endpoint
) -> None:
    """A client that decodes by the document gets along with what the endpoint encodes."""
    content = operation(path, method)["responses"][str(call.status)].get("content")
    if call.status == 204:
        assert content is None
    elif call.media == JSON:
        msgspec.convert(sample(content[JSON]["schema"]), call.result)
    else:
        assert call.result in (str, bytes)
