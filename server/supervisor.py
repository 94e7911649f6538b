"""``--workers N``: several nodes on one machine, started, watched and replaced by one process.

The workers are processes of their own that listen on the same ports; the kernel shares out the
connections. Their standard input is a pipe that nobody writes to: when it ends, the supervisor is
gone, and they stop too.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence

log = logging.getLogger(__name__)

FIRST_WAIT_S, LONGEST_WAIT_S, STEADY_S = 0.5, 30.0, 60.0
"""Before a dead worker is started again; one that lived for so long waits the shortest again."""
START_S = 60.0
LATE_S = 5.0
"""How much longer than its own limit a worker may take to stop."""


class Worker:
    """One process. ``number`` is its slot's, from 1."""

    def __init__(self, number: int, process: asyncio.subprocess.Process) -> None:
        self.number = number
        self.began = asyncio.get_running_loop().time()
        self.is_leaving = False
        self._process = process

    @classmethod
    async def start(cls, number: int, command: Sequence[str], env: Mapping[str, str]) -> "Worker":
        process = await asyncio.create_subprocess_exec(
            *command,
            "--worker",
            str(number),
            env=dict(env),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # Ctrl-C is for the supervisor, which then asks them to stop.
            start_new_session=True,
        )
        return cls(number, process)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def is_ready(self) -> bool:
        """Waits for it to serve; False: it ended, or takes too long and was killed."""
        assert self._process.stdout is not None  # noqa: S101
        try:
            async with asyncio.timeout(START_S):
                return (await self._process.stdout.readline()).startswith(b"ready ")
        except TimeoutError:
            log.error("worker_not_ready worker=%d seconds=%.0f", self.number, START_S)
            self._process.kill()
            return False

    async def wait(self) -> int:
        """Its exit status."""
        return await self._process.wait()

    async def stop(self, timeout_s: float) -> int:
        """SIGTERM, and SIGKILL when that takes too long. The exit status."""
        self.is_leaving = True
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(timeout_s):
                return await self.wait()
        except TimeoutError:
            log.error("worker_killed worker=%d", self.number)
            self._process.kill()
            return await self.wait()


class Supervisor:
    """Keeps ``count`` workers running. ``check``: what is wrong with the settings now, if any."""

    def __init__(
        self,
        count: int,
        command: Sequence[str],
        env: Mapping[str, str],
        *,
        shutdown_s: float,
        check: Callable[[], str],
    ) -> None:
        self._count = count
        self._command = command
        self._env = env
        self._stop_s = shutdown_s + LATE_S
        self._check = check
        self._workers: dict[int, Worker] = {}
        self._stopping = asyncio.Event()
        self._replace = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, ready: Callable[[], None]) -> int:
        """Until SIGTERM or SIGINT; SIGHUP replaces the workers one by one. The exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._replace.set)
        # The first one alone: it makes what all share, and says what is wrong only once.
        first = await self._start(1)
        if not await first.is_ready():
            return await first.wait() or 1
        self._take(first)
        others = [await self._start(number) for number in range(2, self._count + 1)]
        for worker in others:
            if not await worker.is_ready():
                for each in (first, *others):
                    await each.stop(self._stop_s)
                return 1
            self._take(worker)
        ready()
        replacing = asyncio.create_task(self._replace_when_asked())
        await self._stopping.wait()
        replacing.cancel()
        await asyncio.wait({replacing})
        log.info("stopping workers=%d", len(self._workers))
        stops = [worker.stop(self._stop_s) for worker in self._workers.values()]
        statuses = await asyncio.gather(*stops)
        for task in self._tasks:
            task.cancel()
        return max(statuses, key=abs, default=0) and 1

    async def _start(self, number: int) -> Worker:
        worker = await Worker.start(number, self._command, self._env)
        log.info("worker_started worker=%d pid=%d", number, worker.pid)
        return worker

    def _take(self, worker: Worker) -> None:
        """From now on it is the one of its slot, and is missed when it dies."""
        self._workers[worker.number] = worker
        task = asyncio.create_task(self._watch(worker))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch(self, worker: Worker) -> None:
        wait_s = FIRST_WAIT_S
        while True:
            status = await worker.wait()
            if worker.is_leaving or self._stopping.is_set():
                return
            log.error("worker_died worker=%d pid=%d status=%d", worker.number, worker.pid, status)
            if asyncio.get_running_loop().time() - worker.began > STEADY_S:
                wait_s = FIRST_WAIT_S
            await asyncio.sleep(wait_s)
            wait_s = min(LONGEST_WAIT_S, wait_s * 2)
            if self._workers[worker.number] is not worker:
                return  # replaced meanwhile
            worker = self._workers[worker.number] = await self._start(worker.number)
            await worker.is_ready()

    async def _replace_when_asked(self) -> None:
        while True:
            await self._replace.wait()
            self._replace.clear()
            if wrong := self._check():
                log.error("workers_not_replaced reason=%s", wrong)
                continue
            for number in range(1, self._count + 1):
                fresh = await self._start(number)
                if not await fresh.is_ready():
                    log.error("workers_not_replaced worker=%d", number)
                    break
                old = self._workers[number]
                old.is_leaving = True
                self._take(fresh)
                await old.stop(self._stop_s)
            else:
                log.info("workers_replaced count=%d", self._count)


def worker_command(config: str | None) -> list[str]:
    """What starts a worker, less its number."""
    return [sys.executable, "-m", "server", *(("--config", config) if config else ())]


async def supervisor_gone() -> None:
    """For a worker: until its standard input ends."""
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()

    def look() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            loop.remove_reader(sys.stdin.fileno())
            gone.set()

    loop.add_reader(sys.stdin.fileno(), look)
    await gone.wait()
