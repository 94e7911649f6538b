"""Deletions that are cut off in the middle, against a real database: ``server/departure.py``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from server import departure
from server.bus.local import LocalBus
from server.changes import Changes
from server.departure import Departures
from server.errors import ChatError, StorageAway
from server.settings import load
from server.store.mongo import MongoStore, open_store
from server.store.mongod import PrivateMongod
from tests.support.eventually import eventually


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("departure")


@asynccontextmanager
async def opened(data_dir: Path) -> AsyncIterator[MongoStore]:
    settings = load(None, {"TANDEM_DATA_DIR": str(data_dir)})
    async with (
        PrivateMongod(settings.mongodb, data_dir) as mongod,
        open_store(mongod.url, settings.mongodb) as store,
    ):
        yield store


class Services:
    """Two that forget; ``plans``: what happens next time instead."""

    def __init__(self) -> None:
        self.forgot: list[tuple[str, int]] = []
        self.plans: list[Exception] = []

    async def contacts(self, userid: int) -> None:
        self.forgot.append(("contacts", userid))

    async def files(self, userid: int) -> None:
        if self.plans:
            raise self.plans.pop(0)
        self.forgot.append(("files", userid))


async def add(store: MongoStore) -> int:
    userid = await store.accounts.next_id()
    name = f"ann{userid}"
    document = {"_id": userid, "username": name, "names": [name], "nickname": "Ann", "created": 1}
    assert await store.accounts.insert(document) is None
    return userid


def departures(store: MongoStore, services: Services) -> Departures:
    changes = Changes(store.changes, LocalBus())
    return Departures(store.accounts, changes, (services.contacts, services.files))


@pytest.mark.gen_test(timeout=40)
@pytest.mark.parametrize("failures", [1, 3])
async def test_departure_that_failed_in_the_middle_is_taken_up_until_it_is_done(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    """Every step is made again, in order; only then is the account stripped and finished."""
    monkeypatch.setattr(departure, "AGAIN_S", 0.05)
    services = Services()
    async with opened(data_dir) as store:
        userid = await add(store)
        services.plans = [StorageAway("test") for _ in range(failures)]
        first = departures(store, services)
        await first.leave(userid)
        assert services.forgot == [("contacts", userid)]
        document = await store.accounts.by_id(userid)
        assert document is not None and document["nickname"] == "Ann"
        second = departures(store, services)
        second.start()

        async def is_finished() -> bool:
            document = await store.accounts.by_id(userid)
            return document is not None and "leaving" not in document

        await eventually(is_finished)
        await second.close()
        document = await store.accounts.by_id(userid)
        assert document is not None
        assert set(document) == {"_id", "deleted", "names", "former"}
        steps = [("contacts", userid)] * failures + [("contacts", userid), ("files", userid)]
        assert services.forgot == steps


@pytest.mark.gen_test(timeout=40)
async def test_departure_of_one_that_always_fails_holds_up_no_other(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug of one service is logged, and tried again later."""
    monkeypatch.setattr(departure, "AGAIN_S", 0.05)
    services = Services()
    async with opened(data_dir) as store:
        stuck, other = await add(store), await add(store)
        running = departures(store, services)
        for userid in (stuck, other):
            await running.mark(userid)
        services.plans = [ValueError("a bug")]
        running.start()

        async def are_finished() -> bool:
            documents = await store.accounts.by_ids([stuck, other])
            return not any("leaving" in document for document in documents)

        await eventually(are_finished)
        await running.close()
        assert caplog.text.count("departure_failed") == 1


@pytest.mark.gen_test(timeout=40)
async def test_departed_account_cannot_leave_again_or_be_changed(data_dir: Path) -> None:
    """It is nobody's any more."""
    async with opened(data_dir) as store:
        userid = await add(store)
        running = departures(store, Services())
        await running.leave(userid)
        with pytest.raises(ChatError, match="no-such-user"):
            await running.leave(userid)
        assert await store.accounts.update(userid, {"nickname": "Ghost"}) == "changed"
        document = await store.accounts.by_id(userid)
        assert document is not None and "nickname" not in document


@pytest.mark.gen_test(timeout=40)
async def test_names_are_let_go_when_their_time_is_over_and_not_before(data_dir: Path) -> None:
    """Also those of several accounts that have no other."""
    async with opened(data_dir) as store:
        leaving = [await add(store) for _ in range(3)]
        running = departures(store, Services())
        for userid in leaving:
            await running.leave(userid)
        document = await store.accounts.by_id(leaving[0])
        assert document is not None
        until = max(each["former"][0]["until"] for each in await store.accounts.by_ids(leaving))
        (name,) = document["names"]
        taken = {"_id": await store.accounts.next_id(), "username": name, "names": [name]}
        await store.accounts.free_names(document["former"][0]["until"] - 1)
        assert await store.accounts.insert(dict(taken)) == "username"
        await store.accounts.free_names(until)
        assert await store.accounts.insert(taken) is None
        assert [each["names"] for each in await store.accounts.by_ids(leaving)] == [[], [], []]
