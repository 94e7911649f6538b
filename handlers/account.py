"""One's own account: password, sessions, app passwords, export, deletion."""

import msgspec

from handlers.api import ApiHandler, Input, Streamed, endpoint
from handlers.fields import DeviceName, Password
from handlers.ops import websocket_address
from server.app_passwords import AppPassword, NewAppPassword
from server.errors import ChatError
from server.export import Exported
from server.tokens import Session


class NewPassword(Input):
    """The present password and the next one."""

    old: str
    new: Password


class Farewell(Input):
    """The password, so that nobody deletes an account that was left open somewhere."""

    password: str


class AppPasswordName(Input):
    """What the device or program is called."""

    name: DeviceName


class Sessions(msgspec.Struct):
    """The last seen first."""

    sessions: list[Session]
    more: bool


class AppPasswordList(msgspec.Struct):
    """The oldest first."""

    app_passwords: list[AppPassword]
    more: bool


class XmppWays(msgspec.Struct):
    """How XMPP clients reach this account: where, with RFC 6120 and 7395, they find its domain."""

    jid: str
    domain: str
    port: int
    tls_port: int
    websocket: str


class OwnerHandler(ApiHandler):
    """Base of the calls that ask for the password once more."""

    async def confirm(self, field: str, password: str) -> None:
        """Raises ``not-allowed`` if it is not the account's password, and as a login does."""
        try:
            await self.services.accounts.log_in(
                userid=self.identity.userid, password=password, address=self.address
            )
        except ChatError as error:
            if error.slug != "not-logged-in":
                raise
            # Not 401: that would tell the client that its token is bad.
            fields = {field: "this is not the password"}
            raise ChatError("not-allowed", "the password is wrong", fields=fields) from error


class OwnPassword(OwnerHandler):
    """``/api/me/password``"""

    @endpoint("not-allowed", "slow-down", "busy")
    async def post(self, body: NewPassword) -> None:
        """Change one's own password.

        Every other session ends, and so do all XMPP streams; app passwords are revoked.
        """
        services, identity = self.services, self.identity
        await self.confirm("old", body.old)
        try:
            await services.accounts.set_password(identity.userid, body.new)
        except ChatError as error:
            if error.fields and "password" in error.fields:
                fields = {"new": error.fields["password"]}
                raise ChatError(error.slug, error.detail, fields=fields) from error
            raise
        await services.tokens.end_all(identity.userid, but_sid=identity.sid)


class OwnSessions(ApiHandler):
    """``/api/me/sessions``"""

    @endpoint()
    async def get(self) -> Sessions:
        """List where one is logged in."""
        found = await self.services.tokens.sessions(*self.identity)
        return Sessions(found, more=False)


class OneSession(ApiHandler):
    """``/api/me/sessions/{sid}``"""

    @endpoint()
    async def delete(self, sid: str) -> None:
        """End a session: its tokens stop working, its sockets are closed with 4401."""
        await self.services.tokens.end_other(self.identity.userid, sid)


class OwnAppPasswords(ApiHandler):
    """``/api/me/app-passwords``"""

    @endpoint()
    async def get(self) -> AppPasswordList:
        """List the app passwords, without the passwords themselves."""
        found = await self.services.app_passwords.all(self.identity.userid)
        return AppPasswordList(found, more=False)

    @endpoint("bad-field", "conflict", "slow-down", "busy", status=201)
    async def post(self, body: AppPasswordName) -> NewAppPassword:
        """Make a password for one XMPP client. It is shown only now."""
        return await self.services.app_passwords.make(self.identity.userid, body.name)


class OneAppPassword(ApiHandler):
    """``/api/me/app-passwords/{id}``"""

    @endpoint()
    async def delete(self, id: int) -> None:
        """Revoke an app password: the XMPP streams that logged in with it end."""
        await self.services.app_passwords.revoke(self.identity.userid, id)


class OwnXmpp(ApiHandler):
    """``/api/me/xmpp``"""

    @endpoint()
    async def get(self) -> XmppWays:
        """Read what an XMPP client has to be told."""
        xmpp = self.services.settings.xmpp
        me = await self.services.profiles.read(self.identity.userid)
        return XmppWays(me.jid, xmpp.domain, xmpp.port, xmpp.tls_port, websocket_address(self))


class OwnExport(ApiHandler):
    """``/api/me/export``"""

    @endpoint("slow-down")
    async def get(self) -> Streamed[Exported]:
        """Download everything that the service has of one.

        Where the answer breaks off, which a reader of JSON notices, the database went away.
        """
        document = self.services.exports.of(self.identity.userid)
        self.set_header("Content-Disposition", 'attachment; filename="export.json"')
        return Streamed(document)
