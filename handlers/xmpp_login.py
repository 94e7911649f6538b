"""SASL over an XMPP stream: who the peer is."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from server.clients import ClientNode
from server.errors import ChatError, Close, StorageAway
from server.model import User
from server.passwords import ScramVerifier, app_number
from server.services import Services
from server.tokens import Identity
from stanzas import sasl
from stanzas.sasl import SaslError, Scram
from stanzas.stream import sasl as element_of
from stanzas.stream import sasl_failure
from stanzas.xml import Element

TRIES = 3
"""Failed attempts on one stream before it is closed."""

_HASHES: dict[str, sasl.HashName] = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256"}


class LoggedIn(NamedTuple):
    """Who logged in; ``sid`` of the session or app password that was used, or empty."""

    user: User
    sid: str


class Login:
    """One stream's attempts. ``is_private``: nobody can listen, so PLAIN may be used."""

    def __init__(self, services: Services, is_private: Callable[[], bool]) -> None:
        self._services = services
        self._domain = services.settings.xmpp.domain
        self._is_private = is_private
        self._failures = 0
        self._scram: Scram | None = None
        self._verifier: ScramVerifier | None = None
        self._bearer_refused = False

    @property
    def has_tried_enough(self) -> bool:
        return self._failures >= TRIES

    def mechanisms(self) -> tuple[str, ...]:
        """What is offered as things stand, the strongest first."""
        offered: tuple[str, ...] = sasl.MECHANISMS
        if not self._services.settings.auth.scram:
            offered = tuple(name for name in offered if name not in _HASHES)
        if not self._is_private():
            offered = tuple(name for name in offered if name in _HASHES)
        return offered

    async def outdated(self, node: ClientNode) -> Close | None:
        """Why a connection that was just bound has to end after all.

        What ended its session meanwhile did not find it yet.
        """
        services = self._services
        try:
            user = await services.accounts.user(node.userid)
            if user is None:
                return Close.DISABLED
            if user.jid != node.user.jid:
                return Close.SESSION_ENDED
            if app_number(node.sid) is not None:
                if not await services.app_passwords.is_there(node.userid, node.sid):
                    return Close.SESSION_ENDED
            elif node.sid:
                await services.tokens.check_alive(Identity(node.userid, node.sid))
        except ChatError:
            return Close.SESSION_ENDED
        except StorageAway:
            return Close.RESTART
        return None

    async def step(self, element: Element, address: str) -> tuple[str, LoggedIn | None]:
        """One SASL element of the peer: the answer, and who it is when that is clear now."""
        try:
            return await self._step(element, address)
        except SaslError as error:
            self._reset()
            self._failures += 1
            self._services.metrics.login(error.condition)
            return sasl_failure(error.condition, str(error)), None
        except ChatError as error:
            self._reset()
            self._failures += 1
            self._services.metrics.login(error.slug)
            wrong = error.slug == "not-logged-in"
            condition = "not-authorized" if wrong else "temporary-auth-failure"
            return sasl_failure(condition, "" if wrong else error.detail), None
        except StorageAway:
            self._reset()
            return sasl_failure("temporary-auth-failure", "the database is away"), None

    def _reset(self) -> None:
        self._scram = self._verifier = None
        self._bearer_refused = False

    async def _step(self, element: Element, address: str) -> tuple[str, LoggedIn | None]:
        name = element.tag.rpartition("}")[2]
        if name == "abort":
            raise SaslError("aborted")
        raw = sasl.decode(element.text)
        if name == "response":
            return await self._response(raw, address)
        self._reset()
        mechanism = element.get("mechanism", "")
        if mechanism not in self.mechanisms():
            raise SaslError("invalid-mechanism")
        if mechanism in _HASHES:
            return await self._scram_first(_HASHES[mechanism], raw, address)
        if mechanism == "PLAIN":
            return element_of("success"), await self._plain(sasl.plain(raw), address)
        return await self._bearer(sasl.bearer(raw))

    async def _scram_first(
        self, hash_name: sasl.HashName, raw: bytes, address: str
    ) -> tuple[str, None]:
        scram = Scram(hash_name)
        username = scram.first(raw)
        self._check_authzid(scram.authzid, username)
        self._services.accounts.check_login_rate(address, username)
        verifier = await self._services.accounts.verifier(username, hash_name)
        self._scram, self._verifier = scram, verifier
        keys = [(one.stored_key, one.server_key) for one in verifier.keys]
        challenge = scram.challenge(verifier.salt, verifier.iterations, keys)
        return element_of("challenge", sasl.encode(challenge)), None

    async def _response(self, raw: bytes, address: str) -> tuple[str, LoggedIn | None]:
        if self._bearer_refused:
            raise SaslError("not-authorized")
        scram, verifier = self._scram, self._verifier
        if scram is None or verifier is None:
            raise SaslError("malformed-request")
        try:
            proof = scram.finish(raw)
        except SaslError:
            delay = self._services.accounts.login_failed(address, scram.username)
            await asyncio.sleep(delay)
            raise
        if verifier.user is None:
            raise SaslError("not-authorized")
        self._services.accounts.login_succeeded(address, scram.username)
        found = LoggedIn(verifier.user, verifier.keys[scram.matched].sid)
        return element_of("success", sasl.encode(proof)), found

    async def _plain(self, said: sasl.Plain, address: str) -> LoggedIn:
        """The password, an app password, or the access token of an HTTP login."""
        self._check_authzid(said.authzid, said.authcid)
        if said.password.count(".") == 2:
            found = await self._by_token(said.password)
            if found is not None:
                named = await self._services.accounts.find(said.authcid)
                if named is not None and named.id == found.user.id:
                    return found
        services = self._services
        by_app = await services.app_passwords.log_in(said.authcid, said.password, address)
        if by_app is not None:
            return LoggedIn(*by_app)
        user = await services.accounts.log_in(
            username=said.authcid, password=said.password, address=address
        )
        return LoggedIn(user, "")

    async def _bearer(self, said: sasl.Bearer) -> tuple[str, LoggedIn | None]:
        found = await self._by_token(said.token)
        if found is not None and said.authzid:
            local, _, domain = said.authzid.partition("@")
            named = await self._services.accounts.find(local)
            if domain not in ("", self._domain) or named is None or named.id != found.user.id:
                raise SaslError("invalid-authzid")
        if found is None:
            self._bearer_refused = True
            return element_of("challenge", sasl.encode(sasl.bearer_error())), None
        return element_of("success"), found

    async def _by_token(self, token: str) -> LoggedIn | None:
        try:
            identity = await self._services.tokens.verify(token)
        except ChatError:
            return None
        user = await self._services.accounts.user(identity.userid)
        return LoggedIn(user, identity.sid) if user else None

    def _check_authzid(self, authzid: str, authcid: str) -> None:
        """Nobody acts for somebody else (RFC 6120 section 6.3.8)."""
        if authzid and authzid.lower() not in (
            authcid.lower(),
            f"{authcid}@{self._domain}".lower(),
        ):
            raise SaslError("invalid-authzid")
