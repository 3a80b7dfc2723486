# A peer of the benchmarks, and what rnnspec.keras is for: whatever is used of it is Any, but for the layer's base.
from typing import Any

from keras import layers as layers

def __getattr__(name: str) -> Any: ...
