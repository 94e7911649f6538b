"""JIDs taken apart: ``stanzas/jid.py``."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import ChatError
from stanzas import jid
from stanzas.jid import Jid


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a@b/c", ("a", "b", "c")),
        ("a@b", ("a", "b", "")),
        ("b", ("", "b", "")),
        ("b/c", ("", "b", "c")),
        ("A@B.Example/C", ("a", "b.example", "C")),
        ("a@b/c/d@e", ("a", "b", "c/d@e")),
        ("a@b/ é x", ("a", "b", " é x")),
        ("Grüße@b", ("grüße", "b", "")),
        ("ＡＢ@b", ("ab", "b", "")),
        ("a@b/😀", ("a", "b", "😀")),
        ("10000@127.0.0.1", ("10000", "127.0.0.1", "")),
    ],
)
def test_parse_of_jid_gives_its_parts(text: str, expected: tuple[str, str, str]) -> None:
    """Local part and domain are folded, the resource stays as it is."""
    assert jid.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "/",
        "@b",
        "a@",
        "a@b/",
        "/c",
        "a b@c",
        "a@b@c",
        "a@b c",
        "a<@b",
        "a&b@c",
        "a:b@c",
        "😀@b",
        "a@b..c",
        "a@b/\0",
        "a@b/\n",
        "a\0@b",
        "a@-",
        "a@" + "é" * 70,
        "x" * 1024 + "@b",
        "a@" + "b" * 1024,
        "a@b/" + "x" * 1024,
        "\ud800@b",
        "a@b/\ud800",
        "a@\ud800",
    ],
)
def test_parse_of_no_jid_is_refused(text: str) -> None:
    """Empty and overlong parts, forbidden characters, surrogates."""
    with pytest.raises(ChatError) as refused:
        jid.parse(text)
    assert refused.value.slug == "bad-field"


@given(st.text(max_size=40), st.text(max_size=40))
def test_parse_of_any_text_raises_only_chat_errors(one: str, other: str) -> None:
    """What it takes is the same when it is parsed again."""
    for text in (one, f"{one}@{other}", f"a@b/{one}", f"{one}@b/{other}"):
        try:
            found = jid.parse(text)
        except ChatError:
            continue
        assert jid.parse(str(found)) == found
        jid.is_resource(one)


def test_str_and_bare_put_the_parts_together() -> None:
    """Parts that are absent leave no mark."""
    assert str(Jid("a", "b", "c")) == "a@b/c"
    assert str(Jid("", "b", "c")) == "b/c"
    assert str(Jid("a", "b")) == Jid("a", "b", "c").bare == "a@b"
    assert Jid("", "b", "c").bare == "b"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *[
            (each, True)
            for each in ("a", "A", "a b", " a", "a/b", "a@b", "é", "<&'\"", "😀", "x" * 1023)
        ],
        *[(each, False) for each in ("", "\n", "\0", "\x7f", "\u200b", "e\u0301", "\ud800")],
        ("x" * 1024, False),
    ],
)
def test_is_resource_takes_only_what_stays_as_it_is(text: str, expected: bool) -> None:
    """Forbidden and overlong ones are none, nor what PRECIS changes."""
    assert jid.is_resource(text) is expected
