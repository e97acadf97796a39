"""What is stored outlives the code that wrote it, and what a newer version writes meets older code after a rollback.

Records and artefacts carry a tag of their layout (`trades/1`, `model/9`); items and columns carry none: they are only
ever added to. A reader gives an absent one the meaning it had before there was one, and passes over those it does not
know. A meaning that changes takes a new name. What does not read like that is refused by the name of where it lies.
"""


class UnknownFormatError(ValueError):
    """Something stored is of a format that this version does not know."""

    def __init__(self, place: str, cause: Exception) -> None:
        super().__init__(
            f"{place} is of a format that this version does not know ({cause!r}): deploy the version that wrote it, "
            "or restore it"
        )
