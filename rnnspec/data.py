"""What data is given in: batches with what belongs to them."""

from __future__ import annotations

from rnnspec.runtime.data.sources import Batch

__all__ = ["Batch"]
