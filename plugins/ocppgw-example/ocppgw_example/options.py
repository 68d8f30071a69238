"""The keys under ``plugins.options.example`` of the configuration."""

from typing import Annotated

import msgspec
from msgspec import Meta


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every key has a description, which ends up in the reference of the settings."""

    tags: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=20)], ...],
        Meta(description="Tags that may charge; they are compared in any case."),
    ] = ()
    vendor_id: Annotated[
        str, Meta(description="The vendor whose DataTransfer is answered.", max_length=255)
    ] = "com.example"
    report_every: Annotated[
        int, Meta(description="After how many exchanges the log gets a summary.", ge=1)
    ] = 1000
