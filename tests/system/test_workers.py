"""``--workers``: several processes on the same ports, watched and replaced by one."""

import asyncio
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tornado.httpclient import HTTPClientError

from server.siblings import merge
from tests.support.json_client import PASSWORD, JsonClient, fresh_name, http
from tests.support.node import Node

COUNT = 2


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    running = Node(tmp_path_factory.mktemp("workers"), workers=COUNT).start()
    yield running
    assert running.stop() == 0
    assert children(running) == {}


@pytest.fixture
def own_service(tmp_path: Path) -> Iterator[Node]:
    own = Node(tmp_path, workers=COUNT)
    yield own
    own.clean_up()
    for pid in children(own):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def children(service: Node) -> dict[int, str]:
    """Processes that work in this service's directory, but the supervisor: pid → what it is."""
    found: dict[int, str] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            where = os.readlink(entry / "cwd")
            if not (where == str(service.directory) or str(service.directory) in str(command)):
                continue
            if "--worker" in command:
                found[int(entry.name)] = "worker" + command[command.index("--worker") + 1]
            elif command[0].endswith("nats-server"):
                found[int(entry.name)] = "nats"
            elif command[0].endswith("mongod"):
                found[int(entry.name)] = "mongod"
    return found


def workers(service: Node) -> dict[str, int]:
    return {what: pid for pid, what in children(service).items() if what.startswith("worker")}


async def until(holds: Callable[[], bool], timeout_s: float = 20) -> None:
    async with asyncio.timeout(timeout_s):
        while not holds():
            await asyncio.sleep(0.02)


async def answering(service: Node) -> set[str]:
    """The workers that the metrics speak of."""
    _, _, response = await http(service, "GET", "/metrics")
    return set(re.findall(r'worker="(\d+)"', response.body.decode()))


async def on_every_worker(service: Node, account: JsonClient) -> list[JsonClient]:
    """Connections of one account until each worker has one: the kernel shares them out."""
    devices: list[JsonClient] = []
    for _ in range(60):
        devices.append(await account.another_device().connect())
        _, _, response = await http(service, "GET", "/metrics")
        counts = re.findall(
            r'tandem_connections{worker="\d+",protocol="json"} ([\d.]+)', response.body.decode()
        )
        if len(counts) == COUNT and all(float(count) > 0 for count in counts):
            return devices
    raise AssertionError("all connections came to one worker")


@pytest.mark.gen_test(timeout=40)
async def test_message_reaches_connections_on_every_worker(service: Node) -> None:
    """And one scrape tells of all workers."""
    assert await answering(service) == {"1", "2"}
    ann = await JsonClient.online(service)
    devices = await on_every_worker(service, await JsonClient.register(service))
    for n in range(20):
        await ann.say(devices[0].id, f"{n}", f"c{n}")
    for device in devices:
        assert [(await device.expect(cmd=10))["content"] for _ in range(20)] == [
            f"{n}" for n in range(20)
        ]


@pytest.mark.gen_test(timeout=40)
async def test_ticket_of_one_worker_is_good_on_another(service: Node) -> None:
    """Whichever answers the handshake; ten times, so that both are met."""
    me = await JsonClient.register(service)
    token = me.token
    for _ in range(10):
        _, made, _ = await http(service, "POST", "/api/ticket", {}, token=token)
        me.token = made["ticket"]
        await me.another_device().connect()


@pytest.mark.gen_test(timeout=40)
async def test_dead_worker_comes_back_and_the_other_one_does_not_notice(service: Node) -> None:
    """``kill -9`` of one process: its connections break, the rest go on."""
    me = await JsonClient.register(service)
    devices = await on_every_worker(service, me)
    before = workers(service)
    os.kill(before["worker1"], signal.SIGKILL)
    await until(lambda: any(device.is_closed for device in devices))
    await until(lambda: len(workers(service)) == COUNT)
    after = workers(service)
    assert after["worker2"] == before["worker2"]
    assert after["worker1"] != before["worker1"]
    async with asyncio.timeout(20):
        while await answering(service) != {"1", "2"}:
            await asyncio.sleep(0.05)
    open_still = [device for device in devices if not device.is_closed]
    assert open_still
    for device in open_still:
        await device.settled()
    assert "worker_died worker=1" in service.log()


@pytest.mark.gen_test(timeout=60)
async def test_hangup_replaces_all_workers_while_calls_succeed(service: Node) -> None:
    """One by one, the new one before the old one; what was acked is there afterwards."""
    ann, bob = await JsonClient.online(service), await JsonClient.register(service)
    before = workers(service)
    service.signal(signal.SIGHUP)
    calls = failures = 0
    acked: set[str] = set()
    replaced = False
    while not replaced:
        replaced = service.log().count("workers_replaced") > 0
        calls += 1
        try:
            failures += (await http(service, "GET", "/livez"))[0] != 200
        except OSError:
            failures += 1  # reset in the old one's queue of connections
        if ann.is_closed:
            assert ann.close_code == 1012
            try:
                await ann.connect()
            except (HTTPClientError, OSError):  # the old one got it, and has just begun to stop
                failures += 1
                ann.is_closed, ann.close_code = True, 1012
                continue
        cid = f"c{calls}"
        ann.send(cmd=10, dstid=bob.id, content="x", cid=cid)
        with suppress(AssertionError, TimeoutError):
            answer = await ann.expect_that(lambda f: f["cmd"] in (1, 2), 5)
            if answer["cmd"] == 1:
                acked.add(answer["cid"])
    after = workers(service)
    assert set(after) == {"worker1", "worker2"}
    assert not set(after.values()) & set(before.values())
    assert failures <= calls // 20, f"{failures} of {calls} calls failed"
    await bob.connect()
    stored = [message["cid"] for message in await bob.history(10, ann.id)]
    assert acked <= set(stored)
    assert len(stored) == len(set(stored))


@pytest.mark.gen_test(timeout=30)
async def test_wrong_settings_replace_nothing(own_service: Node) -> None:
    """They are told in the log, and the service goes on."""
    config = own_service.directory / "own.toml"
    config.write_text("")
    own_service.command += ["--config", str(config)]
    own_service.start()
    before = workers(own_service)
    config.write_text("[http]\nprot = 1\n")
    own_service.signal(signal.SIGHUP)
    await until(lambda: "workers_not_replaced" in own_service.log())
    assert "http.port" in own_service.log()
    assert workers(own_service) == before


@pytest.mark.gen_test(timeout=60)
async def test_killed_supervisor_leaves_no_worker_and_starts_again(own_service: Node) -> None:
    """Acked messages are there; the orphaned nats-server and mongod are dealt with."""
    own_service.start()
    ann, bob = await JsonClient.online(own_service), await JsonClient.register(own_service)
    await ann.say(bob.id, "kept", "c1")
    own_service.kill()
    await until(lambda: not workers(own_service))
    own_service.start()
    kinds = sorted(children(own_service).values())
    assert kinds == ["mongod", "nats", "worker1", "worker2"]
    await bob.connect()
    assert [message["content"] for message in await bob.history(10, ann.id)] == ["kept"]
    assert own_service.stop() == 0
    assert children(own_service) == {}


@pytest.mark.gen_test(timeout=40)
async def test_dead_nats_server_is_started_again(service: Node) -> None:
    """And joined again: messages are live between workers."""
    nats = next(pid for pid, what in children(service).items() if what == "nats")
    os.kill(nats, signal.SIGKILL)
    await until(lambda: "natsd_started_again" in service.log())
    ann = await JsonClient.online(service)
    devices = await on_every_worker(service, await JsonClient.register(service))
    async with asyncio.timeout(20):
        n = 0
        while True:
            n += 1
            await ann.say(devices[0].id, f"{n}", f"c{n}")
            said = time.monotonic()
            for device in devices:
                await device.expect(15, cmd=10, content=f"{n}")
            if time.monotonic() - said < 0.5:
                break


def test_port_in_use_is_told_once(service: Node, tmp_path: Path) -> None:
    """Workers would share it silently, so the supervisor looks first."""
    env = {**service.env, "TANDEM_DATA_DIR": str(tmp_path / "var")}
    done = subprocess.run(
        service.command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 1
    told = f"tandem: cannot listen on 127.0.0.1 port {service.port} ([http]): it is taken\n"
    assert done.stderr.endswith(told)


@pytest.mark.gen_test(timeout=40)
async def test_commands_work_beside_it_and_password_change_closes_sockets(service: Node) -> None:
    """``adduser`` and ``passwd`` of the operator, without a restart."""
    name = fresh_name()
    for command in ("adduser", "passwd"):
        if command == "passwd":
            _, account, _ = await http(
                service, "POST", "/api/login", {"username": name, "password": PASSWORD}
            )
            devices = await on_every_worker(service, JsonClient(service, account))
        arguments = [*service.command[:3], command, name, "--password-stdin"]
        process = await asyncio.create_subprocess_exec(
            *arguments, env=service.env, cwd=service.directory, stdin=asyncio.subprocess.PIPE
        )
        await process.communicate(PASSWORD.encode() + b"\n")
        assert process.returncode == 0
    assert {await device.closed(5) for device in devices} == {4401}


def test_merged_metrics_name_each_family_once() -> None:
    """Every sample gets its worker's label, with or without labels of its own."""
    text = b"# HELP a b c\n# TYPE a counter\na_total 1.0\n# HELP d e\n# TYPE d gauge\n"
    merged = merge([("1", text + b'd{x="1"} 2.0\n'), ("2", text + b'd{x="y} z"} 3.0\n')])
    assert merged.decode().splitlines() == [
        "# HELP a b c",
        "# TYPE a counter",
        'a_total{worker="1"} 1.0',
        'a_total{worker="2"} 1.0',
        "# HELP d e",
        "# TYPE d gauge",
        'd{worker="1",x="1"} 2.0',
        'd{worker="2",x="y} z"} 3.0',
    ]
