"""Passwords: argon2id, and SCRAM verifiers (RFC 5802, 7677) for XMPP; never the password itself.

All derivations run in a bounded pool of threads: when it is full, the answer is 503 ``busy``.
"""

import asyncio
import hashlib
import hmac
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NamedTuple, TypeVar

import argon2

from server.errors import ChatError
from server.model import User
from server.settings import Auth

HashName = Literal["sha1", "sha256"]
T = TypeVar("T")

MIN_CHARS, MAX_CHARS = 8, 256


class ScramKeys(NamedTuple):
    """What the server keeps of one password for SCRAM. ``sid``: what a login with it is named."""

    stored_key: bytes
    server_key: bytes
    sid: str = ""


class ScramVerifier(NamedTuple):
    """How an account's passwords are salted, and ``keys`` for each. ``user`` None: a made-up one.

    SCRAM names the salt before it knows which password the client has, so all have the same.
    """

    salt: bytes
    iterations: int
    keys: tuple[ScramKeys, ...]
    user: User | None


def normalise(password: str) -> str:
    """The password as all protocols derive from it: NFKC, the part of SASLprep that matters."""
    return unicodedata.normalize("NFKC", password)


def app_sid(number: int) -> str:
    """What a login with this app password is named, where one with a token has its session."""
    return f"app:{number}"


def app_number(sid: str) -> int | None:
    """The app password that a login is named after, if it is."""
    kind, _, number = sid.partition(":")
    return int(number) if kind == "app" else None


def flaw(password: str) -> str | None:
    """Why a password is not accepted, or None."""
    if not MIN_CHARS <= len(password) <= MAX_CHARS:
        return f"needs {MIN_CHARS} to {MAX_CHARS} characters"
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in password):
        return "must not have control characters"
    return None


class Passwords:
    """Derives and checks; ``close`` waits for what runs."""

    def __init__(self, auth: Auth, secret: bytes) -> None:
        self._auth = auth
        self._secret = secret
        self._hasher = argon2.PasswordHasher(
            time_cost=auth.argon2_passes, memory_cost=auth.argon2_memory_kib, parallelism=1
        )
        self._pool = ThreadPoolExecutor(auth.hash_threads, thread_name_prefix="passwords")
        self._waiting = 0
        self._dummy = self._hasher.hash(secrets.token_hex())

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    async def hash(self, password: str) -> dict[str, Any]:
        """The fields of an account document that stand for this password."""
        return await self._run(lambda: self._derive(normalise(password), self._salts({})))

    async def upgrade(self, document: dict[str, Any], password: str) -> dict[str, Any]:
        """The same, as the settings ask for now, where app passwords still fit what is salted."""
        kept = document.get("scram", {}) if document.get("app_passwords") else {}
        return await self._run(lambda: self._derive(normalise(password), self._salts(kept)))

    async def hash_app_password(
        self, document: dict[str, Any], password: str
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """What stands for an app password, and the fields of the account that it needs beside.

        It is random and long, so a plain hash tells nobody what it is.
        """
        present = document.get("scram", {})
        salts = self._salts(present)
        scram = await self._run(lambda: _scram(password, salts))
        beside = {f"scram.{name}": salts[name] for name in salts.keys() - present.keys()}
        return {"hash": _sha256(password), "scram": scram}, beside

    async def check(self, stored: str | None, password: str) -> bool:
        """Whether it is the password; takes the same time for an account that does not exist."""
        return await self._run(lambda: self._verify(stored, normalise(password)))

    def needs_upgrade(self, document: dict[str, Any]) -> bool:
        """Whether the stored hashes are not what the settings ask for now."""
        if self._hasher.check_needs_rehash(document["password"]):
            return True
        scram = document.get("scram", {})
        kept = scram if document.get("app_passwords") else {}
        wanted = {name: entry["iterations"] for name, entry in self._salts(kept).items()}
        present = {n: entry["iterations"] for n, entry in scram.items() if "stored_key" in entry}
        return present != wanted

    def verifier(
        self, document: dict[str, Any] | None, user: User | None, name: str, hash_name: HashName
    ) -> ScramVerifier:
        """The stored verifier, or one that no password fits but that looks the same each time."""
        document = document or {}
        entry = document.get("scram", {}).get(hash_name)
        if entry is None:
            return self._made_up(name, hash_name)
        salt, iterations = entry["salt"], entry["iterations"]
        stored = [(entry, "")]
        for number, app in document.get("app_passwords", {}).items():
            stored.append((app["scram"].get(hash_name, {}), app_sid(int(number))))
        keys = tuple(
            ScramKeys(one["stored_key"], one["server_key"], sid)
            for one, sid in stored
            if "stored_key" in one and (one["salt"], one["iterations"]) == (salt, iterations)
        )
        return ScramVerifier(salt, iterations, keys, user)

    def _salts(self, kept: dict[str, Any]) -> dict[str, Any]:
        """Per hash the salt and the rounds: those that are kept, else new ones."""
        salts = {}
        for name, iterations in self._iterations().items() if self._auth.scram else ():
            entry = kept.get(name, {"salt": secrets.token_bytes(16), "iterations": iterations})
            salts[name] = {"salt": entry["salt"], "iterations": entry["iterations"]}
        return salts

    def _iterations(self) -> dict[str, int]:
        return {
            "sha1": self._auth.scram_sha1_iterations,
            "sha256": self._auth.scram_sha256_iterations,
        }

    def _derive(self, password: str, salts: dict[str, Any]) -> dict[str, Any]:
        return {"password": self._hasher.hash(password), "scram": _scram(password, salts)}

    def _verify(self, stored: str | None, password: str) -> bool:
        try:
            self._hasher.verify(stored or self._dummy, password)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False
        return stored is not None

    def _made_up(self, name: str, hash_name: HashName) -> ScramVerifier:
        salt = hmac.digest(self._secret, f"salt {hash_name} {name}".encode(), "sha256")[:16]
        size = hashlib.new(hash_name).digest_size
        return ScramVerifier(
            salt,
            self._iterations()[hash_name],
            (ScramKeys(secrets.token_bytes(size), secrets.token_bytes(size)),),
            None,
        )

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= self._auth.hash_queue:
            raise ChatError("busy", "too many logins at this moment; try again", retry_after=2)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1


def is_app_password(stored: dict[str, Any], password: str) -> bool:
    """Whether it is the app password that this stands for."""
    return hmac.compare_digest(stored["hash"], _sha256(password))


def _sha256(password: str) -> bytes:
    return hashlib.sha256(password.encode()).digest()


def _scram(password: str, salts: dict[str, Any]) -> dict[str, Any]:
    """Per hash the salt, the rounds and the keys (RFC 5802 section 3)."""
    fields = {}
    for name, entry in salts.items():
        raw = password.encode()
        salted = hashlib.pbkdf2_hmac(name, raw, entry["salt"], entry["iterations"])
        client_key = hmac.digest(salted, b"Client Key", name)
        fields[name] = {
            **entry,
            "stored_key": hashlib.new(name, client_key).digest(),
            "server_key": hmac.digest(salted, b"Server Key", name),
        }
    return fields
