"""The layers of a model by name, and which of them are trained."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NoReturn

from rnnspec.contract.executable import Array
from rnnspec.contract.signature import frozen_weights
from rnnspec.diagnostics import nearest
from rnnspec.runtime.data.validate import true_or_false
from rnnspec.runtime.model.compiled_model import CompiledModel


class NamedWeights(Mapping[str, Array]):
    """Some of a model's weights by name, as they are at the moment of each look-up; every array is a copy that can't be written to."""

    def __init__(self, weights: Mapping[str, Array], names: tuple[str, ...]) -> None:
        self._weights, self._names = weights, names

    def __getitem__(self, name: str) -> Array:
        if name not in self._names:
            raise KeyError(name)
        return self._weights[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"<weights {', '.join(self._names)}>"


class LayerView:
    """A layer or a block of a model, with all that is in it."""

    def __init__(self, model: LayeredModel, name: str) -> None:
        self._model = model
        self.name = name

    @property
    def trainable(self) -> bool:
        """Whether it is trained, what is around it included; a new value acts from the next `fit` or `train_on_batch` on.

        In a callback of a `fit` it acts from the next one on, too: the one under way keeps what was trained at its beginning.

        ValueError, in setting it to True, for a part of a layer that is frozen as a whole.
        """
        return not self._model.is_frozen(self.name)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._model.set_trainable(self.name, true_or_false(f"layer {self.name}: trainable", value))

    @property
    def weights(self) -> Mapping[str, Array]:
        """Its weights by their full names."""
        names = frozen_weights(self._model.weights, (self.name,))
        return NamedWeights(self._model.weights, names)

    def __repr__(self) -> str:
        return f"<layer {self.name}, {len(self.weights)} weights{'' if self.trainable else ', frozen'}>"


class LayeredModel(CompiledModel):
    """A compiled model that knows which of its layers are trained."""

    def layer(self, name: str) -> LayerView:
        """A layer or a block by its name, as `model.summary()` shows it; ValueError for another name.

        >>> import rnnspec
        >>> model = rnnspec.compile("model Tiny { input x: float[time, 3]  LSTM(8, name = \\"encoder\\")  Dense(1) }", seed=1)
        >>> model.layer("encoder").trainable = False
        >>> list(model.trainable_weights)
        ['dense/kernel', 'dense/bias']
        """
        known = self._layer_names()
        if name not in known:
            self._no_layer(name, known)
        return LayerView(self, name)

    @property
    def layers(self) -> tuple[LayerView, ...]:
        """The layers in the order of `model.summary()`."""
        return tuple(LayerView(self, row.name) for row in self.source.rows)

    @property
    def trainable(self) -> bool:
        """Whether the model is trained; False freezes all its layers, True trains them all, as Keras's.

        It acts when `LayerView.trainable` does.
        """
        return "" not in self._frozen

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self.set_trainable("", true_or_false("trainable", value))

    @property
    def trainable_weights(self) -> Mapping[str, Array]:
        """The weights that are trained, by name, in Keras's order."""
        frozen = self._frozen_weights()
        names = tuple(weight.name for weight in self.signature.weights if weight.trainable and weight.name not in frozen)
        return NamedWeights(self.weights, names)

    @property
    def non_trainable_weights(self) -> Mapping[str, Array]:
        """The weights that aren't: those of frozen layers, moving statistics, and those that are `frozen` in a cell."""
        trained = set(self.trainable_weights)
        return NamedWeights(self.weights, tuple(name for name in self.weights if name not in trained))

    def is_frozen(self, name: str) -> bool:
        """Whether a layer, or something around it, isn't trained."""
        return _around(name, self._frozen) is not None

    def set_trainable(self, name: str, value: bool) -> None:
        """Freezes or trains a layer with all that is in it, by its full name; "" is the model. ValueError as for `LayerView.trainable`."""
        if not value:
            self._frozen = frozenset({*self._frozen, name})
            return
        others = frozenset(each for each in self._frozen if name and each != name and not each.startswith(f"{name}/"))
        if (outer := _around(name, others)) is not None:
            raise ValueError(f"layer {name}: trainable: {outer or 'the model'}, which it is a part of, is frozen: set that first")
        self._frozen = others

    def _take_frozen(self, names: Collection[str]) -> None:
        """Freezes these layers alone; ValueError for names that aren't those of layers."""
        if unknown := set(names) - {"", *self._layer_names()}:
            raise ValueError(f"it freezes {sorted(unknown)[0]}, and there is no such layer")
        self._frozen = frozenset(names)

    def _frozen_weights(self) -> tuple[str, ...]:
        return frozen_weights([weight.name for weight in self.signature.weights], self._frozen)

    def _layer_names(self) -> tuple[str, ...]:
        """Of layers, of blocks around them, and of what is in them."""
        names: dict[str, None] = {}
        for path in (*(row.name for row in self.source.rows), *(weight.name.rpartition("/")[0] for weight in self.signature.weights)):
            parts = path.split("/")
            names |= dict.fromkeys("/".join(parts[:count]) for count in range(1, len(parts) + 1))
        return tuple(names)

    def _no_layer(self, name: str, known: tuple[str, ...]) -> NoReturn:
        guess = nearest(name, known) if isinstance(name, str) else ""  # pyright: ignore[reportUnnecessaryIsInstance]
        there_are = ", ".join(known)
        raise ValueError(f"model {self.signature.model} has no layer {name!r}; {guess or f'there are {there_are}'}")


def _around(name: str, frozen: Collection[str]) -> str | None:
    """Of the frozen layers the one that freezes a layer: itself, one around it, or "", the model; None if it is trained."""
    return next((each for each in frozen if not each or name == each or name.startswith(f"{each}/")), None)
