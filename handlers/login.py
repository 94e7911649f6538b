"""Getting in and out: register, login, token refresh, logout, WebSocket tickets."""

import msgspec

from handlers.api import ApiHandler, Input, endpoint
from handlers.fields import Mobile, Nickname, Password, Username
from server.errors import ChatError
from server.model import Id, User


class Registration(Input):
    """Username and mobile number may each be left out; the id is enough to log in."""

    password: Password
    username: Username | None = None
    mobile: Mobile | None = None
    nickname: Nickname | None = None


class Credentials(Input):
    """A password and exactly one of the three names of an account."""

    password: str
    username: str | None = None
    mobile: str | None = None
    id: Id | None = None


class RefreshToken(Input):
    """The refresh token of the last login or refresh; it works once."""

    refresh_token: str


class Leaving(Input):
    """``all``: end every session of this account, not only this one."""

    all: bool = False


class LoggedIn(msgspec.Struct):
    """A new session. ``expires_in``: seconds that ``token`` works."""

    id: int
    username: str
    jid: str
    token: str
    refresh_token: str
    expires_in: int


class Tokens(msgspec.Struct):
    """The next pair of a session."""

    token: str
    refresh_token: str
    expires_in: int


class Ticket(msgspec.Struct):
    """Single-use stand-in for the access token. ``expires_in``: seconds."""

    ticket: str
    expires_in: int


class SessionOpener(ApiHandler):
    """Base of the two calls that end with a new session."""

    async def logged_in(self, user: User) -> LoggedIn:
        """Opens a session for ``user``, whose right to it was checked."""
        pair = await self.services.tokens.open_session(user, self.device, self.address)
        return LoggedIn(
            user.id, user.username, user.jid, pair.token, pair.refresh_token, pair.expires_in
        )


class Register(SessionOpener):
    """``/api/register``"""

    @endpoint("registration-closed", "taken", "slow-down", "busy", status=201, public=True)
    async def post(self, body: Registration) -> LoggedIn:
        """Make an account and log in."""
        user = await self.services.accounts.register(
            username=body.username,
            mobile=body.mobile,
            password=body.password,
            nickname=body.nickname,
            address=self.address,
        )
        return await self.logged_in(user)


class Login(SessionOpener):
    """``/api/login``"""

    @endpoint("not-logged-in", "slow-down", "busy", public=True)
    async def post(self, body: Credentials) -> LoggedIn:
        """Log in with a password.

        The answer to a wrong pair is the same, and as slow, whether the account exists or not.
        """
        names = {"username": body.username, "mobile": body.mobile, "id": body.id}
        if sum(name is not None for name in names.values()) != 1:
            wrong = {field: "exactly one of username, mobile and id" for field in names}
            raise ChatError("invalid", "some fields are wrong", fields=wrong)
        metrics = self.services.metrics
        try:
            user = await self.services.accounts.log_in(
                username=body.username,
                mobile=body.mobile,
                userid=body.id,
                password=body.password,
                address=self.address,
            )
        except ChatError as error:
            metrics.login(error.slug)
            raise
        metrics.login("ok")
        return await self.logged_in(user)


class Refresh(ApiHandler):
    """``/api/token``"""

    @endpoint("not-logged-in", public=True)
    async def post(self, body: RefreshToken) -> Tokens:
        """Trade the refresh token for a new pair.

        Using a spent one again ends its session.
        """
        _, pair = await self.services.tokens.refresh(body.refresh_token, self.address)
        return Tokens(pair.token, pair.refresh_token, pair.expires_in)


class Logout(ApiHandler):
    """``/api/logout``"""

    @endpoint()
    async def post(self, body: Leaving) -> None:
        """End this session, or all of this account's.

        Its tokens stop working at once; its sockets are closed with 4401.
        """
        if body.all:
            await self.services.tokens.end_all(self.identity.userid)
        else:
            await self.services.tokens.end_session(self.identity)


class TicketOffice(ApiHandler):
    """``/api/ticket``"""

    @endpoint()
    async def post(self) -> Ticket:
        """Get a ticket to put into a WebSocket's address instead of the token."""
        ticket = self.services.tokens.make_ticket(self.identity)
        return Ticket(ticket, self.services.settings.auth.ticket_s)
