"""JSON frames: whatever their spelling, a key twice is refused and nothing else is."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handlers.json_codec import decode_message
from server.errors import ChatError
from server.model import MAX_ID, Message

ids = st.integers(0, MAX_ID)
short = st.text(alphabet=st.sampled_from('":,\\ ax\u00e9{}[]'), max_size=8)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "cmd": ids,
    "dstid": ids,
    "content": short,
    "cid": short,
    "memo": short,
    "seq": ids,
    "at": st.lists(ids, max_size=3),
    "state": short,
    "unknown": st.one_of(short, ids, st.none(), st.dictionaries(short, ids, max_size=2)),
    "un:known": short,
}
pairs = st.lists(
    st.sampled_from(sorted(VALUES)).flatmap(lambda key: st.tuples(st.just(key), VALUES[key])),
    max_size=6,
)


def escaped(text: str, how: str) -> str:
    """A JSON string: as usual, in ASCII, or with every character escaped."""
    if how == "all":
        return '"' + "".join(f"\\u{ord(character):04x}" for character in text) + '"'
    return json.dumps(text, ensure_ascii=how == "ascii")


@st.composite
def spelled(draw: st.DrawFn) -> tuple[list[tuple[str, Any]], bytes]:
    """Pairs, and a JSON object of them in some spelling."""
    found = draw(pairs)
    space = st.sampled_from(["", "", " ", "\n", "\t "])
    hows = st.sampled_from(["plain", "plain", "ascii", "all"])
    members = []
    for key, value in found:
        written = escaped(value, draw(hows)) if isinstance(value, str) else json.dumps(value)
        name = escaped(key, draw(hows))
        members.append(f"{draw(space)}{name}{draw(space)}:{draw(space)}{written}{draw(space)}")
    return found, ("{" + ",".join(members) + "}").encode()


@given(spelled())
@example(([("cmd", 1), ("cmd", 2), ("content", ":")], b'{"cmd":1,"cmd":2,"content":"\\u003a"}'))
@example(([("cmd", 1), ("cmd", 2)], b'{"cmd" :1,"cmd":2}'))
@example(([("cmd", 1), ("cmd", 2)], b'{"cmd":1,"\\u0063md":2}'))
@example(([("cmd", 1), ("content", 'a":b')], b'{"cmd":1,"content":"a\\":b"}'))
def test_a_key_twice_is_refused_and_nothing_else(made: tuple[list[tuple[str, Any]], bytes]) -> None:
    found, payload = made
    keys = [key for key, _ in found]
    try:
        message = decode_message(payload, 32)
    except ChatError as error:
        if len(set(keys)) < len(keys):
            assert error.slug == "bad-json"
        else:
            assert (error.slug, "cmd" in keys) == ("bad-field", False)
        return
    assert len(set(keys)) == len(keys)
    wanted = {key: value for key, value in found if key in VALUES and "unknown" not in key}
    wanted.pop("un:known", None)
    assert message == msgspec.convert(wanted, Message)


@pytest.mark.parametrize("depth", [31, 32, 33, 500, 100_000])
@pytest.mark.parametrize("field", ["at", "unknown"])
def test_what_is_nested_too_deep_is_refused(depth: int, field: str) -> None:
    inner = "[" * (depth - 1) + "]" * (depth - 1)
    payload = b'{"cmd":0,"%b":%b}' % (field.encode(), inner.encode())
    if field == "unknown" and depth <= 32:
        assert decode_message(payload, 32).cmd == 0
        return
    with pytest.raises(ChatError) as refused:
        decode_message(payload, 32)
    assert refused.value.slug == ("bad-json" if depth > 32 else "bad-field")
