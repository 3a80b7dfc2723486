# Only a peer of the benchmarks, in an environment of its own: whatever is used of it is Any.
from typing import Any

def __getattr__(name: str) -> Any: ...
