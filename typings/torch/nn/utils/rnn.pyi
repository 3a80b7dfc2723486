from collections.abc import Sequence
from typing import Any

from torch import Tensor

def pad_sequence(sequences: Sequence[Tensor], batch_first: bool = ...) -> Tensor: ...
def __getattr__(name: str) -> Any: ...
