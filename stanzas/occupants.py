"""Occupant ids (XEP-0421): the same for a member of a room under all its names."""

import hashlib

from stanzas import ns

PROTOCOL = ("XEP-0421", "1.0.1", "complete")


TAG = f"{{{ns.OCCUPANT}}}occupant-id"


def write(gid: int, userid: int) -> str:
    """Rooms are not anonymous, so this is no secret."""
    number = hashlib.sha256(f"{gid}:{userid}".encode()).hexdigest()[:32]
    return f"<occupant-id xmlns='{ns.OCCUPANT}' id='{number}'/>"
