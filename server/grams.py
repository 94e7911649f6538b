"""Texts as the search compares them, and the pieces (grams) by which it finds them.

Words of alphabets are cut into three letters each, ``weather``: ``wea eat ath the her``, and have
their first two, ``we``, too. Scripts without spaces between words, Hangul and signs such as emoji
are cut into single characters and pairs. A text that a query matches has all of its grams; whether
one that has them matches is seen in the text itself (:meth:`Wanted.matches`).
"""

import re
import unicodedata

MOST = 10_000
"""Grams of one text: more than a natural one of the greatest length has, so that random
characters do not fill the disk."""

_DENSE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff"  # Hangul
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u312f\u31a0-\u31bf\u31f0-\u31ff"  # kana, bopomofo …
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "\u20a0-\u20cf\u2100-\u214f\u2190-\u2bff\U0001f000-\U0001fbff"  # signs, emoji
    "\xa2-\xa9\xac\xae-\xb1\xd7\xf7"
)
_ASCII_SIGNS = r"$+<=>^|~"
_MARKS = "\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed"
_INDIC = "\u0900-\u0963\u0966-\u0dff"  # whole, since vowel signs are no letters to Python
_DENSE_RUN = re.compile(f"[{_ASCII_SIGNS}{_DENSE}]+")
_WORD = re.compile(rf"(?:[^\W_{_DENSE}]|[{_MARKS}{_INDIC}])+")
_ASCII_RUN = re.compile(f"[{_ASCII_SIGNS}]+")
_ASCII_WORD = re.compile("[a-z0-9]+")

_UNSEEN = re.compile(
    "(?<=[a-z\u0370-\u03ff])[\u0300-\u036f]+"  # accents of Latin and Greek letters
    "|[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"  # points of Hebrew
    "\u0640\u064b-\u0652\u0670"  # vowels of Arabic
    "\xad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff]+"  # takes no place
)
_PLAIN = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ħ": "h", "\u0131": "i", "æ": "ae", "œ": "oe", "ё": "\u0435"}
)


def fold(text: str) -> str:
    """A text without what people leave out when they look for it: case, accents, width."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    return unicodedata.normalize("NFKC", _UNSEEN.sub("", decomposed)).translate(_PLAIN)


def grams(folded: str) -> list[str]:
    """What a folded text can be found by, each once."""
    found: dict[str, None] = {}
    for word in words(folded):
        if len(word) > 1:
            found[word[:2]] = None
            for at in range(len(word) - 2):
                found[word[at : at + 3]] = None
    for run in (_ASCII_RUN if folded.isascii() else _DENSE_RUN).findall(folded):
        for at in range(len(run)):
            found[run[at]] = None
            found[run[at : at + 2]] = None
    return list(found)[:MOST] if len(found) > MOST else list(found)


def words(folded: str) -> list[str]:
    return (_ASCII_WORD if folded.isascii() else _WORD).findall(folded)


class Wanted:
    """A query: ``parts`` that a text must all contain, wherever and in whichever order.

    A part of just two letters has to begin a word. ``grams``: what every such text has; none where
    the query says too little to look for.
    """

    def __init__(self, query: str) -> None:
        self.parts = tuple(dict.fromkeys(fold(query).split()))
        found: dict[str, None] = {}
        for part in self.parts:
            found |= dict.fromkeys([part] if _is_short(part) else _certain(part))
        self.grams = tuple(found)

    def matches(self, folded: str) -> bool:
        return all(
            any(word.startswith(part) for word in words(folded))
            if _is_short(part)
            else part in folded
            for part in self.parts
        )


def _is_short(part: str) -> bool:
    return len(part) == 2 and words(part) == [part]


def _certain(part: str) -> list[str]:
    """The grams of any text that contains this part."""
    found: list[str] = []
    for match in (_ASCII_WORD if part.isascii() else _WORD).finditer(part):
        word = match[0]
        found += [word[at : at + 3] for at in range(len(word) - 2)]
        if len(word) == 2 and match.start():
            found.append(word)  # what stands before it is no letter, so it begins a word
    for run in (_ASCII_RUN if part.isascii() else _DENSE_RUN).findall(part):
        found += [run[at : at + 2] for at in range(len(run) - 1)] or [run]
    return found
