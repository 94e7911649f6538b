"""What the handlers are given: the parts of a node, built by ``server.app``."""

from dataclasses import dataclass

from server.accounts import Accounts
from server.acts import Acts
from server.app_passwords import AppPasswords
from server.assets import Assets
from server.blocks import Blocks
from server.bookmarks import Bookmarks
from server.capabilities import Capabilities
from server.clients import AddressCounter, ClientMap
from server.connections import Connections
from server.contacts import Contacts
from server.departure import Departures
from server.export import Exports
from server.files import FileStore
from server.files.seal import Seal
from server.files.uploads import Uploads
from server.groups import Groups
from server.history import History
from server.inbox import Inbox
from server.invitations import Invitations
from server.metrics import Metrics
from server.offline import Offline
from server.outcasts import Outcasts
from server.pep import Pep
from server.ports import Store
from server.presence import Presences
from server.profile import Profiles
from server.receipts import Receipts
from server.room_history import RoomHistory
from server.rooms import Rooms
from server.router import Router
from server.search import Search
from server.settings import Settings
from server.siblings import Siblings
from server.tokens import Tokens
from server.writer import Writer


@dataclass
class Services:
    """One node's parts. ``draining``: it is stopping and takes nobody new.

    ``worker``: which of several that share the ports, from 1; 0: the only one.
    ``addresses`` counts bound connections, ``newcomers`` XMPP streams that are still logging in.
    """

    settings: Settings
    store: Store
    accounts: Accounts
    profiles: Profiles
    app_passwords: AppPasswords
    departures: Departures
    exports: Exports
    tokens: Tokens
    groups: Groups
    outcasts: Outcasts
    rooms: Rooms
    room_history: RoomHistory
    invitations: Invitations
    contacts: Contacts
    blocks: Blocks
    presence: Presences
    pep: Pep
    bookmarks: Bookmarks
    capabilities: Capabilities
    clients: ClientMap
    connections: Connections
    addresses: AddressCounter
    newcomers: AddressCounter
    router: Router
    acts: Acts
    writer: Writer
    history: History
    inbox: Inbox
    receipts: Receipts
    search: Search
    offline: Offline
    files: FileStore
    assets: Assets
    seal: Seal
    uploads: Uploads
    metrics: Metrics
    worker: int = 0
    siblings: Siblings | None = None
    draining: bool = False
