"""The authority to upload: a slot, sealed so that any process with the signing key can check it."""

import base64
import hmac

import msgspec

from server.errors import ChatError
from server.files import Slot

SEAL_BYTES = 16


class _Terms(msgspec.Struct, array_like=True):
    """What the seal carries; the key and the name are in the address beside it."""

    size: int
    type: str
    expires: int


class Seal:
    """Seals slots with the signing key, as tickets are."""

    def __init__(self, signing_key: bytes) -> None:
        self._key = signing_key

    def seal(self, slot: Slot) -> str:
        """Text for a query, which opens with this slot's key and name only."""
        body = msgspec.msgpack.encode(_Terms(slot.size, slot.type, slot.expires))
        mark = self._mark(slot.key, slot.name, body)
        return base64.urlsafe_b64encode(mark + body).decode().rstrip("=")

    def unseal(self, text: str, key: str, name: str) -> Slot:
        """The slot, which may have run out. Raises ``not-allowed`` for what was not sealed here."""
        try:
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            body = raw[SEAL_BYTES:]
            if not hmac.compare_digest(raw[:SEAL_BYTES], self._mark(key, name, body)):
                raise ValueError
            terms = msgspec.msgpack.decode(body, type=_Terms)
        except ValueError as error:
            raise ChatError("not-allowed", "this is no address to upload to") from error
        return Slot(key, name, terms.size, terms.type, terms.expires)

    def _mark(self, key: str, name: str, body: bytes) -> bytes:
        # A key has no slash, so it is clear where it ends; a name has no NUL.
        said = b"tandem upload slot %b/%b\0%b" % (key.encode(), name.encode(), body)
        return hmac.digest(self._key, said, "sha256")[:SEAL_BYTES]
