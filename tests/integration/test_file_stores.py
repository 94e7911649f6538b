"""What every file store promises: whole files under their keys, written once."""

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from server.errors import ChatError, StorageAway
from server.files import FileStore
from server.files.disk import LEFT_S, DiskFiles
from server.files.names import new_key
from server.files.seal import Seal

Opener = Callable[[], "asynccontextmanager[FileStore]"]


@asynccontextmanager
async def disk_files(directory: Path) -> AsyncIterator[FileStore]:
    store = DiskFiles(directory, Seal(b"k" * 32), "", 0)
    yield store
    await store.close()


STORES = {"disk": disk_files}


@pytest.fixture(params=STORES)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Each call is another process's view of the same store."""
    return lambda: STORES[request.param](tmp_path / "files")


async def put(store: FileStore, key: str, *chunks: bytes) -> None:
    writer = await store.begin(key, sum(map(len, chunks)))
    for chunk in chunks:
        await writer.write(chunk)
    await writer.commit()


async def read(store: FileStore, key: str, start: int = 0, length: int | None = None) -> bytes:
    reader = await store.open(key)
    try:
        length = reader.size if length is None else length
        return b"".join([chunk async for chunk in reader.chunks(start, length)])
    finally:
        reader.close()


@pytest.mark.gen_test(timeout=30)
async def test_committed_file_is_read_back_whole_and_in_parts(open_store: Opener) -> None:
    """Also by another process, and when it is empty."""
    key, empty = new_key("image/png"), new_key("a/b")
    data = os.urandom(1_000_000)
    async with open_store() as store, open_store() as other:
        await put(store, key, data[:1], data[1:70_000], data[70_000:])
        await put(store, empty)
        for each in (store, other):
            assert await read(each, key) == data
            assert await read(each, key, 999_990, 10) == data[-10:]
            assert await read(each, key, 5, 300_000) == data[5:300_005]
            assert await each.size(key) == 1_000_000
            assert await read(each, empty) == b""


@pytest.mark.gen_test(timeout=30)
async def test_nothing_is_seen_of_a_file_before_its_commit(open_store: Opener) -> None:
    """Neither read nor sized, and after an abort it is as if nothing had been."""
    key = new_key("image/png")
    async with open_store() as store, open_store() as other:
        writer = await store.begin(key, 3)
        await writer.write(b"abc")
        for each in (store, other):
            assert await each.size(key) is None
            with pytest.raises(ChatError) as caught:
                await each.open(key)
            assert caught.value.slug == "not-found"
        await writer.abort()
        await writer.abort()
        assert await store.size(key) is None
        await put(other, key, b"xyz")
        assert await read(store, key) == b"xyz"


@pytest.mark.gen_test(timeout=30)
async def test_wrong_number_of_bytes_is_not_kept(open_store: Opener) -> None:
    """One too many is refused when it comes, one too few at the commit."""
    key = new_key("image/png")
    async with open_store() as store:
        writer = await store.begin(key, 3)
        with pytest.raises(ChatError) as caught:
            await writer.write(b"abcd")
        assert caught.value.slug == "too-long"
        await writer.write(b"ab")
        with pytest.raises(ChatError) as caught:
            await writer.commit()
        assert caught.value.slug == "bad-field"
        await writer.abort()
        assert await store.size(key) is None


@pytest.mark.gen_test(timeout=30)
async def test_key_is_written_by_one_and_once(open_store: Opener) -> None:
    """While it is written and when it is there, everybody else gets ``conflict``."""
    key = new_key("image/png")
    async with open_store() as store, open_store() as other:
        writer = await store.begin(key, 1)
        for each in (store, other):
            with pytest.raises(ChatError) as caught:
                await each.begin(key, 1)
            assert caught.value.slug == "conflict"
        await writer.write(b"a")
        await writer.commit()
        for each in (store, other):
            with pytest.raises(ChatError) as caught:
                await each.begin(key, 1)
            assert caught.value.slug == "conflict"
        await writer.abort()
        assert await read(other, key) == b"a"


@pytest.mark.gen_test(timeout=30)
async def test_many_at_once_make_one_file(open_store: Opener) -> None:
    """Whoever wins, the file is one upload's bytes."""
    key = new_key("image/png")

    async def attempt(store: FileStore, data: bytes) -> bool:
        try:
            await put(store, key, data, data)
        except ChatError as error:
            assert error.slug == "conflict"
            return False
        return True

    async with open_store() as store, open_store() as other:
        tries = [attempt(each, bytes([n]) * 1000) for n in range(20) for each in (store, other)]
        won = await asyncio.gather(*tries)
        assert won.count(True) == 1
        assert await read(store, key) == bytes([won.index(True) // 2]) * 2000


@pytest.mark.gen_test(timeout=30)
async def test_deleted_file_is_gone_for_all(open_store: Opener) -> None:
    """Deleting again, or what never was, is no change; who reads it now may finish."""
    key = new_key("image/png")
    async with open_store() as store, open_store() as other:
        await put(store, key, b"abc")
        reader = await store.open(key)
        await other.delete(key)
        await other.delete(key)
        assert await store.size(key) is None
        assert b"".join([chunk async for chunk in reader.chunks(0, 3)]) == b"abc"
        reader.close()


@pytest.mark.parametrize("key", ["../../secret", "", "incoming", "a" * 34, "/etc/passwd"])
@pytest.mark.gen_test(timeout=30)
async def test_what_is_no_key_is_not_found(open_store: Opener, key: str) -> None:
    """Nothing outside the store can be named."""
    async with open_store() as store:
        for act in (store.open, store.delete, store.size, lambda bad: store.begin(bad, 1)):
            with pytest.raises(ChatError) as caught:
                await act(key)
            assert caught.value.slug == "not-found"


# What only the disk has.


@pytest.mark.gen_test(timeout=30)
async def test_what_a_killed_process_left_is_tidied(tmp_path: Path) -> None:
    """Old and without a living writer; what is being written stays, however slow."""
    key, slow, fresh = (new_key("image/png") for _ in range(3))
    incoming = tmp_path / "incoming"
    async with disk_files(tmp_path) as store:
        (incoming / key).write_bytes(b"half")
        (incoming / fresh).write_bytes(b"half")
        writer = await store.begin(slow, 1)
        for name in (key, slow):
            os.utime(incoming / name, (time.time() - LEFT_S - 1,) * 2)
        await store.tidy()
        assert {path.name for path in incoming.iterdir()} == {slow, fresh}
        await put(store, fresh, b"whole")
        assert await read(store, fresh) == b"whole"
        await writer.abort()


@pytest.mark.gen_test(timeout=30)
async def test_closing_the_store_leaves_no_half_uploads(tmp_path: Path) -> None:
    """A node that stops cleans up after itself."""
    async with disk_files(tmp_path) as store:
        writer = await store.begin(new_key("image/png"), 10)
        await writer.write(b"abc")
    assert list((tmp_path / "incoming").iterdir()) == []


@pytest.mark.gen_test(timeout=30)
async def test_room_is_kept_for_what_matters_more(tmp_path: Path) -> None:
    """Uploads are refused before the disk is full."""
    free = os.statvfs(tmp_path)
    store = DiskFiles(tmp_path, Seal(b"k" * 32), "", free.f_bavail * free.f_frsize)
    for act in (store.check(1), store.begin(new_key("image/png"), 1)):
        with pytest.raises(StorageAway):
            await act
    assert list((tmp_path / "incoming").iterdir()) == []
    await store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("cannot mount")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


@pytest.mark.gen_test(timeout=30)
async def test_full_disk_is_storage_away_and_leaves_nothing(small_disk: Path) -> None:
    """A file that does not fit is no file, and one that fits goes on."""
    async with disk_files(small_disk) as store:
        writer = await store.begin(new_key("image/png"), 900_000)
        (small_disk / "other").write_bytes(b"y" * 500_000)
        with pytest.raises(StorageAway):
            for _ in range(100):
                await writer.write(b"x" * 9_000)
        await writer.abort()
        (small_disk / "other").unlink()
        assert list((small_disk / "incoming").iterdir()) == []
        await put(store, new_key("image/png"), b"x" * 900_000)


@pytest.mark.gen_test(timeout=30)
async def test_missing_directory_is_not_a_missing_file(tmp_path: Path) -> None:
    """A share that is not mounted has not lost its files."""
    async with disk_files(tmp_path / "files") as store:
        (tmp_path / "files").rename(tmp_path / "away")
        for act in (store.size(new_key("a/b")), store.begin(new_key("a/b"), 1), store.tidy()):
            with pytest.raises(StorageAway):
                await act
        (tmp_path / "away").rename(tmp_path / "files")
