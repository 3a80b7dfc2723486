"""Where a layer's weights lie in Keras's files: by the places of objects (Keras 3), or by the names of layers (before it)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from rnnspec.contract.executable import Array
from rnnspec.interop.keras_files.archive import Config
from rnnspec.interop.keras_files.hdf5 import BadFile, array_at, group_at, names_in, text_of, texts_of
from rnnspec.interop.keras_files.layers import class_of, settings_of
from rnnspec.interop.spec_text.names import snake_case

if TYPE_CHECKING:
    import h5py

MODELS = frozenset({"Sequential", "Functional", "Model"})

MOST_ARRAYS = 64
"""Arrays of one object."""


class Store(Protocol):
    """The weights of a model's layers, or of one layer."""

    def layer(self, layers: Sequence[Config], place: int) -> Store:
        """Those of the layer at that place among a model's layers."""
        ...

    def inner(self) -> Store:
        """Of a TimeDistributed, those of the layer in it."""
        ...

    def named(self, config: Config) -> list[tuple[str, Array]]:
        """A layer's arrays in Keras's order, those of inner layers one after the other, with their last names, or numbers."""
        ...


class NoWeights:
    """The store of an architecture alone."""

    def layer(self, layers: Sequence[Config], place: int) -> Store:
        """None either."""
        return self

    def inner(self) -> Store:
        """None either."""
        return self

    def named(self, config: Config) -> list[tuple[str, Array]]:
        """None."""
        return []


class ObjectStore:
    """Keras 3: `layers/lstm_1/cell/vars/0`, a layer by its class and its number among those of the class."""

    def __init__(self, group: h5py.Group, path: str = "") -> None:
        self._group = group
        self._path = path

    def layer(self, layers: Sequence[Config], place: int) -> Store:
        """By the class in snake case, operations not counted; the attribute `name`, where there is one, must be the layer's."""
        seen: Counter[str] = Counter()
        for config in layers[:place]:
            if not str(config.get("module")).startswith("keras.src.ops"):
                seen[snake_case(class_of(config))] += 1
        stem = snake_case(class_of(layers[place]))
        name = f"{stem}_{seen[stem]}" if seen[stem] else stem
        folder = "layers"
        if group_at(self._group, f"{self._path}layers") is None and group_at(self._group, f"{self._path}_layer_checkpoint_dependencies"):
            folder = "_layer_checkpoint_dependencies"
        path = f"{self._path}{folder}/{name}/"
        own = group_at(self._group, f"{path}vars")
        told, wanted = None if own is None else text_of(own, "name"), settings_of(layers[place]).get("name")
        if told is not None and wanted is not None and told != wanted:
            raise BadFile(f"`{path}` is of the layer {told}, where {wanted} is expected")
        return ObjectStore(self._group, path)

    def inner(self) -> Store:
        """The object `layer`."""
        return self._at("layer/")

    def named(self, config: Config) -> list[tuple[str, Array]]:
        """The arrays have numbers."""
        return [(str(number), array) for number, array in enumerate(self.arrays(config))]

    def arrays(self, config: Config) -> list[Array]:
        """Along the layer's objects: `layer`, `forward_layer` and `backward_layer`, `cell`, the `cells` of a stack."""
        kind, settings = class_of(config), settings_of(config)
        if kind == "TimeDistributed":
            return self._at("layer/").arrays(settings["layer"])
        if kind == "Bidirectional":
            inner: Any = settings["layer"]
            return [*self._at("forward_layer/").arrays(inner), *self._at("backward_layer/").arrays(settings.get("backward_layer") or inner)]
        if kind == "RNN":
            return self._of_cells(settings["cell"])
        own = self._vars("")
        return own or self._vars("cell/")

    def _of_cells(self, cell: Any) -> list[Array]:
        if class_of(cell) != "StackedRNNCells":
            return self._vars("cell/")
        seen: Counter[str] = Counter()
        found: list[Array] = []
        for each in settings_of(cell).get("cells", []):
            stem = snake_case(class_of(each))
            found += self._vars(f"cell/cells/{stem}_{seen[stem]}/" if seen[stem] else f"cell/cells/{stem}/")
            seen[stem] += 1
        return found

    def _at(self, inner: str) -> ObjectStore:
        return ObjectStore(self._group, self._path + inner)

    def _vars(self, inner: str) -> list[Array]:
        group = group_at(self._group, f"{self._path}{inner}vars")
        if group is None:
            return []
        found: list[Array] = []
        while len(found) < MOST_ARRAYS and (array := array_at(group, str(len(found)))) is not None:
            found.append(array)
        if len(found) != len(names_in(group)):
            raise BadFile(f"`{self._path}{inner}vars` holds {len(names_in(group))} arrays, of which {len(found)} are numbered")
        return found


class LayerStore:
    """Keras 1 and 2, and Keras 3's `.h5`: a group for each layer, with the paths of its arrays in order.

    A model in the model has one group for all its weights, those that are trained first.
    """

    def __init__(self, group: h5py.Group) -> None:
        self._group = group
        self._names = set(texts_of(group, "layer_names") or ())

    def layer(self, layers: Sequence[Config], place: int) -> Store:
        """By its name."""
        name = str(settings_of(layers[place]).get("name") or layers[place].get("name") or "")
        group = group_at(self._group, name) if name in self._names else None
        if group is None:
            return NoWeights()
        paths = texts_of(group, "weight_names") or ()
        arrays: list[tuple[str, Array]] = []
        for path in paths:
            array = array_at(group, path)
            if array is None:
                raise BadFile(f"`{name}` has no array `{path}`, which is among its weights")
            arrays.append((path, array))
        return ListStore(arrays)

    def inner(self) -> Store:
        """Itself: there is no object around the names."""
        return self

    def named(self, config: Config) -> list[tuple[str, Array]]:
        """None: a whole model has no arrays but those of its layers."""
        return []


class ListStore:
    """The weights of one layer, or of a model in the model, as a list of paths and arrays."""

    def __init__(self, arrays: Sequence[tuple[str, Array]]) -> None:
        self._arrays = list(arrays)

    def layer(self, layers: Sequence[Config], place: int) -> Store:
        """Those whose path has the layer's name."""
        name = str(settings_of(layers[place]).get("name", ""))
        found = [(path, array) for path, array in self._arrays if _is_of(path, name)]
        if not found and class_of(layers[place]) in MODELS:
            return self  # tf.keras leaves the names of models out of paths
        return ListStore(found)

    def inner(self) -> Store:
        """The same: a wrapper's paths are those of the layer in it."""
        return self

    def named(self, config: Config) -> list[tuple[str, Array]]:
        """All of them."""
        return [(path.rpartition("/")[2].partition(":")[0], array) for path, array in self._arrays]


def _is_of(path: str, layer: str) -> bool:
    """Whether a path has a layer's name; in Keras 1 a name begins with it, `lstm_1_W_i`."""
    folders, _, name = path.rpartition("/")
    return layer in folders.split("/") or (not folders and name.startswith(f"{layer}_"))
