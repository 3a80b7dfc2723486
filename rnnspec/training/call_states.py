"""What training asks of the states that calls carry over, before its first step."""

from __future__ import annotations

import warnings

from rnnspec.contract.executable import Executable
from rnnspec.contract.signature import Signature
from rnnspec.diagnostics import StateWarning, caller_level
from rnnspec.training.examples import Examples

SHUFFLED = (
    "the samples of a stateful model are shuffled: each goes on with the states that another sample has left. "
    "shuffle=False keeps their order; in a spec it is `shuffle = false`, in the command `--no-shuffle`"
)


def check_states(
    signature: Signature,
    executable: Executable,
    rows: range,
    validation: tuple[Examples, range] | None,
    batch_size: int,
    shuffled: bool,
) -> None:
    """ValueError if a stateful model can't take the samples in such batches, or those to validate on; a warning if they are shuffled."""
    executable.check_samples(len(rows), batch_size)
    if validation is not None:
        try:
            executable.apart().check_samples(len(validation[1]), batch_size)
        except ValueError as error:
            raise ValueError(f"validation: {error}") from None
    if signature.states and shuffled:
        warnings.warn(SHUFFLED, StateWarning, stacklevel=caller_level())
