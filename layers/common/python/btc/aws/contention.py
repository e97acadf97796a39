"""What happens where several write the same."""

from typing import Final

PATIENCE: Final = 10
"""How often what was read may turn out changed by others before a batch is left to be delivered again."""


class ContendedError(RuntimeError):
    """Other writers were always first; the batch should be delivered again."""
