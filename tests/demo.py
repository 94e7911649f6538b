"""``make demo``: replays real conversations through a server of its own and counts what went wrong.

A JSON client talks with a slixmpp client, both directions, and three JSON clients talk in a group,
in Chinese and other languages; then the history is read back over HTTP and over XEP-0313. The
table must show zeros: exit status 1 otherwise.
"""

import asyncio
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import yaml

from tests.support.json_client import JsonClient, http
from tests.support.node import Node
from tests.support.xmpp_client import XmppClient

LANGUAGES = (
    "chinese",
    "english",
    "french",
    "german",
    "hebrew",
    "hindi",
    "japanese",
    "korean",
    "persian",
    "russian",
    "spanish",
    "thai",
)
PER_LANGUAGE = 50
IN_FLIGHT = 20


class Row(NamedTuple):
    """One line of the table: what was expected and what came, both in order."""

    name: str
    sent: Sequence[str]
    received: Sequence[str]

    def counts(self) -> tuple[int, int, int, int, int]:
        """Sent, received, lost, duplicated, out of order; a changed byte counts as lost."""
        expected, come = Counter(self.sent), Counter(self.received)
        lost = sum((expected - come).values())
        extra = sum((come - expected).values())
        same = [text for text in self.received if text in expected]
        moved = sum(1 for ours, theirs in zip(self.sent, same, strict=False) if ours != theirs)
        return len(self.sent), len(self.received), lost, extra, moved if not (lost or extra) else 0

    def is_exact(self) -> bool:
        return [text.encode() for text in self.sent] == [text.encode() for text in self.received]


def lines(language: str) -> list[str]:
    """The first lines of a language's conversations, each made unique by its number."""
    found: list[str] = []
    folder = files("chatterbot_corpus") / "data" / language
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".yml"):
            continue
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        for conversation in content.get("conversations", []):
            found += [line for line in conversation if isinstance(line, str) and line.strip()]
        if len(found) >= PER_LANGUAGE:
            break
    return [f"{line.strip()} #{language}-{n}" for n, line in enumerate(found[:PER_LANGUAGE])]


def line_id(text: str) -> str:
    """The part of a line that makes it unique, for a cid."""
    return text.rpartition("#")[2]


async def json_to_xmpp(sender: JsonClient, receiver: XmppClient, texts: Sequence[str]) -> Row:
    for start in range(0, len(texts), IN_FLIGHT):
        part = texts[start : start + IN_FLIGHT]
        for text in part:
            sender.send(cmd=10, dstid=receiver.userid, content=text, cid=line_id(text))
        for _ in part:
            await sender.expect(cmd=1)
    received = [str(message["body"]) for message in await receiver.settled()]
    return Row("JSON → XMPP", texts, received)


async def xmpp_to_json(sender: XmppClient, receiver: JsonClient, texts: Sequence[str]) -> Row:
    received: list[str] = []
    for start in range(0, len(texts), IN_FLIGHT):
        part = texts[start : start + IN_FLIGHT]
        for text in part:
            sender.say(receiver.jid, text)
        received += [(await receiver.expect(cmd=10))["content"] for _ in part]
    received += [frame["content"] for frame in await receiver.settled() if frame["cmd"] == 10]
    return Row("XMPP → JSON", texts, received)


async def in_group(members: Sequence[JsonClient], gid: int, texts: Sequence[str]) -> list[Row]:
    """Members speak in turn, each after hearing the one before, so the order is known."""
    heard: dict[int, list[str]] = {member.id: [] for member in members}
    for n, text in enumerate(texts):
        speaker = members[n % len(members)]
        speaker.send(cmd=11, dstid=gid, content=text, cid=line_id(text))
        await speaker.expect(cmd=1, cid=line_id(text))
        for member in members:
            if member is speaker:
                heard[member.id].append(text)
            else:
                heard[member.id].append((await member.expect(cmd=11))["content"])
    rows = []
    for number, member in enumerate(members, 1):
        heard[member.id] += [f["content"] for f in await member.settled() if f["cmd"] == 11]
        rows.append(Row(f"group, member {number}", texts, heard[member.id]))
    return rows


async def archive(client: XmppClient, with_jid: str) -> list[str]:
    """The whole archive with somebody, page by page, over XEP-0313."""
    entries = client.plugin["xep_0313"].iterate(with_jid=with_jid, rsm={"max": 50})
    return [str(entry["mam_result"]["forwarded"]["stanza"]["body"]) async for entry in entries]


async def play(node: Node) -> list[Row]:
    ann, ben, cai = [await JsonClient.online(node) for _ in range(3)]
    account = await JsonClient.register(node)
    xena = XmppClient(node, account.jid)
    xena.userid = account.id
    await xena.login()
    texts = {language: lines(language) for language in LANGUAGES}
    total = sum(len(found) for found in texts.values())
    sys.stdout.write(f"{total} lines in {len(texts)} languages: {', '.join(texts)}\n")
    there: list[str] = []
    back: list[str] = []
    spoken: list[str] = []
    there_received: list[str] = []
    back_received: list[str] = []
    body = {"name": "demo", "members": [ben.id, cai.id]}
    _, group, _ = await http(node, "POST", "/api/groups", body, token=ann.token)
    heard: dict[str, tuple[list[str], list[str]]] = {}
    for number, (language, found) in enumerate(texts.items(), 1):
        sys.stdout.write(f"\r  {number}/{len(texts)} {language:<12}")
        sys.stdout.flush()
        half = len(found) // 2
        row = await json_to_xmpp(ann, xena, found[:half])
        there += row.sent
        there_received += row.received
        row = await xmpp_to_json(xena, ann, found[half:])
        back += row.sent
        back_received += row.received
        spoken += found
        for row in await in_group((ann, ben, cai), group["id"], found):
            sent, received = heard.setdefault(row.name, ([], []))
            sent += row.sent
            received += row.received
    sys.stdout.write("\r" + " " * 40 + "\r")
    group_rows = [Row(name, *pair) for name, pair in heard.items()]
    singles = [message["content"] for message in await ann.history(10, account.id)]
    groups = [message["content"] for message in await cai.history(11, group["id"])]
    rows = [
        Row("JSON → XMPP, live", there, there_received),
        Row("XMPP → JSON, live", back, back_received),
        *group_rows,
        Row("1:1 history over HTTP", spoken, singles),
        Row("1:1 history over XEP-0313", spoken, await archive(xena, ann.jid)),
        Row("group history over HTTP", spoken, groups),
    ]
    await xena.logout()
    for client in (ann, ben, cai):
        client.close()
    return rows


def print_table(rows: Sequence[Row]) -> bool:
    """Prints the table; whether it shows nothing wrong."""
    sys.stdout.write(
        f"{'':<28}{'sent':>8}{'received':>10}{'lost':>8}{'doubled':>9}"
        f"{'disordered':>12}{'byte-exact':>12}\n"
    )
    good = True
    for row in rows:
        sent, received, lost, doubled, disordered = row.counts()
        good = good and row.is_exact()
        sys.stdout.write(
            f"{row.name:<28}{sent:>8}{received:>10}{lost:>8}{doubled:>9}{disordered:>12}"
            f"{'yes' if row.is_exact() else 'NO':>12}\n"
        )
    return good


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="tandem-demo-") as directory:
        node = Node(Path(directory))
        sys.stdout.write("starting a server of the demo's own …\n")
        node.start()
        try:
            rows = asyncio.run(play(node))
        finally:
            node.stop()
        return 0 if print_table(rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
