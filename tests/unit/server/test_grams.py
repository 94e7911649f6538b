"""Texts as the search compares them: ``server/grams.py``."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from server.grams import MOST, Wanted, fold, grams, words

SCRIPTS = "abzé ÅßñİıøĲ你我他手机的かなカナ안녕ёйשָׁاَไทยहिन्दी😀👍🏽$+_-.,'’\n\t0189²ﬁ"
texts = st.text(st.one_of(st.sampled_from(SCRIPTS), st.characters(exclude_categories=["Cs"])))


def finds(query: str, text: str) -> bool:
    """As the index and the look at the text do it together."""
    wanted, folded = Wanted(query), fold(text)
    return set(wanted.grams) <= set(grams(folded)) and wanted.matches(folded)


@given(texts, st.integers(0), st.integers(1))
def test_every_part_of_a_text_finds_it(text: str, start: int, length: int) -> None:
    """Whatever stretch of a text one looks for, its grams are among the text's."""
    folded = fold(text)
    assume(folded)
    start %= len(folded)
    part = folded[start : start + 1 + length % 12]
    assume(fold(part) == part)
    wanted = Wanted(part)
    if wanted.matches(folded):
        assert set(wanted.grams) <= set(grams(folded))
    else:  # two letters in the middle of a word
        assert any(len(piece) == 2 and words(piece) == [piece] for piece in part.split())


@given(texts, texts)
def test_a_text_that_matches_has_all_grams_of_the_query(query: str, text: str) -> None:
    """So the index leaves nothing out, however the query and the text are put together."""
    wanted = Wanted(query)
    for whole in (text, f"{text}{query}", f"{query}{text}", f"{text} {query} {text}"):
        if wanted.matches(fold(whole)):
            assert set(wanted.grams) <= set(grams(fold(whole)))


@given(texts)
def test_a_text_finds_itself(text: str) -> None:
    assert Wanted(text).matches(fold(text))


@given(texts)
def test_ascii_is_cut_as_all_else(text: str) -> None:
    """There are quicker expressions for plain text, which must say the same."""
    plain = fold("".join(char for char in text if char.isascii()))
    assert {*grams(plain), "\u4f60"} == set(grams(f"{plain} \u4f60"))


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("你", "你好吗"),
        ("好", "你好吗"),
        ("人工智能", "我们谈论人工智能吧"),
        ("手机", "iPhone手机坏了"),
        ("weather", "The WEATHER is fine"),
        ("eath", "The weather is fine"),
        ("WeAtH", "the weather"),
        ("creme", "Crème brûlée"),
        ("brûlée", "CREME BRULEE"),
        ("strasse", "Straße"),
        ("istanbul", "İSTANBUL"),
        ("οδυσσευσ", "ὈΔΥΣΣΕΎΣ"),
        ("ёлка", "елка"),
        ("full", "ｆｕｌｌ"),
        ("カナ", "ｶﾅ"),
        ("שלום", "שָׁלוֹם"),
        ("नमस्ते", "नमस्ते दुनिया"),
        ("สวัสดี", "สวัสดีครับ"),
        ("안녕", "안녕하세요"),
        ("👍", "well done 👍🏽"),
        ("❤", "❤️"),
        ("fine weather", "the weather will be fine"),
        ("3.14", "pi is 3.14159"),
        ("c++", "I like C++"),
        ("we", "the weather"),
        ("ok", "OK!"),
        ("r2-d2", "R2-D2 beeps"),
    ],
)
def test_text_is_found(query: str, text: str) -> None:
    assert finds(query, text)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("ea", "the weather"),
        ("weather fine", "the weather is bad"),
        ("你我", "你和我"),
        ("fine.", "fine"),
        ("мой", "мои"),
        ("eath eats", "weather"),
    ],
)
def test_text_is_not_found(query: str, text: str) -> None:
    assert not finds(query, text)


@pytest.mark.parametrize("query", ["", " ", "a", "a b c", "???", "...", "\u200b", "_", "-"])
def test_query_that_says_too_little_has_no_grams(query: str) -> None:
    assert Wanted(query).grams == ()


def test_grams_of_one_text_are_bounded() -> None:
    """Random characters must not fill the disk."""
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 20_000)))
    assert len(grams(text)) == MOST
