"""SASL mechanisms against the examples of their RFCs: ``stanzas/sasl.py``."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stanzas import sasl
from stanzas.sasl import SaslError, Scram

NONCE = {"sha1": "fyko+d2lbbFgONRv9qkxdawL", "sha256": "rOprNGfwEbeRWgbNEkqO"}
SERVER_NONCE = {"sha1": "3rfcNHYJY1ZVvWVs7j", "sha256": "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"}
SALT = {"sha1": "QSXCR+Q6sek8bf92", "sha256": "W22ZaJ0SNY7soEsUEjb6gQ=="}
PROOF = {
    "sha1": "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
    "sha256": "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
}
SERVER_PROOF = {
    "sha1": "rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    "sha256": "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
}
HASHES: tuple[sasl.HashName, ...] = ("sha1", "sha256")


def keys(hash_name: str, password: bytes = b"pencil") -> tuple[bytes, bytes]:
    """Stored key and server key of the examples (RFC 5802 section 3)."""
    salted = hashlib.pbkdf2_hmac(hash_name, password, base64.b64decode(SALT[hash_name]), 4096)
    client_key = hmac.digest(salted, b"Client Key", hash_name)
    stored = hashlib.new(hash_name, client_key).digest()
    return stored, hmac.digest(salted, b"Server Key", hash_name)


def challenged(
    hash_name: sasl.HashName, monkeypatch: pytest.MonkeyPatch, header: str = "n,,"
) -> Scram:
    """An exchange that has come to the client's proof, with the nonces of the RFC."""
    monkeypatch.setattr("secrets.token_urlsafe", lambda _: SERVER_NONCE[hash_name])
    exchange = Scram(hash_name)
    first = f"{header}n=user,r={NONCE[hash_name]}"
    assert exchange.first(first.encode()) == "user"
    said = exchange.challenge(base64.b64decode(SALT[hash_name]), 4096, [keys(hash_name)])
    nonce = NONCE[hash_name] + SERVER_NONCE[hash_name]
    assert said.decode() == f"r={nonce},s={SALT[hash_name]},i=4096"
    return exchange


def final(hash_name: str, *, binding: str = "biws", nonce: str = "", proof: str = "") -> bytes:
    nonce = nonce or NONCE[hash_name] + SERVER_NONCE[hash_name]
    return f"c={binding},r={nonce},p={proof or PROOF[hash_name]}".encode()


def condition_of(what: Callable[[], object]) -> str:
    with pytest.raises(SaslError) as refused:
        what()
    return refused.value.condition


@pytest.mark.parametrize("hash_name", HASHES)
def test_scram_example_of_the_rfc_gives_its_server_proof(
    hash_name: sasl.HashName, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 5802 section 5 and RFC 7677 section 3, byte for byte."""
    exchange = challenged(hash_name, monkeypatch)
    assert exchange.finish(final(hash_name)) == b"v=" + SERVER_PROOF[hash_name].encode()


@pytest.mark.parametrize("hash_name", HASHES)
def test_scram_with_anything_wrong_is_not_authorized(
    hash_name: sasl.HashName, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proof, nonce and channel binding data are each checked."""
    size = hashlib.new(hash_name).digest_size
    nonce = NONCE[hash_name] + SERVER_NONCE[hash_name]
    flipped = bytearray(base64.b64decode(PROOF[hash_name]))
    flipped[0] ^= 1
    wrong = [
        final(hash_name, proof=sasl.encode(bytes(flipped))),
        final(hash_name, proof=sasl.encode(b"\0" * size)),
        final(hash_name, proof=sasl.encode(b"\0" * (size - 1))),
        final(hash_name, proof=PROOF["sha1" if hash_name == "sha256" else "sha256"]),
        final(hash_name, nonce=nonce + "x"),
        final(hash_name, nonce=NONCE[hash_name]),
        final(hash_name, binding=sasl.encode(b"y,,")),
        final(hash_name, binding=sasl.encode(b"n,a=other,")),
        final(hash_name, binding=sasl.encode(b"p=tls-exporter,,xyz")),
        final(hash_name, binding="?"),
    ]
    for each in wrong:
        exchange = challenged(hash_name, monkeypatch)
        assert condition_of(lambda e=exchange, w=each: e.finish(w)) == "not-authorized", each


@pytest.mark.parametrize("hash_name", HASHES)
@pytest.mark.parametrize("wrong", ["", "binding", "nonce", "nonce of the client"])
def test_scram_with_a_proof_over_wrong_binding_or_nonce_is_not_authorized(
    hash_name: sasl.HashName, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who knows the password can prove anything, so both are compared as well."""
    exchange = challenged(hash_name, monkeypatch)
    whole = NONCE[hash_name] + SERVER_NONCE[hash_name]
    binding = sasl.encode(b"y,," if wrong == "binding" else b"n,,")
    nonce = {"nonce": whole + "x", "nonce of the client": NONCE[hash_name]}.get(wrong, whole)
    salt = base64.b64decode(SALT[hash_name])
    salted = hashlib.pbkdf2_hmac(hash_name, b"pencil", salt, 4096)
    client_key = hmac.digest(salted, b"Client Key", hash_name)
    signed = (
        f"n=user,r={NONCE[hash_name]},r={whole},s={SALT[hash_name]},i=4096,c={binding},r={nonce}"
    )
    signature = hmac.digest(keys(hash_name)[0], signed.encode(), hash_name)
    proof = sasl.encode(bytes(a ^ b for a, b in zip(client_key, signature, strict=True)))
    said = final(hash_name, binding=binding, nonce=nonce, proof=proof)
    if not wrong:
        assert exchange.finish(said).startswith(b"v=")
    else:
        assert condition_of(lambda: exchange.finish(said)) == "not-authorized"


@pytest.mark.parametrize("hash_name", HASHES)
def test_scram_with_the_keys_of_another_password_is_not_authorized(
    hash_name: sasl.HashName, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The right messages against an account with another verifier."""
    exchange = challenged(hash_name, monkeypatch)
    exchange.challenge(base64.b64decode(SALT[hash_name]), 4096, [keys(hash_name, b"pencils")])
    assert condition_of(lambda: exchange.finish(final(hash_name))) == "not-authorized"


@pytest.mark.parametrize("hash_name", HASHES)
@pytest.mark.parametrize("others", [0, 1, 20])
def test_scram_with_one_of_several_passwords_is_known_by_its_place(
    hash_name: sasl.HashName, others: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each gets the proof of its own server key, as if it were the only one."""
    exchange = challenged(hash_name, monkeypatch)
    all_keys = [keys(hash_name, b"other %d" % n) for n in range(others)]
    all_keys.append(keys(hash_name))
    all_keys.append(keys(hash_name, b"pencils"))
    exchange.challenge(base64.b64decode(SALT[hash_name]), 4096, all_keys)
    assert exchange.matched == -1
    assert exchange.finish(final(hash_name)) == b"v=" + SERVER_PROOF[hash_name].encode()
    assert exchange.matched == others


@pytest.mark.parametrize("hash_name", HASHES)
def test_scram_of_an_account_without_a_password_is_not_authorized(
    hash_name: sasl.HashName, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a salt, and nothing that fits."""
    exchange = challenged(hash_name, monkeypatch)
    exchange.challenge(base64.b64decode(SALT[hash_name]), 4096, [])
    assert condition_of(lambda: exchange.finish(final(hash_name))) == "not-authorized"


def test_scram_proof_covers_the_extensions_in_the_final_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An extension that was put in on the way breaks the proof, and does not break the parser."""
    exchange = challenged("sha1", monkeypatch)
    changed = final("sha1").replace(b",p=", b",x=1,p=")
    assert condition_of(lambda: exchange.finish(changed)) == "not-authorized"


MALFORMED_FINALS = [
    b"",
    b"p=x",
    b"c=biws,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
    b"c=biws,r=abc",
    b"r=abc,c=biws,p=YQ==",
    b"c=,r=abc,p=YQ==",
    b"c=biws,r=abc,p=",
    b"c=biws,r=abc,p=YQ==,x=1",
    b"c=biws,r=a\x7fc,p=YQ==",
    b"\xff",
]


@pytest.mark.parametrize("raw", MALFORMED_FINALS)
def test_scram_final_message_out_of_form_is_malformed(
    raw: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing, swapped and strange attributes."""
    exchange = challenged("sha1", monkeypatch)
    assert condition_of(lambda: exchange.finish(raw)) == "malformed-request"


def test_scram_proof_that_is_no_base64_is_malformed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything else is right about it."""
    exchange = challenged("sha1", monkeypatch)
    assert condition_of(lambda: exchange.finish(final("sha1", proof="?"))) == "malformed-request"


@pytest.mark.parametrize(
    ("raw", "username", "authzid"),
    [
        (b"n,,n=user,r=abc", "user", ""),
        (b"y,,n=user,r=abc", "user", ""),
        (b"n,a=other,n=user,r=abc", "user", "other"),
        (b"n,,n=a=2Cb=3Dc,r=abc", "a,b=c", ""),
        (b"n,a==2C=3D,n==3D2C,r=abc", "=2C", ",="),
        ("n,,n=grüße😀,r=abc".encode(), "grüße😀", ""),
        (b"n,,n=user,r=abc,x=extension", "user", ""),
    ],
)
def test_scram_first_message_gives_username_and_authzid(
    raw: bytes, username: str, authzid: str
) -> None:
    """``=2C`` and ``=3D`` are a comma and an equals sign."""
    exchange = Scram("sha256")
    assert exchange.first(raw) == username
    assert (exchange.username, exchange.authzid) == (username, authzid)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"n,,",
        b"n,,n=user",
        b"n,,r=abc",
        b"n,,n=,r=abc",
        b"n,,n=user,r=",
        b"n=user,r=abc",
        b"n,n=user,r=abc",
        b"n,,n=user,r=a c",
        b"n,,n=user,r=a\x7fc",
        b"n,,r=abc,n=user",
        b"n,,n=us=er,r=abc",
        b"n,,n=us=2cer,r=abc",
        b"n,,n=user=,r=abc",
        b"n,a==41,n=user,r=abc",
        b"n,,m=mandatory,n=user,r=abc",
        b"x,,n=user,r=abc",
        b"N,,n=user,r=abc",
        b"p,,n=user,r=abc",
        b"p=tls-exporter,,n=user,r=abc",
        b"n=tls-unique,,n=user,r=abc",
        b"n,,n=\xff,r=abc",
        b"n,,n=\xed\xa0\x80,r=abc",
    ],
)
def test_scram_first_message_out_of_form_is_malformed(raw: bytes) -> None:
    """Among them each form of channel binding, which is not offered."""
    assert condition_of(lambda: Scram("sha1").first(raw)) == "malformed-request"


def test_scram_nonce_is_the_clients_and_more_and_never_the_same() -> None:
    """The server's part has at least 18 random bytes."""
    said = set()
    for _ in range(50):
        exchange = Scram("sha1")
        exchange.first(b"n,,n=user,r=abc")
        nonce = exchange.challenge(b"salt", 4096, []).decode().split(",")[0]
        assert nonce.startswith("r=abc")
        assert len(nonce) >= len("r=abc") + 24
        said.add(nonce)
    assert len(said) == 50


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"\0tim\0tanstaaftanstaaf", ("", "tim", "tanstaaftanstaaf")),
        (b"Ursel\0Kurt\0xipj3plmq", ("Ursel", "Kurt", "xipj3plmq")),
        ("\0grüße\0пароль😀".encode(), ("", "grüße", "пароль😀")),
        (b"\0a\0 ,=\n", ("", "a", " ,=\n")),
    ],
)
def test_plain_gives_its_three_parts(raw: bytes, expected: tuple[str, str, str]) -> None:
    """The examples of RFC 4616 section 4, and other scripts."""
    assert sasl.plain(raw) == expected


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0",
        b"\0\0",
        b"a\0b",
        b"\0a\0",
        b"\0\0b",
        b"a\0\0b",
        b"\0a\0b\0",
        b"\0a\0b\0c",
        b"\0a\0\xff",
        b"\0a\0\xc0\x80",
        b"\0a\0\xed\xa0\x80",
    ],
)
def test_plain_out_of_form_is_malformed(raw: bytes) -> None:
    """Too few or too many parts, empty ones, and what is no UTF-8."""
    assert condition_of(lambda: sasl.plain(raw)) == "malformed-request"


RFC_7628 = (
    "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyI"
    "HZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
)
TOKEN = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="


def test_bearer_example_of_the_rfc_gives_user_and_token() -> None:
    """RFC 7628 section 4.1."""
    assert sasl.bearer(sasl.decode(RFC_7628)) == ("user@example.com", TOKEN)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"n,,\x01auth=Bearer abc\x01\x01", ("", "abc")),
        (b"y,,\x01auth=Bearer abc\x01\x01", ("", "abc")),
        (b"n,,\x01auth=bearer  a.b-c_d~e+f/g=\x01\x01", ("", "a.b-c_d~e+f/g=")),
        (b"n,,\x01host=h\x01auth=Bearer abc\x01port=1\x01\x01", ("", "abc")),
        (b"n,a=a=2Cb=3D,\x01auth=Bearer abc\x01\x01", ("a,b=", "abc")),
    ],
)
def test_bearer_in_its_variants_is_read(raw: bytes, expected: tuple[str, str]) -> None:
    """The scheme in any case, other pairs around it, escapes in the name."""
    assert sasl.bearer(raw) == expected


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x01",
        b"n,,",
        b"n,,\x01\x01",
        b"n,\x01auth=Bearer abc\x01\x01",
        b"n\x01auth=Bearer abc\x01\x01",
        b"n,,,\x01auth=Bearer abc\x01\x01",
        b"n,user,\x01auth=Bearer abc\x01\x01",
        b"p=tls-exporter,,\x01auth=Bearer abc\x01\x01",
        b"n,a==41,\x01auth=Bearer abc\x01\x01",
        b"n,,\x01auth=Basic abc\x01\x01",
        b"n,,\x01auth=Bearer \x01\x01",
        b"n,,\x01auth=Bearer a b\x01\x01",
        b"n,,\x01auth=Bearer a\0\x01\x01",
        b"n,,\x01xauth=Bearer abc\x01\x01",
        b"n,,\x01auth=Bearer \xff\x01\x01",
    ],
)
def test_bearer_out_of_form_is_malformed(raw: bytes) -> None:
    """No token, another scheme, a wrong header."""
    assert condition_of(lambda: sasl.bearer(raw)) == "malformed-request"


def test_bearer_error_is_json_with_a_status() -> None:
    """RFC 7628 section 3.2.2."""
    assert json.loads(sasl.bearer_error()) == {"status": "invalid_token"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [(None, b""), ("", b""), ("=", b""), (" = ", b""), ("AGEAYg==", b"\0a\0b"), ("\nYQ==\n", b"a")],
)
def test_decode_of_base64_gives_its_bytes(content: str | None, expected: bytes) -> None:
    """RFC 6120 section 6.4.2: ``=`` is an empty message."""
    assert sasl.decode(content) == expected


@pytest.mark.parametrize(
    "content", ["?", "YQ", "YQ=", "Y Q==", "YQ==\0", "é", "==", "YQ==YQ==", "-_"]
)
def test_decode_of_other_text_is_incorrect_encoding(content: str) -> None:
    """The URL-safe alphabet is another one."""
    assert condition_of(lambda: sasl.decode(content)) == "incorrect-encoding"


def test_decode_of_too_much_is_malformed() -> None:
    """Its bound is on what is inside."""
    assert len(sasl.decode(sasl.encode(b"x" * sasl.MAX_BYTES))) == sasl.MAX_BYTES
    too_much = sasl.encode(b"x" * (sasl.MAX_BYTES + 1))
    assert condition_of(lambda: sasl.decode(too_much)) == "malformed-request"


NEARLY = st.text("npy,=acr2CD3\0\x01 é").map(str.encode) | st.binary(max_size=100)


@given(NEARLY, NEARLY)
def test_random_bytes_raise_only_sasl_errors(first: bytes, second: bytes) -> None:
    """Whatever a client sends, at each step of each mechanism."""
    exchange = Scram("sha256")
    exchange.first(b"n,,n=user,r=abc")
    exchange.challenge(b"salt", 4096, [keys("sha256")])
    steps: list[Callable[[], object]] = [
        lambda: sasl.plain(first),
        lambda: sasl.bearer(first),
        lambda: sasl.bearer(b"n,," + first + b"\x01auth=Bearer " + second),
        lambda: Scram("sha1").first(first),
        lambda: Scram("sha1").first(b"n," + first + b",n=" + second),
        lambda: exchange.finish(second),
        lambda: exchange.finish(b"c=" + first + b",r=" + second + b",p=YQ=="),
        lambda: sasl.decode(first.decode("latin-1")),
    ]
    for step in steps:
        try:
            step()
        except SaslError as error:
            assert error.condition in ("malformed-request", "not-authorized", "incorrect-encoding")


@given(st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda name: "\0" not in name))
def test_scram_username_of_any_text_comes_out_as_it_was_escaped(name: str) -> None:
    """Commas and equals signs included."""
    escaped = name.replace("=", "=3D").replace(",", "=2C")
    assert Scram("sha1").first(f"n,a={escaped},n={escaped},r=abc".encode()) == name
