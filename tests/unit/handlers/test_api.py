"""Reading requests: ``handlers/api.py``."""

from typing import Annotated, Any, Literal

import msgspec
import pytest
from tornado.web import HTTPError

from handlers.api import (
    ApiHandler,
    Input,
    ascii_id,
    endpoint,
    endpoints,
    parse_json,
    read_body,
    read_query,
)
from server.errors import ChatError

JSON = "application/json"


class Body(Input):
    """A body with one required field."""

    name: str
    count: Annotated[int, msgspec.Meta(ge=0, le=9)] = 0


class Optional(Input):
    """A body that may be left out."""

    all: bool = False


class Query(msgspec.Struct):
    """A query string of each kind."""

    chat: Literal[10, 11]
    q: str
    after: int | None = None


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b'{"a":1,"a":2}',
        b'{"a":{"b":1,"b":1}}',
        b'[{"a":1,"\\u0061":1}]',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1e400}',
        b'{"a":"\\ud800x"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"\\udc00":1}',
        b'{"a":' + b"1" * 5000 + b"}",
        b'{"a":-' + b"1" * 5000 + b"}",
        b"[" * 30000 + b"]" * 30000,
        b'{"a":' * 10000 + b"1" + b"}" * 10000,
        b"{} {}",
        b"{'a':1}",
        b'{"a":01}',
        '{"a":1}'.encode("utf-16"),
    ],
    ids=range(21),
)
def test_parse_json_of_hostile_bytes_is_bad_json(raw: bytes) -> None:
    """Whatever is not one well-formed, unambiguous JSON value is told so, and never raises else."""
    with pytest.raises(ChatError, match="bad-json: "):
        parse_json(raw)


def test_parse_json_of_plain_value_gives_it() -> None:
    """Text outside the BMP, escaped or not, survives."""
    assert parse_json('{"a":["😀","\\ud83d\\ude00",1.5,null]}'.encode()) == {
        "a": ["😀", "😀", 1.5, None]
    }


@pytest.mark.parametrize(
    ("raw", "value"), [("7.0", 7), ("1e3", 1000), ("-0.0", 0), ("1.5", 1.5), ("1e300", 1e300)]
)
def test_parse_json_of_whole_number_is_an_integer(raw: str, value: float) -> None:
    """However it is spelt, as JSON Schema says; beyond the largest id it is left as it is."""
    parsed = parse_json(raw.encode())
    assert (parsed, type(parsed)) == (value, type(value))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+1",
        "-1",
        " 1",
        "1 ",
        "1\n",
        "1_0",
        "\uff11",
        "\u0663",
        "0x1",
        "1e3",
        "9007199254740992",
    ],
)
def test_ascii_id_of_other_spelling_is_none(text: str) -> None:
    """Only ASCII digits up to 2**53-1 are an id."""
    assert ascii_id(text) is None


def test_ascii_id_of_digits_is_the_number() -> None:
    """The largest id included."""
    assert ascii_id("9007199254740991") == 2**53 - 1


class Places(ApiHandler):
    """A call with an id and a name in its path."""

    @endpoint()
    async def get(self, id: int, sid: str) -> None:
        """Read."""


@pytest.mark.parametrize("sid", ["a", "10000", "A-Z_a.z~9", "x" * 128])
def test_path_name_of_plain_characters_stays_text(sid: str) -> None:
    """Also where it looks like a number."""
    call = endpoints(Places)["get"]
    request: Any = None
    assert call.read(request, {"id": "10000", "sid": sid}) == {"id": 10000, "sid": sid}


@pytest.mark.parametrize("sid", ["", "a:b", "a b", "a/b", "a%20", "ä", "x" * 129, "a\n", "'", "$"])
def test_path_name_of_other_characters_is_not_found(sid: str) -> None:
    """Nothing can be named so."""
    request: Any = None
    with pytest.raises(ChatError, match="not-found"):
        endpoints(Places)["get"].read(request, {"id": "10000", "sid": sid})


def test_read_body_names_every_wrong_field() -> None:
    """One answer tells all that is wrong: type, range, missing and unknown."""
    with pytest.raises(ChatError, match="invalid: ") as raised:
        read_body(Body, b'{"count":10,"nmae":"x"}', JSON)
    assert raised.value.fields is not None
    assert set(raised.value.fields) == {"name", "count", "nmae"}


@pytest.mark.parametrize("raw", [b"[]", b"1", b"null", b'"text"'])
def test_read_body_of_no_object_is_invalid(raw: bytes) -> None:
    """Well-formed JSON of another kind is the field error's sister, not a syntax error."""
    with pytest.raises(ChatError, match="invalid: "):
        read_body(Body, raw, JSON)


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"]
)
def test_read_body_of_other_type_is_415(content_type: str) -> None:
    """What a foreign page's form can send is not read as JSON."""
    with pytest.raises(HTTPError) as raised:
        read_body(Body, b'{"name":"x"}', content_type)
    assert raised.value.status_code == 415


def test_read_body_with_charset_is_read() -> None:
    """Parameters of the media type do not matter."""
    assert read_body(Body, b'{"name":"x"}', "Application/JSON; charset=utf-8") == Body(name="x")


def test_read_body_left_out_is_all_defaults() -> None:
    """A call whose fields are all optional takes no body at all."""
    assert read_body(Optional, b"", "") == Optional(all=False)


def test_read_query_blank_and_digits_are_typed() -> None:
    """Blank optional fields count as left out; digits stay text where text is asked for."""
    query = read_query(Query, {"chat": [b"11"], "q": [b"10000"], "after": [b""], "x": [b"1"]})
    assert query == Query(chat=11, q="10000", after=None)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("chat", [b"12"]),
        ("chat", [b"+10"]),
        ("chat", [b"10", b"11"]),
        ("chat", []),
        ("q", [b"\xff"]),
        ("after", ["\uff11".encode()]),
        ("after", [b"null"]),
        ("after", [b"1.0"]),
    ],
)
def test_read_query_of_wrong_value_is_invalid(field: str, values: list[bytes]) -> None:
    """The wrong field is named."""
    arguments = {"chat": [b"10"], "q": [b"x"], field: values}
    with pytest.raises(ChatError, match="invalid: ") as raised:
        read_query(Query, arguments)
    assert raised.value.fields is not None
    assert list(raised.value.fields) == [field]
