from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

def disable(fn: Function) -> Function: ...
def is_compiling() -> bool: ...
