# Used where Keras has it for its back end: whatever is used of it is Any.
from typing import Any

def __getattr__(name: str) -> Any: ...
