# Only what rnnspec.estimators uses of it, which ships without types: all of it is Any.
from typing import Any

def __getattr__(name: str) -> Any: ...
