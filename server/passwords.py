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


class ScramVerifier(NamedTuple):
    """What the server keeps of a password for SCRAM. ``user`` None: a made-up one."""

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes
    user: User | None


def normalise(password: str) -> str:
    """The password as all protocols derive from it: NFKC, the part of SASLprep that matters."""
    return unicodedata.normalize("NFKC", password)


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
        return await self._run(lambda: self._derive(normalise(password)))

    async def check(self, stored: str | None, password: str) -> bool:
        """Whether it is the password; takes the same time for an account that does not exist."""
        return await self._run(lambda: self._verify(stored, normalise(password)))

    def needs_upgrade(self, document: dict[str, Any]) -> bool:
        """Whether the stored hashes are not what the settings ask for now."""
        if self._hasher.check_needs_rehash(document["password"]):
            return True
        wanted = self._iterations() if self._auth.scram else {}
        present = {name: entry["iterations"] for name, entry in document.get("scram", {}).items()}
        return present != wanted

    def verifier(
        self, document: dict[str, Any] | None, user: User | None, name: str, hash_name: HashName
    ) -> ScramVerifier:
        """The stored verifier, or one that no password fits but that looks the same each time."""
        entry = (document or {}).get("scram", {}).get(hash_name)
        if entry is None:
            return self._made_up(name, hash_name)
        return ScramVerifier(
            entry["salt"], entry["iterations"], entry["stored_key"], entry["server_key"], user
        )

    def _iterations(self) -> dict[str, int]:
        return {
            "sha1": self._auth.scram_sha1_iterations,
            "sha256": self._auth.scram_sha256_iterations,
        }

    def _derive(self, password: str) -> dict[str, Any]:
        fields: dict[str, Any] = {"password": self._hasher.hash(password), "scram": {}}
        if self._auth.scram:
            for hash_name, iterations in self._iterations().items():
                salt = secrets.token_bytes(16)
                salted = hashlib.pbkdf2_hmac(hash_name, password.encode(), salt, iterations)
                client_key = hmac.digest(salted, b"Client Key", hash_name)
                fields["scram"][hash_name] = {
                    "salt": salt,
                    "iterations": iterations,
                    "stored_key": hashlib.new(hash_name, client_key).digest(),
                    "server_key": hmac.digest(salted, b"Server Key", hash_name),
                }
        return fields

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
            secrets.token_bytes(size),
            secrets.token_bytes(size),
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
