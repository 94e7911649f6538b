"""One example of each body and each answer, for the OpenAPI document.

They are values of the very types, so one that does not fit is found by mypy or when this is
imported. They tell one story: Alice (10000) and Bob (10001) have the group Hikers (10002).
"""

from collections.abc import Iterable

import msgspec

from handlers import account, contacts, groups, history, invitations, login, ops, profile, uploads
from handlers.api import Problem
from server.app_passwords import AppPassword, NewAppPassword
from server.contacts import ContactView
from server.export import (
    Exported,
    ExportedContact,
    ExportedContacts,
    ExportedConversation,
    ExportedFile,
    ExportedGroup,
    ExportedItem,
    ExportedNode,
    Said,
)
from server.files import Offer
from server.group_shapes import GroupView, MemberView
from server.history import Page
from server.inbox import Conversation, ConversationSet, InboxPage
from server.invitations import Invitation, JoinRequest
from server.model import GROUP, SINGLE, Message
from server.profile import Me
from server.receipts import Receipt
from server.search import Results
from server.tokens import Session

ALICE, BOB, CAROL, HIKERS = 10000, 10001, 10003, 10002
NOW = 1_790_000_000_000
DAY = 86_400_000
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMDAwMCJ9.c2lnbmF0dXJl"
REFRESH_TOKEN = "oIWzq0dXn1hVY2xw4l0Z3A.uEQXm3m8c0mZ0V0l1nq3fB7h9k2s5d8g1j4l7p0r3t6"
CODE = "h3Jk9sLq2mXw7pRt5vYz1A"
PICTURE = "https://chat.example.org/files/0f3c5a7e9b1d2f4a6c8e0b2d4f6a8c9c.image~png/alps.png"
AVATAR = "https://example.org/alice.png"

_BOB = profile.Profile(
    id=BOB, username="bob", jid="bob@example.org", nickname="Bob", avatar="", sex="", memo=""
)
_ME = Me(
    id=ALICE,
    username="alice",
    jid="alice@example.org",
    mobile="+8613800000000",
    nickname="Alice",
    avatar=AVATAR,
    sex="f",
    memo="away until Monday",
    created=NOW - 90 * DAY,
)
_NICK = ExportedItem("1", "<nick xmlns='http://jabber.org/protocol/nick'>Alice</nick>", NOW - DAY)
_SESSION = Session(
    sid="oIWzq0dXn1hVY2xw4l0Z3A",
    device="Mozilla/5.0",
    address="192.0.2.7",
    created=NOW - DAY,
    seen=NOW,
    current=True,
)
_APP_PASSWORD = AppPassword(id=1, name="Conversations on the phone", created=NOW - DAY, used=NOW)
_CONTACT = ContactView(
    id=BOB,
    username="bob",
    jid="bob@example.org",
    nickname="Bob",
    avatar="",
    sex="",
    memo="Bob from the Alps",
    state="both",
    presence="online",
    status="",
)
_GROUP = GroupView(
    id=HIKERS,
    name="Hikers",
    avatar="",
    memo="On foot at weekends",
    owner=ALICE,
    role="owner",
    count=2,
    history="joined",
    muted_all=False,
    announcement="Saturday at eight",
    join="request",
)
_MEMBER = MemberView(
    id=BOB, nickname="Bob", nick="the guide", role="admin", muted_until=0, joined=NOW - DAY
)
_INVITATION = Invitation(
    id=174_983_260_123_456, code=CODE, by=ALICE, created=NOW, expires=NOW + 7 * DAY, uses=5
)
_REQUEST = JoinRequest(id=CAROL, nickname="Carol", text="May I come along?", created=NOW)
_MESSAGE = Message(
    id=351_843_720_888_320,
    userid=BOB,
    cmd=SINGLE,
    dstid=ALICE,
    media=1,
    content="Saturday at eight?",
    cid="7c0e-1",
    seq=17,
    ts=NOW,
    reactions={"👍": [ALICE]},
)
_PICTURE = Message(
    id=351_843_720_888_321,
    userid=BOB,
    cmd=GROUP,
    dstid=HIKERS,
    media=4,
    url=PICTURE,
    memo="the Alps",
    seq=3,
    ts=NOW,
    at=[ALICE],
)
_DRAFT = "Yes, and"

_VALUES: tuple[msgspec.Struct, ...] = (
    login.Registration(password="correct horse battery", username="alice", nickname="Alice"),
    login.Credentials(password="correct horse battery", username="alice"),
    login.RefreshToken(refresh_token=REFRESH_TOKEN),
    login.Leaving(all=False),
    login.LoggedIn(ALICE, "alice", "alice@example.org", TOKEN, REFRESH_TOKEN, expires_in=900),
    login.Tokens(TOKEN, REFRESH_TOKEN, expires_in=900),
    login.Ticket(ticket="kZ8q2Yw5Rv7nB1cX", expires_in=30),
    _ME,
    profile.ProfileChanges(nickname="Alice", avatar=AVATAR, memo="away until Monday"),
    account.Farewell(password="correct horse battery"),
    account.NewPassword(old="correct horse battery", new="staple battery horse"),
    account.Sessions([_SESSION], more=False),
    account.AppPasswordName(name=_APP_PASSWORD.name),
    account.AppPasswordList([_APP_PASSWORD], more=False),
    NewAppPassword(
        id=1,
        name=_APP_PASSWORD.name,
        password="k3vq7x-m2p9rt-h6wz4d-n8yc5b",
        jid="alice@example.org",
        created=NOW,
    ),
    account.XmppWays(
        jid=_ME.jid,
        domain="example.org",
        port=5222,
        tls_port=5223,
        websocket="wss://chat.example.org/xmpp-websocket",
    ),
    Exported(
        exported=NOW,
        profile=_ME,
        sessions=[_SESSION],
        app_passwords=[_APP_PASSWORD],
        contacts=ExportedContacts(
            [ExportedContact(BOB, "both", NOW - DAY, "Bob from the Alps", [])], blocks=[CAROL]
        ),
        groups=[ExportedGroup(HIKERS, "Hikers", "owner", NOW - DAY)],
        conversations=[ExportedConversation(f"{ALICE}-{BOB}", read=17, pinned=True)],
        files=[ExportedFile("alps.png", 204_800, "image/png", NOW, PICTURE)],
        published=[ExportedNode("http://jabber.org/protocol/nick", "presence", [_NICK])],
        private_xml=[],
        messages=[Said(**msgspec.structs.asdict(_MESSAGE))],
        group_messages=[],
    ),
    profile.Users([_BOB], more=False),
    _BOB,
    contacts.NewContact(id=BOB, memo="Bob from the Alps"),
    contacts.ContactName(memo="Bob from the Alps"),
    contacts.ContactList([_CONTACT], more=False),
    _CONTACT,
    groups.NewGroup(name="Hikers", members=[BOB], memo="On foot at weekends"),
    groups.GroupChanges(announcement="Saturday at eight", join="request"),
    groups.GroupList([_GROUP], more=False),
    _GROUP,
    groups.NewMember(id=BOB),
    groups.MemberChanges(role="admin", nick="the guide"),
    groups.MemberList([_MEMBER], more=False),
    _MEMBER,
    invitations.NewInvitation(expires_in=7 * DAY // 1000, uses=5),
    invitations.InvitationList([_INVITATION], more=False),
    _INVITATION,
    invitations.Code(code=CODE),
    invitations.NewRequest(text="May I come along?"),
    invitations.RequestList([_REQUEST], more=False),
    _REQUEST,
    history.ConversationChanges(chat=10, dstid=BOB, pinned=True, draft=_DRAFT),
    ConversationSet(SINGLE, BOB, pinned=True, muted=False, archived=False, draft=_DRAFT),
    InboxPage(
        [
            Conversation(
                chat=SINGLE,
                dstid=BOB,
                name="Bob",
                avatar="",
                seq=17,
                read=16,
                unread=1,
                mentioned=False,
                pinned=True,
                muted=False,
                archived=False,
                draft=_DRAFT,
                last=_MESSAGE,
            )
        ],
        more=True,
        next=f"{_MESSAGE.id}.{ALICE}-{BOB}",
    ),
    Page([_MESSAGE], more=False),
    Results([_PICTURE, _MESSAGE], more=False),
    history.ReceiptList([Receipt(userid=BOB, delivered=17, read=16)], more=False),
    uploads.NewUpload(name="alps.png", size=204_800, type="image/png"),
    Offer(
        put=f"{PICTURE}?slot=k7Qm2vXw",
        get=PICTURE,
        headers={"Content-Type": "image/png"},
        expires_in=600,
    ),
    ops.State("ok"),
    ops.HostMeta([ops.Link(ops.WEBSOCKET_REL, "wss://chat.example.org/xmpp-websocket")]),
    Problem(
        type="/problems/invalid",
        title="Invalid fields",
        status=422,
        detail="some fields are wrong",
        errors={"password": "needs 8 to 256 characters"},
    ),
)


def _by_type(values: Iterable[msgspec.Struct]) -> dict[type, object]:
    return {type(value): _without_nulls(value) for value in values}


def _without_nulls(value: msgspec.Struct) -> object:
    """What is None was left out: it would say nothing in an example."""
    sent = msgspec.to_builtins(value)
    return {name: one for name, one in sent.items() if one is not None}


EXAMPLES = _by_type(_VALUES)
