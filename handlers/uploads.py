"""Asking for leave to upload a file.

``handlers/files.py`` takes it then.
"""

from typing import Annotated

import msgspec

from handlers.api import ApiHandler, Input, endpoint
from handlers.fields import FileName, FileType
from handlers.origin import normal_origin
from server.files import Offer
from server.model import MAX_ID


class NewUpload(Input):
    """``size``: bytes. ``type``: as the file will be sent; empty where it is not known."""

    name: FileName
    size: Annotated[int, msgspec.Meta(ge=0, le=MAX_ID)]
    type: FileType


class UploadOffice(ApiHandler):
    """``/api/uploads``"""

    @endpoint("slow-down", status=201)
    async def post(self, body: NewUpload) -> Offer:
        """Ask where to upload a file.

        Send exactly ``size`` bytes to ``put`` with a PUT that has ``headers``, within
        ``expires_in`` seconds; it needs no token. Then send ``get`` as ``url`` of a message.
        """
        origin = normal_origin(f"{self.request.protocol}://{self.request.host}") or ""
        offer = await self.services.uploads.slot(
            self.identity.userid, body.name, body.size, body.type, origin
        )
        self.services.metrics.upload("offered")
        return offer
