"""The composition root: builds a node's parts in one readable list and stops them in reverse."""

import asyncio
import gc
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import uvloop

from handlers.http import listen_http
from handlers.hygiene import install_log_hygiene
from handlers.pipe import keeper
from handlers.xmpp_presence import farewells
from handlers.xmpp_stream import XmppServers
from server.accounts import Accounts
from server.acts import Acts
from server.app_passwords import AppPasswords
from server.assets import Assets, AssetsError, web_directory
from server.audience import Audience
from server.blocks import Blocks
from server.bookmarks import Bookmarks
from server.bus.local import LocalBus
from server.bus.nats import NatsBus
from server.bus.natsd import NatsdError, PrivateNats
from server.capabilities import Capabilities
from server.changes import Changes
from server.clients import AddressCounter, ClientMap
from server.connections import Connections
from server.contacts import ContactChange, Contacts
from server.datadir import DataDirError, DataDirLock
from server.deliveries import (
    BlockChange,
    Copy,
    NodeEvent,
    RosterItem,
    Stanza,
    SubscriptionStanza,
    WebPresence,
)
from server.departure import Departures
from server.errors import ChatError, Close, StorageAway
from server.export import Exports, group_messages_of, messages_of
from server.files.disk import DiskFiles
from server.files.seal import Seal
from server.files.uploads import Uploads
from server.group_shapes import GroupChange
from server.groups import Groups
from server.history import History
from server.inbox import ConversationSet, Inbox
from server.indexer import Indexer
from server.invitations import Invitations
from server.last_seen import LastSeen
from server.limits import SendRate
from server.metrics import Metrics
from server.model import RECALL, Message
from server.offline import Offline
from server.outcasts import Outcasts
from server.passwords import Passwords
from server.pep import Pep
from server.ports import Bus
from server.presence import PresenceHint, Presences
from server.process import is_free
from server.profile import Profiles
from server.receipts import Receipts
from server.registry import Registry
from server.room_history import RoomHistory
from server.rooms import Rooms
from server.router import Router
from server.search import Search
from server.sequence import Sequence
from server.services import Services
from server.settings import Settings, SettingsError, load
from server.siblings import Siblings
from server.store.mongo import MongoStore, SchemaTooNew, open_store
from server.store.mongod import MongodError, PrivateMongod
from server.supervisor import Supervisor, supervisor_gone, worker_command
from server.tails import Tails
from server.tokens import Tokens, fingerprint, load_signing_key
from server.writer import Writer
from stanzas import bookmarks as bookmark_words
from stanzas.jid import as_resource

log = logging.getLogger(__name__)

GC_THRESHOLDS = (50_000, 20, 20)
"""See ``gc.set_threshold``: nothing that happens often makes cycles."""
BODIES = (
    Message,
    GroupChange,
    Stanza,
    ConversationSet,
    ContactChange,
    PresenceHint,
    WebPresence,
    SubscriptionStanza,
    RosterItem,
    BlockChange,
    NodeEvent,
    Copy,
)
"""What an event on the bus may have as its body. Their order is the wire's: only append."""
GOODBYE_S = 2.0
"""How long clients have to close after they were told that the server stops."""


class StartError(Exception):
    """Why the node cannot start, in words for the operator."""


def serve(settings: Settings, worker: int = 0) -> int:
    """Runs a node until SIGTERM or SIGINT. Returns the exit status.

    ``worker``: which of a supervisor's it is; then it also stops when that is gone.
    """
    _set_up_logging(settings, worker)
    return _run(lambda: _serve(settings, worker))


def serve_with_workers(settings: Settings, count: int, config: Path | None) -> int:
    """Runs ``count`` nodes on the same ports, likewise."""
    _set_up_logging(settings)
    return _run(lambda: _supervise(settings, count, config))


def adduser(settings: Settings, name: str, password: str) -> int:
    """Makes an account, whatever ``auth.registration`` says."""

    async def add(accounts: Accounts, *_: object) -> None:
        user = await accounts.create(username=name, password=password)
        sys.stdout.write(f"added {user.jid} with id {user.id}\n")

    return _run(lambda: _operate(settings, add))


def passwd(settings: Settings, name: str, password: str) -> int:
    """Sets a password and ends the account's sessions."""

    async def change(accounts: Accounts, tokens: Tokens, _: Departures) -> None:
        user = await accounts.find(name)
        if user is None:
            raise StartError(f"there is no user {name}")
        await accounts.set_password(user.id, password)
        await tokens.end_all(user.id)
        sys.stdout.write(f"changed the password of {user.jid}; its tokens end within seconds\n")

    return _run(lambda: _operate(settings, change))


def deluser(settings: Settings, name: str) -> int:
    """Deletes an account; a server that runs, or the next one, removes what belongs to it."""

    async def delete(accounts: Accounts, tokens: Tokens, departures: Departures) -> None:
        user = await accounts.find(name)
        if user is None:
            raise StartError(f"there is no user {name}")
        await departures.mark(user.id)
        await tokens.end_all(user.id)
        sys.stdout.write(
            f"deleted {user.jid} with id {user.id}; what belongs to it goes within two minutes "
            "while a server runs\n"
        )

    return _run(lambda: _operate(settings, delete))


def users(settings: Settings) -> int:
    """Prints the accounts."""

    async def show(accounts: Accounts, *_: object) -> None:
        for user in await accounts.everyone():
            sys.stdout.write(f"{user.id}\t{user.jid}\t{user.nickname}\n")

    return _run(lambda: _operate(settings, show))


def write_assets(settings: Settings, directory: Path) -> int:
    """Writes the page's files for another host."""

    async def write() -> int:
        try:
            made = _read_assets(settings).write(directory)
        except OSError as error:
            raise StartError(f"cannot write to {directory}: {error.strerror}") from error
        sys.stdout.write(f"{made}\n")
        return 0

    return _run(write)


@asynccontextmanager
async def build(settings: Settings, stack: AsyncExitStack) -> AsyncIterator[Services]:
    """A node's parts, without its listeners. ``stack`` stops what they hold."""
    assets = _read_assets(settings)
    store = await _open_database(settings, stack)
    key = load_signing_key(settings.auth, settings.data.dir)
    if not await store.agree_on_key(fingerprint(key)):
        raise StartError(
            "auth.signing_key is not the key of this database's other nodes: "
            "give every node the same key"
        )
    metrics = Metrics()
    clients = ClientMap(
        max(1, int(settings.limits.connections_per_user * settings.limits.rate_scale))
    )
    passwords = Passwords(settings.auth, key)
    stack.callback(passwords.close)
    bus: Bus = NatsBus(settings.bus, BODIES) if settings.bus.url else LocalBus()
    stack.push_async_callback(bus.close)
    changes = Changes(store.changes, bus)
    accounts = Accounts(store.accounts, passwords, settings, changes, clients)
    stack.push_async_callback(accounts.close)
    last_seen = LastSeen(store.sessions, store.accounts)
    stack.push_async_callback(last_seen.close)
    tokens = Tokens(store.sessions, clients, settings.auth, key, changes, last_seen.of)
    profiles = Profiles(store.accounts, accounts, changes)
    app_passwords = AppPasswords(
        store.accounts, accounts, passwords, last_seen, changes, settings.limits
    )
    audience = Audience(clients, bus, store.groups, store.messages) if bus.is_shared else None
    blocks = Blocks(store.blocks, changes)
    groups = Groups(
        store.groups,
        accounts,
        settings.limits,
        next_id=store.accounts.next_id,
        end_of=store.messages.last,
        notify=lambda *hint: router.notify(*hint),
        changes=changes,
        audience=audience,
        blocks=lambda userid, by: blocks.blocks_user(by, by=userid),
    )
    acts = Acts(store.messages, settings.limits, key)
    router = Router(
        clients,
        accounts,
        groups,
        blocks,
        bus,
        metrics,
        SendRate(settings.limits),
        acts,
        settings.limits,
        audience.members if audience else None,
    )
    writer = router.writer = Writer(
        store.messages,
        store.places,
        acts,
        metrics,
        queue_documents=settings.limits.queue_documents,
        queue_bytes=settings.limits.queue_bytes,
        hold_s=settings.limits.hold_s,
        stored=router.on_stored,
        refused=router.on_refused,
    )
    indexer = Indexer(store.search, store.messages)
    search = Search(store.search, indexer, store.places, store.groups, groups, settings)
    stack.push_async_callback(search.close)
    if settings.search.enabled:
        router.wrote += (indexer.wrote,)
        metrics.index_behind = lambda: indexer.behind
        indexer.start()
        stack.push_async_callback(indexer.close)

    def saw(conv: str, message: Message) -> None:
        writer.saw(conv, message)
        indexer.saw(conv)

    addresses = AddressCounter(
        max(1, int(settings.limits.connections_per_address * settings.limits.rate_scale))
    )
    registry = None
    if audience is not None:
        registry = Registry(
            store.connections,
            changes,
            clients,
            connections_per_user=clients.connections_per_user,
            give=router.give_out,
            lost=audience.hurry,
        )
    presence = Presences(
        clients,
        store.presences,
        registry,
        watchers=lambda userid: contacts.watchers(userid),
        users=accounts.users,
        notify=router.notify,
    )
    contacts = Contacts(
        store.contacts,
        accounts,
        blocks,
        settings.limits,
        presence=presence,
        notify=router.notify,
        changes=changes,
    )
    profiles.readdress = contacts.readdress
    if audience is None or registry is None:
        bus.listen(router.give_out, changes.poked, lambda: None)
        presence.start()
        stack.push_async_callback(presence.close)
    else:
        sequence = audience.sequence = Sequence(
            store.messages,
            accounts,
            give=router.give_out,
            give_to=router.give_to,
            saw=saw,
            watched_since=audience.watched_since,
        )
        stack.push_async_callback(sequence.close)
        metrics.bus, metrics.sequence = bus, sequence
        registry.settle = presence.settle
        registry.watchers = contacts.watchers
        registry.speak = presence.speak
        tails = Tails(
            store.tails,
            registry.node_id,
            look=sequence.look,
            is_wanted=sequence.is_wanted,
            heard=audience.heard,
            missed=audience.hurry,
        )
        router.wrote += (tails.wrote,)
        bus.listen(sequence.arrive, changes.poked, audience.hurry)
        await registry.start()
        stack.push_async_callback(registry.close)
        audience.start()
        stack.push_async_callback(audience.close)
        await tails.start()
        stack.push_async_callback(tails.close)
    caches = (tokens, accounts, groups, contacts, blocks)
    await changes.start(lambda: _start_over(caches, clients))
    stack.push_async_callback(changes.close)
    await bus.open()
    seal = Seal(key)
    files = _open_files(settings, seal)
    stack.push_async_callback(files.close)
    uploads = Uploads(store.uploads, files, settings)
    uploads.start()
    stack.push_async_callback(uploads.close)
    acts.before.append(lambda _, act, target: _forget_files(uploads, act, target))
    if settings.search.enabled:
        acts.after.append(lambda conv, _, target: indexer.changed([(conv, target.seq)]))
    acts.start()
    stack.push_async_callback(acts.close)
    receipts = Receipts(
        store.places,
        store.messages,
        groups,
        accounts,
        blocks,
        SendRate(settings.limits),
        publish=router.publish,
        group_members=settings.limits.receipt_members,
    )
    stack.push_async_callback(receipts.close)
    offline = Offline(store.accounts)
    stack.push_async_callback(offline.close)
    rooms = Rooms(
        groups,
        accounts,
        as_nick=as_resource,
        connected=presence.of,
        all_up_to=settings.xmpp.room_occupants,
    )
    stack.push_async_callback(rooms.close)
    invitations = Invitations(store.invitations, groups, accounts, settings.limits, router.notify)
    inbox = Inbox(
        store.places,
        store.messages,
        groups,
        store.groups,
        accounts,
        settings.limits,
        router.notify,
    )
    pep = Pep(
        store.pep,
        accounts,
        contacts,
        blocks,
        settings.xmpp,
        settings.limits.page_bytes,
        router.notify,
    )
    rooms_at = f"conference.{settings.xmpp.domain}"
    bookmarks = Bookmarks(pep, accounts, groups, bookmark_words, rooms_at)
    departures = Departures(
        store.accounts,
        changes,
        (
            tokens.end_all,
            offline.forget_user,
            pep.forget_user,
            contacts.forget_user,
            groups.forget_user,
            invitations.forget_user,
            inbox.forget_user,
            uploads.forget_user,
        ),
    )
    departures.start()
    stack.push_async_callback(departures.close)
    exports = Exports(
        {
            "profile": profiles.read,
            "sessions": tokens.sessions,
            "app_passwords": app_passwords.all,
            "contacts": contacts.export,
            "groups": groups.export,
            "conversations": inbox.export,
            "files": uploads.export,
            "published": pep.export,
            "private_xml": pep.export_private,
            "messages": lambda userid: messages_of(store.messages, userid),
            "group_messages": lambda userid: group_messages_of(store.messages, userid),
        },
        settings.limits,
    )
    yield Services(
        settings=settings,
        store=store,
        accounts=accounts,
        profiles=profiles,
        app_passwords=app_passwords,
        departures=departures,
        exports=exports,
        tokens=tokens,
        groups=groups,
        outcasts=Outcasts(groups),
        rooms=rooms,
        room_history=RoomHistory(store.messages, groups, settings.limits),
        invitations=invitations,
        contacts=contacts,
        blocks=blocks,
        presence=presence,
        pep=pep,
        bookmarks=bookmarks,
        capabilities=Capabilities(),
        clients=clients,
        connections=Connections(
            clients, addresses, metrics, audience, registry, presence, last_seen
        ),
        addresses=addresses,
        router=router,
        acts=acts,
        writer=writer,
        history=History(store.messages, groups, settings.limits),
        inbox=inbox,
        receipts=receipts,
        search=search,
        newcomers=AddressCounter(
            max(1, int(settings.limits.unauthenticated_per_address * settings.limits.rate_scale))
        ),
        offline=offline,
        files=files,
        assets=assets,
        seal=seal,
        uploads=uploads,
        metrics=metrics,
    )


async def _forget_files(uploads: Uploads, act: Message, target: Message) -> None:
    if act.cmd == RECALL:
        await uploads.forget([one for one in (target.url, target.pic) if one], target.userid)


def _start_over(
    caches: Iterable[Tokens | Accounts | Groups | Contacts | Blocks], clients: ClientMap
) -> None:
    """What is in memory may be out of date, and whose session lives is not known."""
    for cache in caches:
        cache.forget_all()
    for node in clients.everyone():
        node.end(Close.RESTART)


async def _supervise(settings: Settings, count: int, config: Path | None) -> int:
    def check() -> str:
        try:
            load(config, os.environ)
        except SettingsError as error:
            return str(error)
        return ""

    for section, address, port in (
        ("http", settings.http.address, settings.http.port),
        ("xmpp", settings.xmpp.address, settings.xmpp.port),
        ("xmpp", settings.xmpp.address, settings.xmpp.tls_port),
    ):
        # Workers share a port with whoever lets them, so also with another Tandem of this user.
        if port and not is_free(port, address):
            raise StartError(f"cannot listen on {address} port {port} ([{section}]): it is taken")
    async with AsyncExitStack() as stack:
        settings.data.dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        stack.enter_context(DataDirLock(settings.data.dir))
        env = dict(os.environ)
        if not settings.mongodb.url:
            mongod = PrivateMongod(settings.mongodb, settings.data.dir)
            await stack.enter_async_context(mongod)
            env["TANDEM_MONGODB_URL"] = mongod.url
        if not settings.bus.url:
            nats = PrivateNats(settings.bus, settings.data.dir)
            await stack.enter_async_context(nats)
            env["TANDEM_BUS_URL"] = nats.url
        supervisor = Supervisor(
            count,
            worker_command(str(config) if config else None),
            env,
            shutdown_s=settings.limits.shutdown_s,
            check=check,
        )
        return await supervisor.run(lambda: _say_ready(settings))


async def _serve(settings: Settings, worker: int) -> int:
    _raise_descriptor_limit()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(build(settings, stack))
        if worker:
            await _join_siblings(services, worker, stack)
            left_alone = asyncio.create_task(supervisor_gone())
            left_alone.add_done_callback(lambda _: stop.set())
            stack.callback(left_alone.cancel)
        try:
            http = listen_http(services)
            xmpp = XmppServers(services)
            await xmpp.start()
        except OSError as error:
            await services.writer.close(0)
            raise StartError(f"cannot listen: {error.strerror or error}") from error
        _tune_gc()
        lag = asyncio.create_task(services.metrics.watch_loop(), name="loop-lag")
        stack.callback(lag.cancel)
        _say_ready(settings)
        await stop.wait()
        log.info("stopping connections=%d", len(services.clients.everyone()))
        drained = await _drain(services)
        http.stop()
        await xmpp.close()
        await http.close_all_connections()
    log.info("stopped drained=%s", drained)
    return 0 if drained else 1


async def _join_siblings(services: Services, worker: int, stack: AsyncExitStack) -> None:
    services.worker = worker
    services.siblings = Siblings(services.settings.data.dir, worker, services.metrics.render)
    await services.siblings.start()
    stack.push_async_callback(services.siblings.close)


async def _drain(services: Services) -> bool:
    """In-flight messages are stored and acked, then everybody is asked to come back later."""
    services.draining = True
    began = time.monotonic()
    drained = await services.writer.close(services.settings.limits.shutdown_s - 2 * GOODBYE_S)
    log.info("drained=%s seconds=%.1f", drained, time.monotonic() - began)
    for node in services.clients.everyone():
        node.end(Close.RESTART)
    pipes = keeper().pipes
    for pipe in list(pipes):  # those that have not logged in yet
        pipe.end(Close.RESTART)
    deadline = time.monotonic() + GOODBYE_S
    while pipes and time.monotonic() < deadline:  # noqa: ASYNC110 (once, at the end)
        await asyncio.sleep(0.02)
    for pipe in list(pipes):
        pipe.abort()
    await asyncio.sleep(0)
    await farewells(GOODBYE_S)
    return drained


def _read_assets(settings: Settings) -> Assets:
    try:
        return Assets(web_directory(), settings.web.assets_url)
    except (AssetsError, OSError) as error:
        raise StartError(f"the files of the page cannot be served: {error}") from error


def _open_files(settings: Settings, seal: Seal) -> DiskFiles:
    directory = Path(settings.files.dir) if settings.files.dir else settings.data.dir / "files"
    try:
        return DiskFiles(directory, seal, settings.files.url, settings.files.reserve_bytes)
    except OSError as error:
        raise StartError(f"cannot keep files in {directory}: {error.strerror}") from error


async def _open_database(settings: Settings, stack: AsyncExitStack) -> MongoStore:
    settings.data.dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    url = settings.mongodb.url
    if not url:
        stack.enter_context(DataDirLock(settings.data.dir))
        mongod = await stack.enter_async_context(PrivateMongod(settings.mongodb, settings.data.dir))
        url = mongod.url
    return await stack.enter_async_context(open_store(url, settings.mongodb))


def _url_of_running(settings: Settings) -> str | None:
    """The private database of a server that runs now, if one does."""
    try:
        with DataDirLock(settings.data.dir):
            return None
    except DataDirError:
        return PrivateMongod.url_of_running(settings.mongodb, settings.data.dir)


async def _operate(
    settings: Settings, act: Callable[[Accounts, Tokens, Departures], Awaitable[None]]
) -> int:
    async with AsyncExitStack() as stack:
        running = None if settings.mongodb.url else _url_of_running(settings)
        if running is None:
            store = await _open_database(settings, stack)
        else:
            store = await stack.enter_async_context(open_store(running, settings.mongodb))
        key = load_signing_key(settings.auth, settings.data.dir)
        passwords = Passwords(settings.auth, key)
        stack.callback(passwords.close)
        changes = Changes(store.changes, LocalBus())  # a running server reads them
        clients = ClientMap(1)
        await act(
            Accounts(store.accounts, passwords, settings, changes, clients),
            Tokens(store.sessions, clients, settings.auth, key, changes),
            Departures(store.accounts, changes, ()),
        )
    return 0


def _run(main: Callable[[], Awaitable[int]]) -> int:
    async def run() -> int:
        return await main()

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(run())
    except ChatError as error:
        wrong = "; ".join(f"{k}: {v}" for k, v in (error.fields or {}).items())
        sys.stderr.write(f"tandem: {error.detail}{': ' + wrong if wrong else ''}\n")
    except StorageAway as error:
        sys.stderr.write(f"tandem: the database does not answer ({error}): check mongodb.url\n")
    except (StartError, MongodError, NatsdError, DataDirError, SchemaTooNew) as error:
        sys.stderr.write(f"tandem: {error}\n")
    return 1


def _say_ready(settings: Settings) -> None:
    scheme = "https" if settings.http.tls_certificate else "http"
    http = settings.http.public_url or f"{scheme}://{settings.http.address}:{settings.http.port}"
    sys.stdout.write(f"ready http={http} xmpp={settings.xmpp.address}:{settings.xmpp.port}\n")
    sys.stdout.flush()


def _raise_descriptor_limit() -> None:
    """Every connection is a descriptor; the usual soft limit of 1,024 is far too low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    log.info("descriptors soft=%d hard=%d", soft, hard)


def _tune_gc() -> None:
    """What is there now stays: the collector need not look at it any more."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _set_up_logging(settings: Settings, worker: int = 0) -> None:
    which = f"[{worker}] " if worker else ""
    logging.basicConfig(
        level=settings.log.level.upper(),
        format=f"%(asctime)s %(levelname)s {which}%(name)s %(message)s",
        stream=sys.stderr,
        force=True,
    )
    for noisy in ("pymongo", "motor", "asyncio", "slixmpp"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    install_log_hygiene()
