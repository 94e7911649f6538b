"""Writing in a conversation: mentions, drafts, ticks, who may not, what fails, and attachments."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from tests.support.browser import People, until
from tests.support.chat_page import ChatPage
from tests.support.contacts import befriend, block, unblock
from tests.support.eventually import eventually
from tests.support.groups import make_group
from tests.support.json_client import JsonClient
from tests.support.node import ROOT, Node

PICTURE = ROOT / "web/icons/192.png"


async def two(node: Node, people: People, **look: Any) -> tuple[ChatPage, JsonClient, JsonClient]:
    """Ann at the page, in the conversation with Ben; both accounts."""
    ann, ben = await JsonClient.register(node), await JsonClient.online(node)
    page = await ChatPage.come(people, ann, f"/#/10/{ben.id}", **look)
    await page.is_in(ben.username)
    return page, ann, ben


async def in_group(node: Node, people: People) -> tuple[ChatPage, JsonClient, JsonClient, int]:
    """Ann at the page, in a group of Ben's."""
    ann, ben = await JsonClient.register(node), await JsonClient.online(node)
    gid = await make_group(ben, ann)
    page = await ChatPage.come(people, ann, f"/#/11/{gid}")
    await page.is_in("friends")
    return page, ann, ben, gid


@pytest.mark.gen_test(timeout=60)
async def test_mention_is_completed_and_marked(node: Node, people: People) -> None:
    """An @ and a few letters suffice; who is mentioned sees it in the list."""
    page, ann, ben, gid = await in_group(node, people)
    await page.box.press_sequentially(f"Hello @{ben.username[:5]}")
    option = page.page.get_by_role("option", name=ben.username)
    await expect(option).to_be_visible()
    await page.box.press("Enter")
    await expect(page.box).to_have_value(f"Hello @{ben.username} ")
    await page.box.press_sequentially("how are you?")
    await page.box.press("Enter")
    heard = await ben.expect(cmd=11, dstid=gid)
    assert heard["at"] == [ben.id]
    assert heard["content"] == f"Hello @{ben.username} how are you?"
    mention = page.message("how are you?").get_by_role("button", name=f"@{ben.username}")
    await expect(mention).to_be_visible()

    await ben.say(ann.id, "something else", "else")
    await page.open(ben.username)
    ben.send(cmd=11, dstid=gid, content=f"@{ann.username} well", at=[ann.id], cid="well")
    mark = page.row("friends").get_by_role("img", name=page.t("mentioned"))
    await expect(mark).to_be_visible()
    await page.open("friends")
    await expect(mark).to_have_count(0)


@pytest.mark.gen_test(timeout=60)
async def test_draft_is_there_after_a_reload_and_in_the_list(node: Node, people: People) -> None:
    """It follows what another device does with it, and is gone once it is sent."""
    page, ann, ben = await two(node, people)
    await ben.say(ann.id, "hi", "hi")
    await page.box.press_sequentially("half a thou")

    async def has_draft(text: str) -> bool:
        return (await ann.line(ben.id))["draft"] == text

    await eventually(lambda: has_draft("half a thou"))
    await page.page.reload()
    await expect(page.box).to_have_value("half a thou")
    place = {"chat": 10, "dstid": ben.id}
    await ann.call("PATCH", "/api/conversations", place | {"draft": "half a thought"})
    await expect(page.box).to_have_value("half a thought")
    await page.back()
    await page.start("notes")
    await expect(page.row(ben.username)).to_contain_text(page.t("draft"))
    await expect(page.row(ben.username)).to_contain_text("half a thought")
    await page.open(ben.username)
    await page.box.press("Enter")
    await page.has_sent("half a thought")
    await expect(page.box).to_have_value("")
    await eventually(lambda: has_draft(""))


@pytest.mark.gen_test(timeout=60)
async def test_draft_that_nobody_touches_is_not_wiped_by_leaving(
    node: Node, people: People
) -> None:
    """An empty box with the focus is no draft of this device."""
    page, ann, ben = await two(node, people)
    await ben.say(ann.id, "hi", "hi")
    await page.sees("hi")
    await expect(page.box).to_be_focused()
    place = {"chat": 10, "dstid": ben.id}
    await ann.call("PATCH", "/api/conversations", place | {"draft": "from the phone"})
    await page.start("notes")
    await page.is_in(page.t("notes"))
    await expect(page.row(ben.username)).to_contain_text("from the phone")
    assert (await ann.line(ben.id))["draft"] == "from the phone"


@pytest.mark.gen_test(timeout=60)
async def test_draft_that_is_written_offline_is_kept(node: Node, people: People) -> None:
    """The server gets it with the next connection; the box does not lose it."""
    page, ann, ben = await two(node, people)
    await page.say("hello")
    await page.person.go_offline()
    await page.box.press_sequentially("written in a tunnel")
    await page.start("notes")
    await page.is_in(page.t("notes"))
    await page.person.come_back()
    await page.open(ben.username)
    await expect(page.box).to_have_value("written in a tunnel")

    async def is_kept() -> bool:
        return (await ann.line(ben.id))["draft"] == "written in a tunnel"

    await eventually(is_kept)
    await expect(page.box).to_have_value("written in a tunnel")


@pytest.mark.gen_test(timeout=60)
async def test_who_writes_is_shown_until_they_stop(node: Node, people: People) -> None:
    """Above the conversation and in the list; of a group's members by name."""
    page, ann, ben, gid = await in_group(node, people)
    words = page.t("isWriting", name=ben.username)
    ben.send(cmd=13, chat=11, dstid=gid, state="composing")
    await expect(page.thread.get_by_text(words)).to_be_visible()
    ben.send(cmd=13, chat=11, dstid=gid, state="paused")
    await expect(page.thread.get_by_text(words)).to_have_count(0)
    await ben.say(ann.id, "hi", "hi")
    await expect(page.row(ben.username)).to_contain_text("hi")
    ben.send(cmd=13, chat=10, dstid=ann.id, state="composing")
    await expect(page.row(ben.username)).to_contain_text(page.t("writing"))
    await ben.say(ann.id, "written", "written")
    await expect(page.row(ben.username)).to_contain_text("written")


@pytest.mark.gen_test(timeout=60)
async def test_ticks_tell_how_far_a_message_has_come(node: Node, people: People) -> None:
    """Sent, delivered, read; and in groups by how many, and by whom."""
    page, ann, ben = await two(node, people)
    await page.person.go_offline()
    await page.send("follow me")
    await page.has_tick("follow me", "queued")
    await page.person.come_back()
    await page.has_tick("follow me", "stored")
    seq = (await ben.expect(cmd=10, content="follow me"))["seq"]
    for state, tick in (("delivered", "delivered"), ("read", "read")):
        ben.send(cmd=12, chat=10, dstid=ann.id, seq=seq, state=state)
        await page.has_tick("follow me", tick)

    kim = await JsonClient.online(node)
    gid = await make_group(ann, ben, kim)
    await page.row("friends").click()
    await page.say("who reads?")
    seq = (await kim.expect(cmd=11, dstid=gid))["seq"]
    ben.send(cmd=12, chat=11, dstid=gid, seq=seq, state="read")
    kim.send(cmd=12, chat=11, dstid=gid, seq=seq, state="delivered")
    count = page.message("who reads?").get_by_role("img", name=page.t("readByCount", count=1))
    await expect(count).to_be_visible()
    await page.act("who reads?", "seenBy")
    for key, who in (("read", ben), ("received", kim)):
        readers = page.dialog.get_by_role("list", name=page.t(f"readers.{key}"))
        await expect(readers).to_contain_text(who.username)


@pytest.mark.gen_test(timeout=60)
async def test_muted_member_cannot_write_until_it_is_over(node: Node, people: People) -> None:
    """The box gives way to why and how long, and comes back by itself."""
    page, ann, ben, gid = await in_group(node, people)
    path = f"/api/groups/{gid}/members/{ann.id}"
    await ben.call("PATCH", path, {"muted_until": 9007199254740991})
    await expect(page.thread.get_by_text(page.t("mutedForGood"))).to_be_visible()
    await expect(page.box).to_be_hidden()
    await ben.call("PATCH", path, {"muted_until": 0})
    await expect(page.box).to_be_visible()
    await ben.call("PATCH", f"/api/groups/{gid}", {"muted_all": True})
    await expect(page.thread.get_by_text(page.t("mutedAll"))).to_be_visible()
    await ben.call("PATCH", f"/api/groups/{gid}", {"muted_all": False})
    await page.say("free again")


@pytest.mark.gen_test(timeout=60)
async def test_refused_message_says_why_and_is_sent_again_or_discarded(
    node: Node, people: People
) -> None:
    """It stays over a reload until its author has decided."""
    page, ann, ben = await two(node, people)
    await block(ben, ann)
    for text in ("let me in", "never mind"):
        await page.send(text)
        failure = page.message(text).get_by_role("alert")
        await expect(failure).to_contain_text(page.t("reason.not-allowed"))
    await page.page.reload()
    await expect(page.message("let me in").get_by_role("alert")).to_be_visible()
    await page.message("never mind").get_by_role("button", name=page.t("discard")).click()
    await expect(page.message("never mind")).to_have_count(0)
    await unblock(ben, ann)
    await page.message("let me in").get_by_role("button", name=page.t("resend")).click()
    await page.has_sent("let me in")
    assert [one["content"] for one in await ben.history(10, ann.id)] == ["let me in"]


@pytest.mark.gen_test(timeout=60)
async def test_message_is_forwarded_and_a_card_opens_who_it_is_of(
    node: Node, people: People
) -> None:
    """To another conversation, which is opened; the card is of one's contacts or anybody."""
    page, ann, ben = await two(node, people)
    kim = await JsonClient.register(node)
    await befriend(ann, kim)
    await ben.say(ann.id, "tell Kim", "tell")
    await page.act("tell Kim", "forward")
    await page.dialog.get_by_role("button", name=kim.username).click()
    await page.is_in(kim.username)
    await page.has_sent("tell Kim")
    assert (await kim.history(10, ann.id))[0]["content"] == "tell Kim"
    await page.open(ben.username)
    await page.button("attach").click()
    await page.menu("attachContact")
    await (await page.find_person(kim.username, kim.username)).click()
    heard = await ben.expect(cmd=10, media=9)
    assert heard["amount"] == kim.id
    await page.messages.last.get_by_role("button", name=kim.username).click()
    await expect(page.dialog.get_by_text(kim.jid)).to_be_visible()


@pytest.mark.gen_test(timeout=60)
async def test_voice_is_recorded_and_played(node: Node, people: People) -> None:
    """By the browser's own microphone; a discarded recording is not sent."""
    page, _, ben = await two(node, people, permissions=["microphone"])
    await page.button("recordVoice").click()
    await page.button("voiceCancel").click()
    await expect(page.box).to_be_visible()
    await page.button("recordVoice").click()
    await expect(page.page.get_by_role("timer")).to_contain_text("0:01")
    await page.button("voiceSend").click()
    heard = await ben.expect(cmd=10, media=3)
    assert heard["amount"] >= 1
    assert len(await ben.history(10, int(heard["userid"]))) == 1
    await page.messages.last.get_by_role("button", name=page.t("voicePlay")).click()
    await expect(page.button("voicePause")).to_be_visible()


PASTE = """async ([name, type, bytes]) => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], name, {type}));
    const init = {clipboardData: data, bubbles: true, cancelable: true};
    document.activeElement.dispatchEvent(new ClipboardEvent("paste", init));
}"""

FILM = """new Promise((done) => {
    const canvas = Object.assign(document.createElement("canvas"), {width: 64, height: 48});
    const pen = canvas.getContext("2d");
    const parts = [];
    const recorder = new MediaRecorder(canvas.captureStream(30), {mimeType: "video/webm"});
    const drawing = setInterval(() => pen.fillRect(Math.random() * 64, 0, 9, 48), 20);
    recorder.ondataavailable = ({data}) => parts.push(data);
    recorder.onstop = async () => {
        clearInterval(drawing);
        done([...new Uint8Array(await new Blob(parts).arrayBuffer())]);
    };
    recorder.start();
    setTimeout(() => recorder.stop(), 500);
})"""


@pytest.mark.gen_test(timeout=60)
async def test_pasted_picture_and_chosen_film_are_shown(node: Node, people: People) -> None:
    """With a caption; the picture is looked at large, the film played in its place."""
    page, _, ben = await two(node, people)
    await page.box.focus()
    await page.page.evaluate(PASTE, ["a.png", "image/png", list(PICTURE.read_bytes())])
    await page.field("trayCaption").fill("look at this")
    await page.field("trayCaption").press("Enter")
    heard = await ben.expect(cmd=10, media=4)
    assert heard["content"] == "look at this"
    await until(page.page, "document.querySelector('.message img')?.naturalWidth > 0")
    await page.messages.last.get_by_role("button", name=page.t("kind.picture")).click()
    await expect(page.dialog.get_by_role("img").first).to_be_visible()
    await page.page.keyboard.press("Escape")
    film = bytes(await page.page.evaluate(FILM))
    await page.button("attach").click()
    async with page.page.expect_file_chooser() as chosen:
        await page.menu("attachPicture")
    file: Any = {"name": "film.webm", "mimeType": "video/webm", "buffer": film}
    await (await chosen.value).set_files(file)
    await page.button("traySend", page.thread).last.click()
    await ben.expect(cmd=10, media=8)
    await until(page.page, "document.querySelector('.message video')?.readyState >= 1")


@pytest.mark.gen_test(timeout=60)
async def test_file_is_downloaded_under_its_name(
    node: Node, people: People, tmp_path: Path
) -> None:
    """As it was sent, however it is called."""
    page, ann, ben = await two(node, people)
    name = "报价单 (final) <b>.txt"
    path = tmp_path / name
    path.write_bytes(b"all of it")
    await page.attach("attachFile", str(path))
    heard = await ben.expect(cmd=10, media=10)
    assert (heard["memo"], heard["amount"]) == (name, 9)
    other = await ChatPage.come(people, ben, f"/#/10/{ann.id}")
    async with other.page.expect_download() as download:
        await other.messages.last.get_by_role("link", name=name).click()
    file = await download.value
    assert Path(await file.path()).read_bytes() == b"all of it"
    assert file.suggested_filename.startswith("报价单 (final)")


@pytest.mark.gen_test(timeout=60)
async def test_touched_message_offers_what_can_be_done(node: Node, people: People) -> None:
    """On a phone, where there is nothing to point with; a touch elsewhere takes it away."""
    page, ann, ben = await two(node, people, width=390, height=844)
    await ben.say(ann.id, "touch me", "touch")
    message = page.message("touch me")
    more = message.get_by_role("button", name=page.t("more"))
    await message.locator(".bubble").tap()
    await expect(more).to_be_visible()
    await page.box.tap()
    await expect(more).to_be_hidden()
    await message.locator(".bubble").tap()
    await more.tap()
    await page.page.get_by_role("menuitem", name=page.t("reply"), exact=True).tap()
    await expect(page.thread.get_by_text(page.t("replyTo", name=ben.username))).to_be_visible()
    await page.say("an answer")
    await expect(page.message("an answer").locator(".quote")).to_contain_text("touch me")
