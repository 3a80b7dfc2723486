"""Arguments of Keras's that the language hasn't: which change nothing, which only training, and which can't be left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from rnnspec.interop.graph.refusals import Findings
from rnnspec.interop.keras_files.constants import shown, shown_name

_HARMLESS = """name batch_input_shape batch_shape input_shape batch_size input_dim input_length implementation consume_less unroll ragged
sparse autocast seed registered_name build_config shared_object_id return_runtime weights optional supports_masking fused input_dtype
dynamic use_cudnn flash_attention virtual_batch_size num_constants lora_alpha"""

HARMLESS = frozenset(_HARMLESS.split())
"""Arguments that change nothing of what a layer computes, whatever their values: shapes that are known from elsewhere, ways to compute the
same, seeds, values that the file's weights have replaced. A call with constants is refused as a call."""

TOLD = frozenset({"implementation", "unroll", "consume_less", "input_length"})
"""Those of them that a note tells, since users choose them."""

TRAINING: Mapping[str, str] = {
    "noise_shape": "each number is dropped for itself",
    "renorm": "training normalizes by the moments of the batch",
    "renorm_clipping": "training normalizes by the moments of the batch",
    "renorm_momentum": "training normalizes by the moments of the batch",
    "adjustment": "training normalizes by the moments of the batch",
    "synchronized": "a batch is in one process as a whole",
    "lora_rank": "the file's kernel has the factors in it, and is trained as it is",
    "dropout": "it drops nothing",
    "W_learning_rate_multiplier": "all weights have one learning rate",
    "b_learning_rate_multiplier": "all weights have one learning rate",
}
"""Arguments that change nothing but training, with what training does here. Regularizers and constraints are among these."""

_NOTHING: Mapping[str, tuple[object, ...]] = {
    "renorm": (False,), "renorm_momentum": (0.99,), "synchronized": (False,), "dropout": (0, 0.0), "noise_shape": ([],),
}  # fmt: skip
"""Values of those with which there is nothing to tell."""

_REFUSED: Mapping[str, tuple[tuple[object, ...], str]] = {
    "time_major": ((False,), "its sequences have the steps before the batch, and here the batch comes first"),
    "reverse_state_order": ((False,), "its states are in reversed order"),
    "quantization_config": ((), "its weights are quantized: save the model before `quantize`"),
    "mode": ((0,), "it normalizes by the moments of each batch or row"),
}
"""Arguments that change what is computed, unless they have one of these values, with the reason."""

_HALF = {"float16": "float16", "mixed_float16": "float16", "bfloat16": "bfloat16", "mixed_bfloat16": "bfloat16"}


class Foreign:
    """Judges arguments that the language hasn't, collecting what is to be said."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._rounded: dict[str, list[str]] = {}

    def take(self, layer: str, place: str, key: str, value: object) -> None:
        """An argument of a layer, by its name in the file."""
        if key == "dtype":
            self._dtype(place, value)
        elif value is None or (key in HARMLESS and key not in TOLD):
            return
        elif key in TOLD:
            if value not in (False, 0):
                self._findings.note(f"`{key}` was dropped: it changes nothing of what is computed")
        elif key in TRAINING:
            if value not in _NOTHING.get(key, ()):
                self._findings.drop(f"{place}: `{key}` was left out, which changes training alone: {TRAINING[key]}")
        elif key.endswith(("_regularizer", "_constraint")):
            self._findings.drop(f"{place}: `{key}` was left out, which changes training alone: `{layer}` has no such argument")
        else:
            harmless, reason = _REFUSED.get(key, ((), f"`{layer}` has no such argument in the language"))
            if value not in harmless:
                self._findings.add(place, key, f"{reason} ({shown(value)})")

    def _dtype(self, place: str, value: object) -> None:
        """A name, or an object around one; a map of names by layers in a layer is looked through."""
        if isinstance(value, dict):
            given = cast(dict[str, Any], value)
            kind, config = str(given.get("class_name", "")), given.get("config")
            settings = cast(dict[str, Any], config) if isinstance(config, dict) else {}
            if kind.startswith("Quantized") or "quantization_config" in settings:
                self._findings.add(place, "dtype", "its weights are quantized: save the model before `quantize`")
            elif kind == "DTypePolicyMap":
                named = settings.get("policy_map")
                for each in (settings.get("default_policy"), *(cast(dict[str, Any], named).values() if isinstance(named, dict) else ())):
                    self._dtype(place, each)
            else:
                self._dtype(place, settings.get("name"))
        elif isinstance(value, str):
            if value in _HALF:
                self._rounded.setdefault(_HALF[value], []).append(place)
            elif "_from_" in value:
                self._findings.add(place, "dtype", f"its weights are quantized ({shown_name(value)}): save the model before `quantize`")

    def tell(self) -> None:
        """What is said of all layers together: those that Keras computes with fewer digits."""
        for dtype, places in self._rounded.items():
            few = ", ".join(dict.fromkeys(places[:3])) + (f" and {len(places) - 3} more" if len(places) > 3 else "")
            self._findings.drop(
                f"{few}: `dtype`: Keras computes in {dtype}, and here it is float32, so that outputs differ by its rounding"
            )
