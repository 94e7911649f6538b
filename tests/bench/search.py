"""``python -m tests.bench.search``: a large history, indexed and searched; a table.

    python -m tests.bench.search --messages 1000000 --out docs/bench

The texts are the conversations that ``make demo`` replays, varied with words of each other and
numbers. They are written straight into the database; the server's own indexer indexes them, and
then the server is asked over HTTP. ``--check`` compares every answer with a scan of all texts.
"""

import argparse
import asyncio
import datetime
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import uvloop
from pymongo import AsyncMongoClient

from server.grams import Wanted, fold
from server.indexer import Indexer
from server.model import EPOCH_MS, GROUP, SINGLE, Message, Tally, conversation, first_id_of, partner
from server.ports import Stored
from server.settings import load
from server.store.mongo import MongoStore, open_store
from tests.bench.report import machine
from tests.bench.rig import cpu_seconds
from tests.demo import LANGUAGES, lines
from tests.support.json_client import JsonClient, http
from tests.support.node import Node

FIRST_GID = 5_000_000
PARTNERS = 40
GROUPS_EACH = 12
LARGEST_GROUP = 300
TO_GROUPS = 0.4
YEAR_MS = 365 * 86_400_000
MONTH_MS = 30 * 86_400_000


class Line(NamedTuple):
    """One message: where it is, and what it says."""

    conv: str
    seq: int
    id: int
    userid: int
    media: int
    ts: int
    text: str


class Texts:
    """The corpus' lines of one language, and what they are varied with."""

    def __init__(self, language: str) -> None:
        self.lines = [line.rpartition(" #")[0] for line in lines(language)]
        self.dense = language in ("chinese", "japanese", "thai")
        if self.dense:
            joined = "".join(self.lines)
            self.pieces = [joined[at : at + 3] for at in range(0, len(joined), 3)]
        else:
            self.pieces = sorted({word for line in self.lines for word in line.split()})

    def line(self, chance: random.Random) -> str:
        """A line with one half of it replaced by others' words, and now and then a number."""
        text = chance.choice(self.lines)
        words = re.findall(".{1,3}", text) if self.dense else text.split()
        for at in range(0, len(words), 2):
            words[at] = chance.choice(self.pieces)
        if chance.random() < 0.2:
            words.append(str(chance.randrange(100_000)))
        return ("" if self.dense else " ").join(words)


class World:
    """Who is there, who talks with whom, and what they say: the same for the same numbers."""

    def __init__(self, users: Sequence[int], seed: int = 1) -> None:
        self.chance = random.Random(seed)
        self.users = users
        self.texts = [Texts(language) for language in LANGUAGES]
        self.members: dict[int, dict[int, int]] = {}
        """Group → member → floor."""
        self.seqs: Counter[str] = Counter()
        count = max(1, len(users) * GROUPS_EACH // 40)
        for gid in range(FIRST_GID, FIRST_GID + count):
            size = min(len(users), LARGEST_GROUP, int(self.chance.paretovariate(0.8) * 8))
            self.members[gid] = dict.fromkeys(self.chance.sample(users, size), 0)
        pairs: set[tuple[int, int]] = set()
        for userid in users:
            for other in self.chance.choices(users, k=PARTNERS // 2):
                pairs.add((min(userid, other), max(userid, other)))
        self.pairs = sorted(pairs)
        # Some talk much more than others.
        self._pair_weights = list(accumulate(self.chance.paretovariate(1) for _ in self.pairs))
        self._gids = list(self.members)
        self._group_weights = list(
            accumulate(len(members) ** 0.5 for members in self.members.values())
        )

    def talk(self, count: int) -> Iterator[Line]:
        """So many messages, spread over a year, in the order of time."""
        chance, step = self.chance, YEAR_MS / count
        for n in range(count):
            ts = EPOCH_MS + YEAR_MS + int(n * step)
            if chance.random() < TO_GROUPS:
                (gid,) = chance.choices(self._gids, cum_weights=self._group_weights)
                members = self.members[gid]
                userid, conv = chance.choice(list(members)), f"g{gid}"
                language = gid
                if n > count // 2 and chance.random() < 0.005:  # one who came later
                    members[chance.choice(list(members))] = self.seqs[conv]
            else:
                (pair,) = chance.choices(self.pairs, cum_weights=self._pair_weights)
                userid, conv = chance.choice(pair), f"{pair[0]}-{pair[1]}"
                language = pair[0] + pair[1]
            self.seqs[conv] += 1
            texts = self.texts[language % len(self.texts)]
            if chance.random() < 0.1:
                texts = self.texts[0]
            media = 1 if chance.random() < 0.95 else 4
            text = texts.line(chance)
            yield Line(conv, self.seqs[conv], first_id_of(ts) + n % 4096, userid, media, ts, text)

    def floors(self, userid: int) -> dict[str, int]:
        """What a user may read: conversation → the seq above which."""
        found = {f"{a}-{b}": 0 for a, b in self.pairs if userid in (a, b)}
        for gid, members in self.members.items():
            if userid in members:
                found[f"g{gid}"] = members[userid]
        return found


async def write(store: MongoStore, world: World, said: Sequence[Line]) -> None:
    """The history and who may read it, as the server would have written them."""
    for at in range(0, len(world.pairs), 50):
        pairs = world.pairs[at : at + 50]
        await asyncio.gather(
            *(store.places.add(conversation(SINGLE, *p), list(set(p))) for p in pairs)
        )
    for gid, members in world.members.items():
        group = {
            "_id": gid,
            "name": f"group {gid}",
            "owner": next(iter(members)),
            "avatar": "",
            "memo": "",
            "history": "joined",
            "muted_all": False,
            "created": EPOCH_MS,
        }
        rows = [
            {
                "_id": f"{gid}:{userid}",
                "gid": gid,
                "userid": userid,
                "role": "member",
                "joined": EPOCH_MS,
                "floor": floor,
            }
            for userid, floor in members.items()
        ]
        await store.groups.insert(group, rows)
    for at in range(0, len(said), 1000):
        documents = []
        for line in said[at : at + 1000]:
            group_id = int(line.conv[1:]) if line.conv[0] == "g" else 0
            pair = (0, 0) if group_id else tuple(map(int, line.conv.split("-")))
            message = Message(
                id=line.id,
                userid=line.userid,
                cmd=GROUP if group_id else SINGLE,
                dstid=group_id or sum(pair) - line.userid,
                media=line.media,
                content=line.text,
                seq=line.seq,
                ts=line.ts,
            )
            owners = (group_id,) if group_id else tuple(set(pair))
            documents.append(store.messages.encode(Stored(message, "", line.conv), owners, Tally()))
        assert (await store.messages.insert(documents)).stored == len(documents)


async def index(store: MongoStore, world: World) -> float:
    """All of it, by the server's indexer without its rests. Seconds."""
    indexer = Indexer(store.search, store.messages)
    began = time.monotonic()
    for conv, seq in world.seqs.items():
        indexer.wrote(conv, seq)
    behind = list(world.seqs)
    while indexer.behind:
        await indexer.catch_up(behind[:200])
        marks = await store.search.marks(behind[:200])
        behind = [c for c in behind[:200] if marks.get(c, 0) < world.seqs[c]] + behind[200:]
    return time.monotonic() - began


class Asked(NamedTuple):
    """One search of somebody."""

    q: str
    filters: dict[str, int]


KINDS = (
    "one Chinese character",
    "two Chinese characters",
    "four Chinese characters",
    "a word",
    "part of a word",
    "two words",
    "a word of one sender",
    "a word in one conversation",
    "a word within a month",
    "a word with a picture",
    "a number, rare",
    "in every third text",
    "the same, second page",
    "in no text",
    "in no text, its parts in many",
)


def ask(kind: str, chance: random.Random, userid: int, seen: Sequence[Line]) -> Asked:
    """A search of this kind, mostly for something that one of the user's messages says."""
    if "Chinese" in kind:
        count = {"one": 1, "two": 2, "four": 4}[kind.partition(" ")[0]]
        for line in chance.choices(seen, k=1000):
            if run := re.search(f"[\u4e00-\u9fff]{{{count}}}", line.text):
                return Asked(run[0], {})
        return Asked("人工智能"[:count], {})
    if kind == "in no text":
        return Asked(chance.choice(("zqxjkv", "龘靐", "wwwwq")), {})
    if kind == "in no text, its parts in many":
        return Asked(chance.choice(("theing anden", "是的我是的", "verdeste")), {})
    if "every" in kind or "same" in kind:
        return Asked(chance.choice(("the", "de", "的", "ing", "en")), {})
    words: list[str] = []
    while len(words) < 2:
        line = chance.choice(seen)
        words = [word for word in re.findall(r"[^\W_]+", line.text) if 2 < len(word) < 40]
        if "number" in kind:
            words = [word for word in words if word.isdecimal()] * 2
    word = chance.choice(words)
    if kind == "part of a word":
        return Asked(max(words, key=len)[1:5], {})
    if kind == "two words":
        return Asked(" ".join(chance.sample(words, 2)), {})
    if "sender" in kind:
        return Asked(word, {"sender": line.userid})
    if "conversation" in kind:
        if line.conv[0] == "g":
            return Asked(word, {"chat": GROUP, "dstid": int(line.conv[1:])})
        return Asked(word, {"chat": SINGLE, "dstid": partner(line.conv, userid)})
    if "month" in kind:
        return Asked(word, {"since": line.ts - MONTH_MS // 2, "until": line.ts + MONTH_MS // 2})
    return Asked(word, {"media": 4} if "picture" in kind else {})


def scan(asked: Asked, userid: int, seen: Sequence[Line], before: int, limit: int) -> list[int]:
    """The ids that the search has to give: every text looked at."""
    wanted, filters = Wanted(asked.q), asked.filters
    conv = ""
    if "chat" in filters:
        conv = conversation(filters["chat"], userid, filters["dstid"])
    found = [
        line.id
        for line in seen
        if line.id < before
        and conv in ("", line.conv)
        and filters.get("sender", line.userid) == line.userid
        and filters.get("media", line.media) == line.media
        and filters.get("since", 0) <= line.ts <= filters.get("until", line.ts)
        and wanted.matches(fold(line.text))
    ]
    return sorted(found, reverse=True)[:limit]


class Results:
    """Of one kind of search: how long each took, and how much it found."""

    def __init__(self) -> None:
        self.ms: list[float] = []
        self.found = 0

    def row(self, kind: str) -> str:
        times = sorted(self.ms)
        p50, p95, p99 = (times[min(len(times) - 1, int(len(times) * q))] for q in (0.5, 0.95, 0.99))
        return (
            f"| {kind} | {len(times)} | {self.found / len(times):.1f} "
            f"| {p50:.1f} | {p95:.1f} | {p99:.1f} | {times[-1]:.1f} |"
        )


async def search(
    clients: Sequence[JsonClient],
    world: World,
    said: Sequence[Line],
    searches: int,
    check: bool,
) -> tuple[dict[str, Results], list[str]]:
    """Kind → figures, and what was answered wrongly."""
    by_conv: dict[str, list[Line]] = {}
    for line in said:
        by_conv.setdefault(line.conv, []).append(line)
    results = {kind: Results() for kind in (*KINDS, "all")}
    wrong: list[str] = []
    for n in range(searches):
        kind = KINDS[n % len(KINDS)]
        client = world.chance.choice(clients)
        floors = world.floors(client.id)
        seen = [line for c, floor in floors.items() for line in by_conv.get(c, ())[floor:]]
        asked = ask(kind, world.chance, client.id, seen)
        before, limit = 2**53 - 1, 20
        for _ in range(2 if "second" in kind else 1):
            query = urlencode({"q": asked.q, **asked.filters, "before": before, "limit": limit})
            began = time.perf_counter()
            status, answer, _ = await http(
                client.node, "GET", f"/api/search?{query}", token=client.token
            )
            took = (time.perf_counter() - began) * 1000
            ids = [message["id"] for message in answer.get("messages", ())]
            if status != 200:
                wrong.append(f"{kind} {asked} by {client.id}: {status} {answer}")
            elif check and ids != scan(asked, client.id, seen, before, limit):
                wrong.append(f"{kind} {asked} by {client.id} before {before}: {ids}")
            before = ids[-1] if ids else before
        for name in (kind, "all"):
            results[name].ms.append(took)
            results[name].found += len(ids)
    return results, wrong


async def size(url: str, name: str) -> dict[str, float]:
    """MiB of a collection: its documents, on disk compressed, and its indexes."""
    async with AsyncMongoClient[dict[str, Any]](url) as client:
        stats = await client.tandem.command("collStats", name)
    total = sum(stats["indexSizes"].values())
    return {"documents": stats["storageSize"] / 2**20, "indexes": total / 2**20}


async def run(options: argparse.Namespace, directory: Path) -> str:
    node = Node(
        directory,
        {"TANDEM_LOG_LEVEL": "warning", "TANDEM_MONGODB_CACHE_MB": str(options.cache_mb)},
    ).start()
    try:
        clients = [await JsonClient.register(node) for _ in range(options.users)]
        world = World([client.id for client in clients])
        settings = load(None, {})
        began = time.monotonic()
        said = list(world.talk(options.messages))
        say(f"{len(said):,} messages made in {time.monotonic() - began:.0f} s")
        mongod = node.mongod_pid()
        async with open_store(node.mongodb_url, settings.mongodb) as store:
            began = time.monotonic()
            await write(store, world, said)
            say(f"written in {time.monotonic() - began:.0f} s")
            before = time.process_time(), cpu_seconds(mongod)
            seconds = await index(store, world)
            ours, theirs = time.process_time() - before[0], cpu_seconds(mongod) - before[1]
        sizes = {name: await size(node.mongodb_url, name) for name in ("messages", "terms")}
        count = len(said)
        readable = [
            {conv: world.seqs[conv] - floor for conv, floor in world.floors(client.id).items()}
            for client in clients[:100]
        ]
        text = (
            f"{count:,} messages of {options.users:,} users in {len(world.seqs):,} conversations, "
            f"{len(set(line.text for line in said)) / count:.0%} of the texts distinct, "
            f"{sum(len(line.text) for line in said) / count:.0f} characters each; a user reads "
            f"{sum(map(len, readable)) / len(readable):.0f} conversations with "
            f"{sum(sum(floors.values()) for floors in readable) / len(readable):,.0f} messages.\n\n"
            f"Indexed at {count / seconds:,.0f} messages a second: {1e6 * ours / count:.0f} µs of "
            f"the server's CPU and {1e6 * theirs / count:.0f} µs of mongod's for each.\n\n"
            "| collection | documents on disk, MiB | indexes, MiB | bytes a message |\n"
            "| --- | --- | --- | --- |\n"
        )
        for name, mib in sizes.items():
            each = sum(mib.values()) * 2**20 / count
            text += f"| `{name}` | {mib['documents']:.0f} | {mib['indexes']:.0f} | {each:.0f} |\n"
        say(text)
        results, wrong = await search(clients, world, said, options.searches, options.check)
        text += "\n| searched for | searches | found | p50 ms | p95 ms | p99 ms | slowest |\n"
        text += "| --- | --- | --- | --- | --- | --- | --- |\n"
        text += "\n".join(figures.row(kind) for kind, figures in results.items()) + "\n"
        if wrong:
            text += f"\nWRONG: {len(wrong)}\n" + "\n".join(wrong[:20]) + "\n"
        return text
    finally:
        node.stop()
        node.clean_up()


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


REMARKS = "<!-- remarks -->"
"""What stands below it is kept by the next run."""

HEAD = """# Searching

`{command}`, {date}, {machine}. Client, server and mongod share the machine; times are those of
the client, over HTTP, one search after the other, the `found` of the first 20.

"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.search", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--searches", type=int, default=1000)
    parser.add_argument("--cache-mb", type=int, default=256, help="as mongodb.cache_mb")
    parser.add_argument("--check", action="store_true", help="compare with a scan of all texts")
    parser.add_argument("--out", type=Path, help="directory for search.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tandem-search-") as directory:
        text = uvloop.run(run(options, Path(directory)))
    say("\n" + text)
    if options.out:
        head = HEAD.format(
            command=" ".join(["python -m tests.bench.search", *sys.argv[1:]]),
            date=datetime.datetime.now(datetime.UTC).date(),
            machine=machine(),
        )
        page = options.out / "search.md"
        _, mark, remarks = (page.read_text() if page.exists() else "").partition(REMARKS)
        page.write_text(head + text + (f"\n{mark}{remarks}" if mark else ""))
    return 1 if "WRONG" in text else 0


if __name__ == "__main__":
    raise SystemExit(main())
