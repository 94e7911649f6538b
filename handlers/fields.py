"""Fields of bodies and queries, with what the OpenAPI document says of their limits.

The limits are kept by the services, with errors of their own. Here they are only told, so nothing
is refused by them: the constraints are ``extra_json_schema``, which msgspec does not check.
"""

from typing import Annotated, Any

from msgspec import Meta

from server.accounts import NICKNAME_CHARS
from server.app_passwords import NAME_CHARS
from server.contacts import NAME_CHARS as CONTACT_NAME_CHARS
from server.files.names import TYPE_CHARS
from server.group_shapes import NAME_CHARS as GROUP_NAME_CHARS
from server.group_shapes import TEXTS as GROUP_TEXTS
from server.groups import NICK_CHARS
from server.invitations import TEXT_CHARS
from server.passwords import MAX_CHARS, MIN_CHARS
from server.profile import TEXTS

_NOT_XML = r"\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff"
_ANY = f"[^{_NOT_XML}]*"
_TEXT = f"^{_ANY}$"
_NOT_BLANK = rf"^{_ANY}[^{_NOT_XML}\s]{_ANY}$"
_WEB_ADDRESS = rf"^(https?://{_ANY})?$"
_TYPE_PART = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*"


def _told(pattern: str, most: int | None = None, least: int = 0) -> Meta:
    schema: dict[str, Any] = {"pattern": pattern}
    if most is not None:
        schema["maxLength"] = most
    if least:
        schema["minLength"] = least
    return Meta(extra_json_schema=schema)


Username = Annotated[str, _told(r"^([A-Za-z][A-Za-z0-9._-]{2,31})?$")]
Mobile = Annotated[str, _told(r"^(\+[1-9][0-9]{6,14})?$")]
Password = Annotated[str, _told(r"^[^\u0000-\u001f\u007f-\u009f]*$", MAX_CHARS, MIN_CHARS)]
Nickname = Annotated[str, _told(_TEXT, NICKNAME_CHARS)]
Avatar = Annotated[str, _told(_WEB_ADDRESS, TEXTS["avatar"])]
Sex = Annotated[str, _told(_TEXT, TEXTS["sex"])]
Memo = Annotated[str, _told(_TEXT, TEXTS["memo"])]
DeviceName = Annotated[str, _told(_NOT_BLANK, NAME_CHARS, 1)]
ContactMemo = Annotated[str, _told(_TEXT, CONTACT_NAME_CHARS)]
GroupName = Annotated[str, _told(_NOT_BLANK, GROUP_NAME_CHARS, 1)]
GroupAvatar = Annotated[str, _told(_WEB_ADDRESS, GROUP_TEXTS["avatar"])]
GroupMemo = Annotated[str, _told(_TEXT, GROUP_TEXTS["memo"])]
Announcement = Annotated[str, _told(_TEXT, GROUP_TEXTS["announcement"])]
Nick = Annotated[str, _told(_TEXT, NICK_CHARS)]
RequestText = Annotated[str, _told(_TEXT, TEXT_CHARS)]
Draft = Annotated[str, _told(_TEXT)]
FileName = Annotated[str, Meta(extra_json_schema={"minLength": 1})]
FileType = Annotated[str, _told(rf"^({_TYPE_PART}/{_TYPE_PART}(; ?charset=utf-8)?)?$", TYPE_CHARS)]
