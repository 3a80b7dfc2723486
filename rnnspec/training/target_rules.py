"""What the targets of an output must be, as its loss says."""

from __future__ import annotations

from rnnspec.contract.objective import TargetKind
from rnnspec.frozen import frozen


@frozen
class TargetRule:
    """The rule of an output's targets. `loss`: the loss's name. `unlabelled`: the class number of rows that have no label."""

    kind: TargetKind
    loss: str
    unlabelled: int | None = None

    @property
    def classes(self) -> bool:
        """Whether targets are class numbers rather than rows of values."""
        return self.kind == "class"

    @property
    def is_yes_or_no(self) -> bool:
        """Whether a target is about each unit for itself."""
        return self.kind == "binary" or self.loss.startswith("binary")

    @property
    def is_one_of_several(self) -> bool:
        """Whether a target is a row with a value for each class."""
        return self.kind == "probabilities" and self.loss.startswith("categorical")
