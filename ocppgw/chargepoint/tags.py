"""What this station itself knows of a tag: the local list first, then the cache (O-32)."""

from __future__ import annotations

from ocppgw.chargepoint.local_list import LocalList
from ocppgw.chargepoint.tag_cache import TagCache
from ocppgw.ocpp.model import IdTagInfo


class Tags:
    """The local list and the cache as one."""

    def __init__(self, local_list: LocalList, cache: TagCache) -> None:
        self.local_list = local_list
        self.cache = cache

    def get(self, id_tag: str) -> IdTagInfo | None:
        """What is known of a tag here."""
        return self.local_list.get(id_tag) or self.cache.get(id_tag)

    def parent_of(self, id_tag: str) -> str | None:
        """The parent tag, as far as it is known here."""
        info = self.get(id_tag)
        return None if info is None else info.parent_id_tag
