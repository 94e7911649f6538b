"""Contacts, profiles, groups and their members, at the page of a real server."""

from typing import Any

import pytest
from playwright.async_api import Locator, expect

from tests.support.axe import violations
from tests.support.browser import CHROMIUM, NETWORK_ERRORS, People, until
from tests.support.chat_page import ChatPage
from tests.support.eventually import eventually
from tests.support.groups import make_group
from tests.support.json_client import JsonClient
from tests.support.node import ROOT, Node

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")

PHONE: dict[str, Any] = {"width": 390, "height": 844}


async def named(node: Node, nickname: str, *, online: bool = False) -> JsonClient:
    account = await (JsonClient.online(node) if online else JsonClient.register(node))
    status, _ = await account.call("PATCH", "/api/me", {"nickname": nickname})
    assert status == 200
    return account


async def befriend(one: JsonClient, other: JsonClient) -> None:
    await one.call("POST", "/api/contacts", {"id": other.id})
    status, _ = await other.call("POST", f"/api/contacts/{one.id}/accept")
    assert status == 200


async def open_contacts(page: ChatPage) -> Locator:
    await page.back()
    await page.contacts.click()
    await expect(page.field("contacts.search")).to_be_visible()
    return page.dialog


async def open_info(page: ChatPage, title: str = "groupInfo") -> Locator:
    """Of the conversation that is open: a group's, or a person's profile."""
    await page.thread.get_by_role("button").filter(has=page.page.locator("h2")).click()
    dialog = page.page.get_by_role("dialog", name=page.t(title), exact=True)
    await expect(dialog.locator(".people-name")).to_be_visible()
    return dialog


def row(page: ChatPage, list_key: str, name: str) -> Locator:
    """Of a list of a panel."""
    found = page.dialog.get_by_role("list", name=page.t(list_key), exact=True)
    return found.get_by_role("listitem").filter(has=page.page.get_by_text(name, exact=True))


def choice(page: ChatPage, key: str) -> Locator:
    return page.page.get_by_role("combobox", name=page.t(key), exact=True)


async def answer(page: ChatPage, key: str) -> None:
    """Says yes to the question that lies on top."""
    await page.button(key, page.page.locator("dialog.question").last).click()


# Contacts


@pytest.mark.gen_test(timeout=90)
async def test_asked_person_accepts_and_is_seen_to_be_there(node: Node, people: People) -> None:
    """From the search to a contact's presence and description, in the list and the profile."""
    ann, ben = await JsonClient.register(node), await named(node, "Ben Brown", online=True)
    page = await ChatPage.come(people, ann)
    await page.start("newChat")
    found = await page.find_person(ben.username, "Ben Brown")
    await page.button("contacts.add", page.dialog, name="Ben Brown").click()
    await expect(found).to_contain_text(page.t("contacts.asked"))
    await page.leave_dialog()
    await open_contacts(page)
    await expect(row(page, "contacts.requested", "Ben Brown")).to_be_visible()
    await ben.call("POST", f"/api/contacts/{ann.id}/accept")
    listed = row(page, "contacts", "Ben Brown")
    await expect(listed).to_contain_text(page.t("presence.online"))
    await expect(listed.locator(".dot")).to_be_visible()
    ben.send(cmd=20, state="dnd", memo="in a meeting")
    await expect(listed).to_contain_text("in a meeting")
    await listed.get_by_role("button", name="Ben Brown").first.click()
    profile = page.page.get_by_role("dialog", name=page.t("personInfo"), exact=True)
    await expect(profile).to_contain_text(f"{page.t('presence.dnd')} · in a meeting")
    await expect(profile).to_contain_text(ben.jid)
    ben.close()
    await expect(profile).to_contain_text(page.t("presence.offline"))


@pytest.mark.gen_test(timeout=90)
async def test_requests_are_accepted_refused_and_withdrawn(node: Node, people: People) -> None:
    """They come in while the list is open; each side's list is right afterwards."""
    ann = await JsonClient.register(node)
    ben, cleo, dan = [await named(node, name) for name in ("Ben B.", "Cleo C.", "Dan D.")]
    page = await ChatPage.come(people, ann)
    await ann.call("POST", "/api/contacts", {"id": dan.id})
    await open_contacts(page)
    for asker in (ben, cleo):
        await asker.call("POST", "/api/contacts", {"id": ann.id})
    await page.button("contacts.accept", page.dialog, name="Ben B.").click()
    await expect(row(page, "contacts", "Ben B.")).to_be_visible()
    await page.button("contacts.refuse", page.dialog, name="Cleo C.").click()
    await expect(page.dialog.get_by_text("Cleo C.")).to_have_count(0)
    await page.button("contacts.withdrawOf", page.dialog, name="Dan D.").click()
    await expect(page.dialog.get_by_text("Dan D.")).to_have_count(0)
    _, listed = await ann.call("GET", "/api/contacts")
    assert [(one["id"], one["state"]) for one in listed["contacts"]] == [(ben.id, "both")]


@pytest.mark.gen_test(timeout=90)
async def test_contact_is_called_what_one_calls_them(node: Node, people: People) -> None:
    """In the profile, the list of contacts and the list of conversations, at once."""
    ann, ben = await JsonClient.register(node), await named(node, "Ben <b>B.</b>")
    await befriend(ann, ben)
    await ben.connect()
    await ben.say(ann.id, "hello", "b1")
    page = await ChatPage.come(people, ann)
    await page.open("Ben <b>B.</b>")
    profile = await open_info(page, "personInfo")
    await page.button("person.rename", profile).click()
    await page.field("person.ownName").fill("Benny")
    await answer(page, "save")
    await expect(profile.locator(".people-name")).to_have_text("Benny")
    await expect(profile).to_contain_text("Ben <b>B.</b>")
    await page.button("close", profile).click()
    await page.is_in("Benny")
    await expect(page.row("Benny")).to_be_visible()
    await open_contacts(page)
    await expect(row(page, "contacts", "Benny")).to_be_visible()


@pytest.mark.gen_test(timeout=90)
async def test_blocked_person_is_refused_until_unblocked(node: Node, people: People) -> None:
    """Blocked from the profile, unblocked from the list of contacts."""
    ann, ben = await JsonClient.register(node), await named(node, "Ben B.", online=True)
    await befriend(ann, ben)
    await ben.say(ann.id, "hello", "b1")
    page = await ChatPage.come(people, ann)
    await page.open("Ben B.")
    profile = await open_info(page, "personInfo")
    await page.button("person.block", profile).click()
    await answer(page, "person.block")
    await expect(page.button("person.unblock", profile)).to_be_visible()
    assert await ben.refused(cmd=10, dstid=ann.id, content="hm", cid="b2") == (403, "not-allowed")
    await page.button("close", profile).click()
    await page.send("is this taken?")
    await expect(page.thread.get_by_text(page.t("reason.blocked"))).to_be_visible()
    await open_contacts(page)
    await page.button("contacts.unblockOf", page.dialog, name="Ben B.").click()
    await expect(row(page, "contacts.blocked", "Ben B.")).to_have_count(0)
    await ben.say(ann.id, "again", "b3")


@pytest.mark.gen_test(timeout=90)
async def test_contact_is_removed_after_a_question(node: Node, people: People) -> None:
    """For both; and who was removed can be asked again."""
    ann, ben = await JsonClient.register(node), await named(node, "Ben B.")
    await befriend(ann, ben)
    page = await ChatPage.come(people, ann)
    await open_contacts(page)
    await row(page, "contacts", "Ben B.").get_by_role("button", name="Ben B.").first.click()
    profile = page.page.get_by_role("dialog", name=page.t("personInfo"), exact=True)
    await page.button("person.remove", profile).click()
    await answer(page, "cancel")
    await page.button("person.remove", profile).click()
    await answer(page, "person.remove")
    await expect(page.button("person.add", profile)).to_be_visible()
    _, listed = await ben.call("GET", "/api/contacts")
    assert listed["contacts"] == []


@pytest.mark.gen_test(timeout=90)
async def test_search_is_done_with_the_keyboard(node: Node, people: People) -> None:
    """Contacts first, by any part of their name; down to a stranger, back up, and Enter."""
    ann, ben = await JsonClient.register(node), await named(node, "Élise Brown")
    await befriend(ann, ben)
    page = await ChatPage.come(people, ann)
    await page.start("newChat")
    box, keys = page.field("people.search"), page.page.keyboard
    await expect(box).to_be_focused()
    await keys.type("elise br")
    contact = row(page, "contacts", "Élise Brown").get_by_role("button")
    await expect(contact).to_be_visible()
    await keys.press("ArrowDown")
    await expect(contact).to_be_focused()
    await keys.press("ArrowUp")
    await expect(box).to_be_focused()
    await keys.press("Enter")
    await page.is_in("Élise Brown")


@pytest.mark.gen_test(timeout=90)
async def test_failed_calls_are_told_and_can_be_tried_again(node: Node, people: People) -> None:
    """A search without a network, and a request that is refused."""
    ann, ben = await JsonClient.register(node), await named(node, "Ben B.")
    page = await ChatPage.come(people, ann)
    page.person.forgive(*NETWORK_ERRORS, r"status of 403")
    await page.start("newChat")
    await page.page.route("**/api/users?q=*", lambda route: route.abort())
    await page.field("people.search").fill(ben.username)
    failure = page.dialog.get_by_role("alert").filter(has_text=page.t("errorNetwork"))
    await expect(failure).to_be_visible()
    await page.page.unroute("**/api/users?q=*")
    await page.button("people.again", page.dialog).click()
    await expect(row(page, "people.found", "Ben B.")).to_be_visible()
    await ann.call("PUT", f"/api/blocks/{ben.id}")  # on another device
    await page.button("contacts.add", page.dialog, name="Ben B.").click()
    failure = page.dialog.get_by_role("alert").filter(has_text=page.t("contactsFailed.blocked"))
    await expect(failure).to_be_visible()


# Groups


async def make_on_page(page: ChatPage, name: str, *members: JsonClient) -> int:
    await page.start("newGroup")
    await page.field("groupName").fill(name)
    for member in members:
        await page.field("people.search").fill(member.username)
        await page.dialog.locator("button.row").filter(has_text=member.username).click()
    await page.button("create", page.dialog).click()
    await page.is_in(name)
    return int(page.page.url.rpartition("/")[2])


async def manage(page: ChatPage, name: str, *keys: str) -> None:
    """Chooses from the menu of a member, and from the menus that follow."""
    await page.button("group.manage", page.dialog, name=name).click()
    for key in keys:
        await page.menu(key)


@pytest.mark.gen_test(timeout=120)
async def test_group_is_made_and_its_members_are_given_roles_and_muted(
    node: Node, people: People
) -> None:
    """Whoever is muted is refused until the mute is lifted; whoever is removed is out."""
    ann = await JsonClient.register(node)
    ben, cleo = [await named(node, name, online=True) for name in ("Ben B.", "Cleo C.")]
    page = await ChatPage.come(people, ann)
    gid = await make_on_page(page, "Walkers", ben, cleo)
    info = await open_info(page)
    await manage(page, "Ben B.", "group.makeAdmin")
    await expect(row(page, "members", "Ben B.")).to_contain_text(page.t("admin"))
    await manage(page, "Cleo C.", "group.mute", "group.forGood")
    cleos = row(page, "members", "Cleo C.")
    await expect(cleos).to_contain_text(page.t("group.mutedForGood"))
    assert await cleo.refused(cmd=11, dstid=gid, content="hm", cid="c1") == (403, "muted")
    await manage(page, "Cleo C.", "group.unmute")
    await expect(cleos).not_to_contain_text(page.t("group.mutedForGood"))
    await cleo.say(gid, "thanks", "c2", chat=11)
    await manage(page, "Cleo C.", "group.nick")
    await page.field("group.nickOf", name="Cleo C.").fill("The guide")
    await answer(page, "save")
    await expect(row(page, "members", "The guide")).to_be_visible()
    await manage(page, "The guide", "group.remove")
    await answer(page, "group.remove")
    await expect(row(page, "members", "The guide")).to_have_count(0)
    await expect(info).to_contain_text(page.t("memberCount", count=2))
    await cleo.expect(cmd=22, event="removed", dstid=gid)


@pytest.mark.gen_test(timeout=120)
async def test_owner_invites_by_a_link_hands_over_and_leaves(node: Node, people: People) -> None:
    """Somebody else joins by the link, is the owner then, and revokes nothing of the old one's."""
    ann, ben = await JsonClient.register(node), await named(node, "Ben B.")
    page = await ChatPage.come(people, ann)
    gid = await make_on_page(page, "Walkers")
    info = await open_info(page)
    await page.button("links.title", info).click()
    await choice(page, "links.lasts").select_option(label=page.t("group.oneDay"))
    await choice(page, "links.uses").select_option("1")
    await page.button("links.make", page.dialog).click()
    link = page.dialog.get_by_role("list", name=page.t("links.title"), exact=True)
    address = await link.locator("code").inner_text()
    await expect(link).to_contain_text(page.t("links.left", count=1))
    await page.leave_dialog()
    assert address.startswith(f"{page.person.url}/#/join/")

    guest = await ChatPage.come(people, ben, address.removeprefix(page.person.url), **PHONE)
    await guest.button("join.yes", guest.dialog).click()
    await guest.is_in("Walkers")
    await manage(page, "Ben B.", "group.handOver")
    await answer(page, "group.handOver")
    await expect(row(page, "members", "Ben B.")).to_contain_text(page.t("owner"))
    await page.button("leave", info).click()
    await answer(page, "leave")
    await expect(page.row("Walkers")).to_have_count(0)
    _, group = await ben.call("GET", f"/api/groups/{gid}")
    assert (group["owner"], group["role"], group["count"]) == (ben.id, "owner", 1)

    guest_info = await open_info(guest)
    await expect(guest.button("dissolve", guest_info)).to_be_visible()
    await guest.page.goto(address)
    late = await ChatPage.come(people, ann, address.removeprefix(page.person.url))
    late.person.forgive(r"status of 404")
    await late.button("join.yes", late.dialog).click()
    await expect(late.dialog.get_by_role("alert")).to_have_text(late.t("joinFailed.not-found"))


@pytest.mark.gen_test(timeout=120)
async def test_who_asks_to_be_let_in_is_let_in(node: Node, people: People) -> None:
    """Where the owner wants it so; the address to ask at is beside the links."""
    ann, ben = await JsonClient.register(node), await named(node, "Ben B.")
    page = await ChatPage.come(people, ann)
    gid = await make_on_page(page, "Walkers")
    info = await open_info(page)
    await choice(page, "group.join").select_option("request")
    await page.button("links.title", info).click()
    await expect(page.dialog.get_by_text(f"/#/join/{gid}")).to_be_visible()
    await page.leave_dialog()
    guest = await ChatPage.come(people, ben, f"/#/join/{gid}")
    await guest.field("join.words").fill("I met you at the lake")
    await guest.button("join.ask", guest.dialog).click()
    await expect(guest.page.get_by_role("status")).to_contain_text([guest.t("join.asked")])
    await expect(row(page, "group.requests", "Ben B.")).to_contain_text("I met you at the lake")
    await page.button("contacts.accept", page.dialog, name="Ben B.").click()
    await expect(row(page, "members", "Ben B.")).to_be_visible()
    await expect(guest.row("Walkers")).to_be_visible()


@pytest.mark.gen_test(timeout=120)
async def test_owner_changes_what_the_group_is(node: Node, people: People) -> None:
    """Words, picture, who may write; others see it at once, and cannot change it."""
    ann, ben = await JsonClient.register(node), await named(node, "Ben B.")
    gid = await make_group(ann, ben)
    page = await ChatPage.come(people, ann, f"/#/11/{gid}")
    other = await ChatPage.come(people, ben, f"/#/11/{gid}")
    info = await open_info(page)
    others = await open_info(other)
    await page.button("group.edit", info).click()
    await page.field("groupName").fill("Sunday <i>walkers</i>")
    await page.field("group.memo").fill("Around the lakes")
    await page.field("group.announcement").fill("At nine,\nat the bridge")
    await page.button("save", page.dialog).click()
    for text in ("Sunday <i>walkers</i>", "Around the lakes", "At nine,\nat the bridge"):
        await expect(info.get_by_text(text)).to_be_visible()
        await expect(others.get_by_text(text)).to_be_visible()
    for key in ("group.edit", "links.title", "group.add", "group.picture", "dissolve"):
        await expect(other.button(key, others)).to_have_count(0)
    await expect(others.get_by_label(other.t("group.mutedAll"))).to_have_count(0)
    await expect(others.locator("[aria-haspopup=menu]")).to_have_count(0)
    await page.field("group.mutedAll").check()
    await other.button("close", others).click()
    await expect(other.box).to_be_hidden()
    await page.field("group.mutedAll").uncheck()
    await expect(other.box).to_be_visible()
    await info.locator("input[type=file]").set_input_files(ROOT / "web/icons/512.png")
    await page.button("cropUse").click()
    for each in (info, await open_info(other)):
        await expect(each.locator(".people-card .avatar img")).to_be_visible()
    await page.field("group.quiet").check()

    async def is_muted() -> bool:
        _, inbox = await ann.call("GET", "/api/conversations")
        return [one["muted"] for one in inbox["conversations"]] == [True]

    await eventually(is_muted)


@pytest.mark.gen_test(timeout=120)
async def test_long_list_of_members_is_drawn_as_one_scrolls(node: Node, people: People) -> None:
    """And searched as a whole; a member who goes meanwhile is gone."""
    ann = await JsonClient.register(node)
    others = [await named(node, f"Member {n:03}") for n in range(80)]
    gid = await make_group(ann, *others)
    page = await ChatPage.come(people, ann, f"/#/11/{gid}", **PHONE)
    await open_info(page)
    members = page.dialog.get_by_role("list", name=page.t("members"), exact=True)
    await expect(members.get_by_text("Member 000")).to_be_attached()
    assert await members.get_by_text("Member 079").count() == 0
    await members.get_by_role("listitem").last.scroll_into_view_if_needed()
    await members.get_by_text("Member 057").scroll_into_view_if_needed()
    await expect(members.get_by_text("Member 079")).to_be_attached()
    await page.field("group.search").fill("ber 07")
    await expect(members.get_by_role("listitem")).to_have_count(10)
    await others[75].call("DELETE", f"/api/groups/{gid}/members/{others[75].id}")
    await expect(members.get_by_text("Member 075")).to_have_count(0)
    await expect(members.get_by_role("listitem")).to_have_count(9)


@pytest.mark.gen_test(timeout=90)
async def test_who_has_read_is_told_while_it_changes(node: Node, people: People) -> None:
    """Read, received, and neither."""
    ann = await JsonClient.register(node)
    ben, cleo, _ = others = [
        await named(node, name, online=True) for name in ("Ben B.", "Cleo C.", "Dan D.")
    ]
    gid = await make_group(ann, *others)
    page = await ChatPage.come(people, ann, f"/#/11/{gid}")
    await page.say("who reads this?")
    told = await ben.expect(cmd=11, dstid=gid)
    ben.send(cmd=12, chat=11, dstid=gid, seq=told["seq"], state="read")
    cleo.send(cmd=12, chat=11, dstid=gid, seq=told["seq"], state="delivered")
    await page.act("who reads this?", "seenBy")
    await expect(row(page, "readers.read", "Ben B.")).to_be_visible()
    await expect(row(page, "readers.received", "Cleo C.")).to_be_visible()
    await expect(row(page, "readers.neither", "Dan D.")).to_be_visible()
    cleo.send(cmd=12, chat=11, dstid=gid, seq=told["seq"], state="read")
    await expect(row(page, "readers.read", "Cleo C.")).to_be_visible()


@pytest.mark.gen_test(timeout=120)
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_panels_break_no_rule_of_accessibility(
    node: Node, people: People, scheme: str
) -> None:
    """Contacts, a profile, a new group with somebody chosen, a group and its links."""
    ann = await JsonClient.register(node)
    ben, cleo, dan = [await named(node, name) for name in ("Ben B.", "Cleo C.", "محمد")]
    await befriend(ann, ben)
    await cleo.call("POST", "/api/contacts", {"id": ann.id})
    await ann.call("POST", "/api/contacts", {"id": dan.id})
    gid = await make_group(ann, ben, cleo)
    page = await ChatPage.come(people, ann, f"/#/11/{gid}", scheme=scheme, **PHONE)
    found: dict[str, list[str]] = {}

    async def judge(what: str) -> None:
        await expect(page.dialog.locator(".spinning")).to_have_count(0)
        await until(page.page, "document.getAnimations().length === 0")  # faded in
        found[what] = await violations(page.page)

    info = await open_info(page)
    await judge("group")
    await page.button("links.title", info).click()
    await page.button("links.make", page.dialog).click()
    await expect(page.dialog.locator("code")).to_have_count(1)
    await judge("links")
    await page.leave_dialog()
    await page.button("group.edit", info).click()
    await judge("edit")
    await page.leave_dialog()
    await page.button("close", info).click()
    await open_contacts(page)
    await judge("contacts")
    await row(page, "contacts.pending", "Cleo C.").get_by_role("button", name="Cleo").first.click()
    await judge("person")
    await page.leave_dialog()
    await page.leave_dialog()
    await page.start("newGroup")
    await (await page.find_person("Ben", "Ben B.")).click()
    await judge("new group")
    assert found == {what: [] for what in found}
