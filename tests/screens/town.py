"""The people on the screens, and what they have said to each other when one looks in."""

import itertools
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.screens import media
from tests.support.contacts import ask, befriend
from tests.support.json_client import PASSWORD, JsonClient, http
from tests.support.node import Node

SINGLE, GROUP = 10, 11
LONG_NAME = "Bartholomew Featherstonehaugh-Cholmondeley of Llanfairpwllgwyn"
_cids = itertools.count(1)


class Neighbour(NamedTuple):
    """Who lives here. ``face``: hue and seed of the avatar; without it there are initials."""

    username: str
    nickname: str
    memo: str = ""
    face: tuple[int, int] | None = None


NEIGHBOURS = (
    Neighbour("mara", "Mara Lindqvist", "Boats, bread and long walks", (10, 10)),
    Neighbour("jonas", "Jonas Weber", "Mostly on a bicycle", (120, 60)),
    Neighbour("ruoxi", "林若溪", "山高水长", (180, 180)),
    Neighbour("zhangwei", "张伟"),
    Neighbour("amina", "Amina Osei", "Back on Monday", (40, 3)),
    Neighbour("bartholomew", LONG_NAME),
    Neighbour("priya", "Priya Raman", "We met at the regatta", (220, 220)),
    Neighbour("siyuan", "陈思远"),
    Neighbour("tomas", "Tomás Ferreira"),
    Neighbour("noor", "Noor"),
)


@dataclass
class Town:
    """``people`` by username; ``groups`` by a short name of ours; ``said``: ids of messages."""

    node: Node
    people: dict[str, JsonClient] = field(default_factory=dict)
    groups: dict[str, int] = field(default_factory=dict)
    said: dict[str, int] = field(default_factory=dict)

    def __getitem__(self, username: str) -> JsonClient:
        return self.people[username]

    def title(self, username: str) -> str:
        """What others call somebody."""
        return next(one.nickname for one in NEIGHBOURS if one.username == username)

    async def call(self, who: str, method: str, path: str, body: Any = None) -> Any:
        """A call that succeeds."""
        status, answer = await self[who].call(method, path, body)
        assert status < 300, answer
        return answer

    async def upload(self, who: str, name: str, kind: str, data: bytes) -> str:
        """The address of a file that somebody has put on the server."""
        offer = {"name": name, "size": len(data), "type": kind}
        place = await self.call(who, "POST", "/api/uploads", offer)
        path = place["put"].removeprefix(self.node.url)
        headers = {key.replace("-", "_"): value for key, value in place["headers"].items()}
        status, answer, _ = await http(self.node, "PUT", path, data, **headers)
        assert status == 201, answer
        return str(place["get"])

    async def say(self, who: str, to: str, content: str = "", **fields: Any) -> int:
        """Sends to a username or a group, and waits for the ack; the message's id."""
        chat, dstid = (GROUP, self.groups[to]) if to in self.groups else (SINGLE, self[to].id)
        cid = f"town {next(_cids)}"
        self[who].send(cmd=chat, dstid=dstid, content=content, cid=cid, **fields)
        return int((await self[who].expect(cmd=1, cid=cid))["id"])

    async def act(self, who: str, to: str, cmd: int, ref: int, **fields: Any) -> None:
        """Recalls (14), edits (15) or reacts (16), and waits for the ack."""
        chat, dstid = (GROUP, self.groups[to]) if to in self.groups else (SINGLE, self[to].id)
        await self[who].act(cmd, chat, dstid, ref, f"town {next(_cids)}", **fields)

    async def read(self, who: str, of: str) -> None:
        """Somebody has read everything of a conversation."""
        chat, dstid = (GROUP, self.groups[of]) if of in self.groups else (SINGLE, self[of].id)
        seq = (await self[who].line(dstid, chat))["seq"]
        self[who].send(cmd=12, chat=chat, dstid=dstid, seq=seq, state="read")
        await self[who].settled()

    async def set(self, who: str, of: str, **fields: Any) -> None:
        """Pins, mutes, archives or drafts."""
        chat, dstid = (GROUP, self.groups[of]) if of in self.groups else (SINGLE, self[of].id)
        body = {"chat": chat, "dstid": dstid, **fields}
        await self.call(who, "PATCH", "/api/conversations", body)

    async def picture(self, who: str, palette: media.Palette, seed: int, tall: bool = False) -> Any:
        """Fields of a message with a picture that somebody has uploaded."""
        width, height = (900, 1200) if tall else (1280, 854)
        whole = media.landscape(palette, width, height, seed)
        name = f"IMG_{4100 + seed}.jpg"
        return {
            "media": 4,
            "url": await self.upload(who, name, "image/jpeg", whole),
            "pic": await self.upload(who, f"small-{name}", "image/jpeg", media.small(whole, 480)),
            "memo": name,
            "amount": len(whole),
        }

    async def voice(self, who: str, seconds: int) -> Any:
        """Fields of a voice message."""
        sound = media.voice(seconds, seconds)
        url = await self.upload(who, "voice.wav", "audio/wav", sound)
        return {"media": 3, "url": url, "amount": seconds}

    async def document(self, who: str, name: str, kind: str, size: int) -> Any:
        """Fields of a message with a file."""
        data = b"%PDF-1.4\n" + b"0" * size
        return {
            "media": 10,
            "url": await self.upload(who, name, kind, data),
            "memo": name,
            "amount": len(data),
        }


async def settle(node: Node) -> Town:
    """Everybody moves in, gets to know each other, and talks. Mara is who one looks over."""
    town = Town(node)
    for neighbour in NEIGHBOURS:
        town.people[neighbour.username] = await JsonClient.online(node, neighbour.username)
        profile = {"nickname": neighbour.nickname, "memo": neighbour.memo}
        if neighbour.face:
            face = media.portrait(*neighbour.face)
            profile["avatar"] = await town.upload(
                neighbour.username, "face.jpg", "image/jpeg", face
            )
        await town.call(neighbour.username, "PATCH", "/api/me", profile)
    await _meet(town)
    await _small_talk(town)
    await _hikes(town)
    await _harbour(town)
    for each in town.people.values():
        each.frames.clear()
    return town


async def _meet(town: Town) -> None:
    mara = town["mara"]
    for friend in ("jonas", "ruoxi", "zhangwei", "amina", "bartholomew"):
        await befriend(mara, town[friend])
    await ask(town["priya"], mara)
    await ask(town["siyuan"], mara)
    await ask(mara, town["tomas"], memo="Tomás, sailing school")
    await town.call("mara", "PATCH", f"/api/contacts/{town['amina'].id}", {"memo": "Amina (work)"})
    town["ruoxi"].send(cmd=20, state="dnd", memo="开会中")
    town["amina"].send(cmd=20, state="away")
    await town["ruoxi"].settled()
    await town["amina"].settled()
    for device in (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 "
        "(KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0",
    ):
        body = {"username": "mara", "password": PASSWORD}
        await http(town.node, "POST", "/api/login", body, User_Agent=device)
    await town.call("mara", "POST", "/api/me/app-passwords", {"name": "Conversations, phone"})
    await town.call("mara", "POST", "/api/me/app-passwords", {"name": "Gajim at work"})


async def _small_talk(town: Town) -> None:
    """The list of conversations: each line of it shows something else."""
    for number in range(12):
        await town.say("bartholomew", "mara", f"Minutes of the last meeting, part {number + 1}")
    await town.say("bartholomew", "mara", "Incidentally: " + "and another thing, " * 20)
    await town.set("mara", "bartholomew", muted=True)
    await town.say("mara", "mara", "Rye flour, 2 kg · batteries · stamps")
    await town.say("mara", "amina", "How was the conference?")
    await town.say("amina", "mara", "Long! I will tell you everything on Monday.")
    await town.read("mara", "amina")
    await town.set("mara", "amina", draft="Shall we have lunch at the")
    pdf = await town.document("zhangwei", "报价单-最终版(2).pdf", "application/pdf", 284_000)
    await town.say("zhangwei", "mara", "", **pdf)
    await town.read("mara", "zhangwei")
    await town.say("mara", "ruoxi", "你们几点到码头?")
    await town.say("ruoxi", "mara", "九点半左右,路上有点堵。")
    await town.say("ruoxi", "mara", "帮我留一杯热咖啡 ☕️")
    body = {"name": "设计组 Design", "members": [town["ruoxi"].id, town["mara"].id]}
    town.groups["design"] = (await town.call("zhangwei", "POST", "/api/groups", body))["id"]
    await town.say("ruoxi", "design", "新的配色放在附件里了")
    await town.say("zhangwei", "design", "@Mara 你看一下对比度够不够?", at=[town["mara"].id])


async def _hikes(town: Town) -> None:
    """The group: two languages, pictures, a voice, a file, a link, answers and reactions."""
    members = ("jonas", "ruoxi", "zhangwei", "amina", "bartholomew")
    body = {
        "name": "Weekend hikes 周末徒步",
        "members": [town[member].id for member in members],
        "memo": "Every second Saturday, whatever the weather",
        "avatar": await town.upload(
            "mara", "hills.jpg", "image/jpeg", media.landscape(media.FOREST, 256, 256, 8)
        ),
    }
    gid = (await town.call("mara", "POST", "/api/groups", body))["id"]
    town.groups["hikes"] = gid
    path = f"/api/groups/{gid}"
    news = {"announcement": "Saturday 9:30 at the ferry. Bring a rain jacket!", "join": "request"}
    await town.call("mara", "PATCH", path, news)
    await town.call("mara", "PATCH", f"{path}/members/{town['jonas'].id}", {"role": "admin"})
    silence = {"muted_until": 9007199254740991}
    await town.call("mara", "PATCH", f"{path}/members/{town['bartholomew'].id}", silence)
    await town.call("mara", "POST", f"{path}/invitations", {"uses": 5})
    await town.call("tomas", "POST", f"{path}/requests", {"text": "Jonas told me about you"})
    await town.say("jonas", "hikes", "Who is in for Saturday? The forecast has turned.")
    await town.say("ruoxi", "hikes", "我去!这次走环湖那条路吧")
    question = await town.say("amina", "hikes", "How long is the lake loop?")
    await town.say("jonas", "hikes", "14 km, 420 m up, mostly forest", ref=question)
    link = {"media": 7, "url": "https://www.example.org/walks/lake-loop", "memo": "The lake loop"}
    await town.say("jonas", "hikes", "Map and the train times are here", **link)
    morning = await town.picture("ruoxi", media.MORNING, 3)
    seen = await town.say("ruoxi", "hikes", "上次早上七点的样子", **morning)
    for who, what in (("mara", "😍"), ("jonas", "😍"), ("amina", "👍"), ("zhangwei", "👍")):
        await town.act(who, "hikes", 16, seen, content=what)
    await town.say("amina", "hikes", "", **await town.voice("amina", 7))
    gpx = await town.document("jonas", "lake-loop.gpx", "application/gpx+xml", 48_213)
    await town.say("jonas", "hikes", "", **gpx)
    wrong = await town.say("zhangwei", "hikes", "我带八个饭团")
    await town.act("zhangwei", "hikes", 15, wrong, content="我带十二个饭团 🍙")
    regretted = await town.say("amina", "hikes", "Is Bartholomew coming too?")
    await town.act("amina", "hikes", 14, regretted)
    mention = "@Jonas Weber can you book the ferry? 六个人"
    await town.say("mara", "hikes", mention, at=[town["jonas"].id])
    await town.say("jonas", "hikes", "Done ✅ see you at 9:30")
    await town.read("mara", "hikes")
    await town.set("mara", "hikes", pinned=True)


async def _harbour(town: Town) -> None:
    """The conversation of two: what one screen of a chat can hold."""
    await town.say("mara", "jonas", "Did you see the old harbour crane is open to visitors?")
    await town.say("jonas", "mara", "No! Since when?")
    await town.say("mara", "jonas", "Since yesterday. I walked past on the way to work.")
    evening = await town.picture("mara", media.EVENING, 5)
    view = await town.say("mara", "jonas", "The view from the top", **evening)
    await town.act("jonas", "mara", 16, view, content="🤩")
    await town.say("jonas", "mara", "That is the harbour? It looks like the mountains", ref=view)
    await town.say("jonas", "mara", "😂😂😂")
    typo = await town.say("mara", "jonas", "Tickets are 4 euros, they close at sx")
    await town.act("mara", "jonas", 15, typo, content="Tickets are 4 euros, they close at six")
    wrong = await town.say("jonas", "mara", "wrong window, sorry")
    await town.act("jonas", "mara", 14, wrong)
    await town.say("jonas", "mara", "", **await town.voice("jonas", 12))
    card = {"media": 9, "amount": town["priya"].id}
    await town.say("jonas", "mara", "Priya Raman", **card)
    await town.say("mara", "jonas", "Perfect. I will ask her whether she can come along on Sunday.")
    await town.say("jonas", "mara", "Harbour café afterwards? I am buying ☕️🥐")
    await town.read("jonas", "mara")
    await town.read("mara", "jonas")
