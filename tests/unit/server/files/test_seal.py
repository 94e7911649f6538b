"""The authority to upload: what opens a seal, and what does not."""

import base64

import pytest

from server.errors import ChatError
from server.files import Slot
from server.files.names import new_key
from server.files.seal import Seal

SLOT = Slot(new_key("image/png"), "a.png", 1000, "image/png", 2_000_000_000)


def test_sealed_slot_is_opened_by_any_process_with_the_key() -> None:
    """Nothing but the signing key is needed."""
    sealed = Seal(b"k" * 32).seal(SLOT)
    assert Seal(b"k" * 32).unseal(sealed, SLOT.key, SLOT.name) == SLOT


def test_seal_does_not_open_for_anything_else() -> None:
    """Not for another key, name, signing key, nor with one bit turned."""
    seal = Seal(b"k" * 32)
    sealed = seal.seal(SLOT)
    raw = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
    turned = [
        base64.urlsafe_b64encode(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]).decode()
        for at in range(len(raw))
    ]
    tries = [
        *((seal, text, SLOT.key, SLOT.name) for text in (*turned, "", "x", "é", sealed[:-4])),
        (seal, sealed, new_key("image/png"), SLOT.name),
        (seal, sealed, SLOT.key, "b.png"),
        (Seal(b"j" * 32), sealed, SLOT.key, SLOT.name),
    ]
    for opener, text, key, name in tries:
        with pytest.raises(ChatError) as caught:
            opener.unseal(text, key, name)
        assert caught.value.slug == "not-allowed"
