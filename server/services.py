"""What the handlers are given: the parts of a node, built by ``server.app``."""

from dataclasses import dataclass

from server.accounts import Accounts
from server.clients import AddressCounter, ClientMap
from server.connections import Connections
from server.groups import Groups
from server.history import History
from server.metrics import Metrics
from server.offline import Offline
from server.ports import Store
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
    tokens: Tokens
    groups: Groups
    clients: ClientMap
    connections: Connections
    addresses: AddressCounter
    newcomers: AddressCounter
    router: Router
    writer: Writer
    history: History
    search: Search
    offline: Offline
    metrics: Metrics
    worker: int = 0
    siblings: Siblings | None = None
    draining: bool = False
