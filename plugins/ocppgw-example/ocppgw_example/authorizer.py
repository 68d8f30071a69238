"""An authorizer: accepts the tags of a list in the configuration."""

from collections.abc import Iterable

from ocppgw.central import AuthorizeContext
from ocppgw.ocpp import enums, model


class TagList:
    """Knows a tag or leaves it to the next authorizer; never says no."""

    def __init__(self, tags: Iterable[str]) -> None:
        self._tags = frozenset(tag.casefold() for tag in tags)

    async def __call__(self, id_tag: str, context: AuthorizeContext) -> model.IdTagInfo | None:
        if id_tag.casefold() not in self._tags:
            return None
        return model.IdTagInfo(status=enums.AuthorizationStatus.ACCEPTED)
