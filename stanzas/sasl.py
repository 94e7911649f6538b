"""SASL mechanisms, server side, sans-I/O: PLAIN (RFC 4616), SCRAM (RFC 5802, RFC 7677) and
OAUTHBEARER (RFC 7628). Who the account is and whether a token is good, the caller finds out.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Sequence
from typing import Literal, NamedTuple

PROTOCOL = ("SASL", "RFC 4616, 5802, 7628, 7677", "complete but for channel binding")

MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-1", "OAUTHBEARER", "PLAIN")
MAX_BYTES = 6000

_SCRAM_FIRST = re.compile(r"([nyp])(=[^,]*)?,(?:a=([^,]*))?,(n=([^,]+),r=([!-+\--~]+)(?:,.*)?)")
_SCRAM_FINAL = re.compile(r"(c=([^,]+),r=([!-+\--~]+)(?:,[^p][^,]*)*),p=([^,]+)")
_BEARER = re.compile(r"(?:^|\x01)auth=Bearer +([A-Za-z0-9._~+/=-]+)(?:\x01|$)", re.IGNORECASE)

HashName = Literal["sha1", "sha256"]


class SaslError(Exception):
    """The attempt failed: a condition of RFC 6120 section 6.5."""

    def __init__(self, condition: str, detail: str = "") -> None:
        super().__init__(detail or condition)
        self.condition = condition


class Plain(NamedTuple):
    """What PLAIN said; ``authzid`` is empty or who the client wants to be."""

    authzid: str
    authcid: str
    password: str


class Bearer(NamedTuple):
    """What OAUTHBEARER said."""

    authzid: str
    token: str


def decode(content: str | None) -> bytes:
    """The inside of a SASL element: base64, ``=`` for empty. Raises ``incorrect-encoding``."""
    raw = (content or "").strip()
    if raw == "=":
        return b""
    try:
        decoded = base64.b64decode(raw, validate=True)
    except (binascii.Error, ValueError) as error:
        raise SaslError("incorrect-encoding") from error
    if len(decoded) > MAX_BYTES:
        raise SaslError("malformed-request")
    return decoded


def encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise SaslError("malformed-request") from error


def plain(raw: bytes) -> Plain:
    """RFC 4616 section 2: authzid NUL authcid NUL password."""
    parts = _text(raw).split("\0")
    if len(parts) != 3 or not parts[1] or not parts[2]:
        raise SaslError("malformed-request")
    return Plain(*parts)


def bearer(raw: bytes) -> Bearer:
    """RFC 7628 section 3.1: gs2 header, then key=value pairs between ^A."""
    said = _text(raw)
    header, _, pairs = said.partition("\x01")
    flag, _, rest = header.partition(",")
    authzid, comma, nothing = rest.partition(",")
    found = _BEARER.search("\x01" + pairs)
    wrong_authzid = authzid and not authzid.startswith("a=")
    if flag not in ("n", "y") or not comma or nothing or wrong_authzid or found is None:
        raise SaslError("malformed-request")
    return Bearer(_unescape(authzid[2:]), found[1])


def bearer_error() -> bytes:
    """The challenge by which a bad token is refused (RFC 7628 section 3.2.2)."""
    return json.dumps({"status": "invalid_token"}).encode()


class Scram:
    """One exchange of SCRAM: :meth:`first`, then :meth:`challenge`, then :meth:`finish`.

    An account may have several passwords that are salted alike; ``matched`` is in the end the
    place of the client's among the keys.
    """

    def __init__(self, hash_name: HashName) -> None:
        self.hash_name: HashName = hash_name
        self.authzid = ""
        self.username = ""
        self._header = ""
        self._client_first = ""
        self._server_first = ""
        self._nonce = ""
        self._keys: Sequence[tuple[bytes, bytes]] = ()
        self.matched = -1

    def first(self, raw: bytes) -> str:
        """The client's first message; gives the username. Raises :class:`SaslError`."""
        found = _SCRAM_FIRST.fullmatch(_text(raw))
        if found is None:
            raise SaslError("malformed-request")
        flag, binding, authzid, bare, username, nonce = found.groups()
        if flag == "p" or binding:
            raise SaslError("malformed-request", "channel binding is not offered")
        self.authzid = _unescape(authzid or "")
        self.username = _unescape(username)
        self._header = found[0][: found.start(4)]
        self._client_first = bare
        self._nonce = nonce + secrets.token_urlsafe(18)
        return self.username

    def challenge(self, salt: bytes, iterations: int, keys: Sequence[tuple[bytes, bytes]]) -> bytes:
        """The server's first message. ``keys``: stored key and server key of each password."""
        self._keys = keys
        self._server_first = f"r={self._nonce},s={encode(salt)},i={iterations}"
        return self._server_first.encode()

    def finish(self, raw: bytes) -> bytes:
        """Checks the client's proof; gives the server's. Raises ``not-authorized``."""
        found = _SCRAM_FINAL.fullmatch(_text(raw))
        if found is None:
            raise SaslError("malformed-request")
        without_proof, binding, nonce, proof = found.groups()
        if binding != encode(self._header.encode()) or nonce != self._nonce:
            raise SaslError("not-authorized")
        message = f"{self._client_first},{self._server_first},{without_proof}".encode()
        try:
            sent = base64.b64decode(proof, validate=True)
        except (binascii.Error, ValueError) as error:
            raise SaslError("malformed-request") from error
        fits = [self._proves(sent, message, stored_key) for stored_key, _ in self._keys]
        if True not in fits:
            raise SaslError("not-authorized")
        self.matched = fits.index(True)
        server_key = self._keys[self.matched][1]
        return b"v=" + encode(hmac.digest(server_key, message, self.hash_name)).encode()

    def _proves(self, proof: bytes, message: bytes, stored_key: bytes) -> bool:
        """Whether it is the proof of the password with this key (RFC 5802 section 3)."""
        signature = hmac.digest(stored_key, message, self.hash_name)
        if len(proof) != len(signature):
            return False
        client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
        stored = hashlib.new(self.hash_name, client_key).digest()
        return hmac.compare_digest(stored, stored_key)


def _unescape(name: str) -> str:
    """RFC 5802 section 5.1: ``=2C`` is a comma, ``=3D`` an equals sign, nothing else."""
    if re.search("=(?!2C|3D)", name):
        raise SaslError("malformed-request")
    return name.replace("=2C", ",").replace("=3D", "=")
