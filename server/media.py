"""What each kind of message must say of itself: media 1 to 10; the others are applications'."""

from server.errors import ChatError
from server.model import MAX_ID, Message

TEXT = 1
CONTACT_CARD = 9
OF_APPLICATIONS = 100

_KINDS: dict[int, tuple[str, tuple[tuple[str, ...], ...]]] = {
    1: ("text", (("content",),)),
    2: ("article card", (("url",), ("content", "memo"))),
    3: ("voice", (("url",), ("amount",))),
    4: ("picture", (("url",),)),
    5: ("red packet", (("amount",),)),
    6: ("emoji", (("content", "url"),)),
    7: ("link", (("url",),)),
    8: ("video", (("url",),)),
    9: ("contact card", (("amount", "content"),)),
    10: ("file", (("url",),)),
}
"""Media → its name, and the fields it needs; of those that stand together, one."""


def check_media(message: Message) -> None:
    """Raises ``bad-field`` for an unknown kind, and for one that lacks what it is about."""
    media = message.media
    if media >= OF_APPLICATIONS:
        return
    kind = _KINDS.get(media)
    if kind is None:
        raise ChatError("bad-field", f"media {media} is not known")
    name, needed = kind
    for fields in needed:
        if not any(getattr(message, field) for field in fields):
            missing = " or ".join(fields)
            raise ChatError("bad-field", f"media {media}, {name}, needs {missing}")
    if message.amount < 0:
        raise ChatError("bad-field", f"amount of media {media}, {name}, is negative")
    if media == CONTACT_CARD and not named_contact(message):
        raise ChatError("bad-field", "a contact card has a user's id as its amount or content")


def named_contact(message: Message) -> int:
    """Whom a contact card is of; 0 for nobody."""
    if message.amount:
        return message.amount
    digits = message.content.strip()
    if digits.isascii() and digits.isdigit() and len(digits) <= 16 and int(digits) <= MAX_ID:
        return int(digits)
    return 0
