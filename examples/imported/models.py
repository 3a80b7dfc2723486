"""Imports public models from their packages, and compares them with numpy: run by `make imported`, which downloads the packages."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np

import rnnspec


def sigmoid(x: np.ndarray) -> np.ndarray:
    """The logistic function."""
    return 1 / (1 + np.exp(-x))


def hard_sigmoid(x: np.ndarray) -> np.ndarray:
    """Keras 2's."""
    return np.clip(0.2 * x + 0.5, 0, 1)


def softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    """Without overflow."""
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def lstm(x: np.ndarray, weights: dict[str, np.ndarray], gate=sigmoid) -> np.ndarray:
    """All steps of an LSTM, in float64."""
    kernel, recurrent, bias = (weights[name].astype(np.float64) for name in ("kernel", "recurrent_kernel", "bias"))
    h = c = np.zeros((len(x), len(recurrent)))
    steps = []
    for step in range(x.shape[1]):
        i, f, g, o = np.split(x[:, step] @ kernel + h @ recurrent + bias, 4, axis=1)
        c = gate(f) * c + gate(i) * np.tanh(g)
        h = gate(o) * np.tanh(c)
        steps.append(h)
    return np.stack(steps, axis=1)


def below(model: rnnspec.Model, layer: str) -> dict[str, np.ndarray]:
    """A layer's weights."""
    return {name.rpartition("/")[2]: value for name, value in model.weights.items() if name.startswith(f"{layer}/")}


def textgenrnn(folder: Path) -> float:
    """The weights into a spec by hand; attention is the package's own layer: a softmax over the steps of a product."""
    spec = Path(__file__).parent / "textgenrnn.rnn"
    model = rnnspec.import_model(folder / "textgenrnn_weights.hdf5", into=spec, dtype="float64")
    ids = np.random.default_rng(0).integers(1, 465, (4, 40))
    embedded = below(model, "embedding")["embeddings"].astype(np.float64)[ids]
    first = lstm(embedded, below(model, "rnn_1"))
    sequence = np.concatenate([embedded, first, lstm(first, below(model, "rnn_2"))], axis=-1)
    scores = softmax(sequence @ below(model, "attention")["kernel"], axis=1)
    output = below(model, "output")
    wanted = softmax((scores * sequence).sum(axis=1) @ output["kernel"] + output["bias"])
    return float(np.abs(model.predict(ids) - wanted).max())


def ethnicolr(path: Path) -> float:
    """Every model of the package is an embedding, a convolution, a pooling, an LSTM and a softmax, or without the two in the middle."""
    model = rnnspec.import_model(path)
    steps = model.signature.inputs[0].shape[0]
    table = model.weights["embedding/embeddings"].astype(np.float64)
    ids = np.random.default_rng(0).integers(1, len(table), (4, steps))
    flow = table[ids]
    if "conv1d/kernel" in model.weights:
        kernel, padded = model.weights["conv1d/kernel"], np.pad(flow, ((0, 0), (1, 1), (0, 0)))
        flow = np.maximum(sum(padded[:, k : k + steps] @ kernel[k] for k in range(3)) + model.weights["conv1d/bias"], 0)
        flow = flow[:, : steps // 2 * 2].reshape(4, steps // 2, 2, -1).max(axis=2)
    gate = hard_sigmoid if "keras2_hard_sigmoid" in model.source.text else sigmoid
    last = lstm(flow, below(model, "lstm"), gate)[:, -1]
    name = [each for each in model.weights if each.endswith("/kernel")][-1].partition("/")[0]
    dense = below(model, name)
    return float(np.abs(model.predict(ids) - softmax(last @ dense["kernel"] + dense["bias"])).max())


def main(packages: Path) -> None:
    """Unpacks the packages in a folder, imports each model and tells its largest difference; exits with 1 above 2e-5."""
    worst = 0.0
    with tarfile.open(packages / "textgenrnn-2.0.0.tar.gz") as archive:
        content = archive.extractfile("textgenrnn-2.0.0/textgenrnn/textgenrnn_weights.hdf5")
        assert content is not None
        (packages / "textgenrnn_weights.hdf5").write_bytes(content.read())
    worst = max(worst, difference := textgenrnn(packages))
    print(f"textgenrnn: {difference:.2g}")
    with zipfile.ZipFile(packages / "ethnicolr-0.9.8-py2.py3-none-any.whl") as wheel:
        for name in sorted(each for each in wheel.namelist() if each.endswith(".h5")):
            path = Path(wheel.extract(name, packages))
            worst = max(worst, difference := ethnicolr(path))
            print(f"{path.name}: {difference:.2g}")
    sys.exit(worst > 2e-5)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
