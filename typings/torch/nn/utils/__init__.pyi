from typing import Any

from torch.nn.utils import rnn as rnn

def __getattr__(name: str) -> Any: ...
