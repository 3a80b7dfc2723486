"""PyTorch: its own layers where they can be used, loops over steps for other cells, traced or with a compiled step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from benchmarks.peers import Call, Settings, Task
from benchmarks.workloads import LAYERS_OF_A_STACK

Tensor: TypeAlias = Any

functional = torch.nn.functional

GATES = {"lstm": (0, 1, 2, 3), "gru": (1, 0, 2)}
"""Keras's blocks in PyTorch's order."""


@dataclass(frozen=True, slots=True)
class Network:
    """From the inputs to what the loss takes, a row for each target, and what is trained.

    `targets`: (y, the inputs) to the targets of these rows; None where y is already.
    """

    forward: Callable[..., Tensor]
    parameters: Sequence[Tensor]
    targets: Callable[..., Tensor] | None = None


def settings(task: Task) -> Settings:
    torch.set_num_threads(task.work.threads)
    work = task.work
    if work.kind == "samples":
        return {}
    if work.kind == "stream":
        return {"LSTM": lambda: streaming(task, trace=False), "traced LSTM": lambda: streaming(task, trace=True)}
    finish = training if work.train else predicting
    if work.kind == "text":
        return {"packed": lambda: finish(packed_text(task)), "flipped": lambda: finish(flipped_text(task))}
    if work.kind == "tags":
        return {"packed": lambda: finish(packed_tags(task)), "flipped": lambda: finish(flipped_tags(task))}
    if work.kind == "speech":
        return {"its layer": lambda: finish(speech(task))}
    if work.kind in ("language", "translation"):
        network = language if work.kind == "language" else translation
        return {
            "batch first": lambda: finish(network(task, batch_first=True)),
            "time first": lambda: finish(network(task, batch_first=False)),
        }
    if work.cell in GATES:
        return {"its layer": lambda: finish(own_layer(task))}
    return {
        "traced loop": lambda: finish(loop(task, traced=True)),
        "compiled step": lambda: finish(loop(task, traced=False)),
    }


def predicting(network: Network) -> Call:
    @torch.inference_mode()
    def call(x: Tensor) -> Tensor:
        return network.forward(torch.from_numpy(x)).numpy()

    return call


def training(network: Network) -> Call:
    adam = torch.optim.Adam(network.parameters, lr=0.001, fused=True)
    steps = 0

    def call(*given: Tensor) -> float:
        nonlocal steps
        steps += 1
        *inputs, y = map(torch.from_numpy, given)
        output, target = network.forward(*inputs), y if network.targets is None else network.targets(y, *inputs)
        if target.ndim == 2 and not target.is_floating_point():
            loss = connectionist(output, target)
        elif target.ndim == 1:
            loss = functional.cross_entropy(output, target.long())
        else:
            loss = functional.binary_cross_entropy_with_logits(output, target)
        adam.zero_grad()
        loss.backward()
        adam.param_groups[0]["eps"] = 1e-7 / (1 - 0.999**steps) ** 0.5  # Keras adds its epsilon before the bias correction
        adam.step()
        return loss.item()

    return call


def streaming(task: Task, *, trace: bool) -> Call:
    layer = recurrent(task, task.weights[:3]).requires_grad_(False)
    dense = [torch.tensor(weight) for weight in task.weights[3:]]
    state = torch.zeros(1, 1, task.work.units), torch.zeros(1, 1, task.work.units)

    def step(x: Tensor, h: Tensor, c: Tensor) -> Tensor:
        y, (h, c) = layer(x[None], (h, c))
        return y[0] @ dense[0] + dense[1], h, c

    if trace:
        with torch.inference_mode():
            step = torch.jit.trace(step, (torch.zeros(1, 1), *state), check_trace=False)

    @torch.inference_mode()
    def call(x: Tensor) -> Tensor:
        nonlocal state
        y, *state = step(torch.from_numpy(x), *state)
        return y.numpy()

    return call


def own_layer(task: Task) -> Network:
    """One layer, or several on each other."""
    stack = [task.weights[3 * number : 3 * number + 3] for number in range(LAYERS_OF_A_STACK if task.work.stacked else 1)]
    layer = recurrent(task, *stack, stacked=task.work.stacked)

    def outputs(x: Tensor) -> Tensor:
        return layer(x)[0]

    if not task.work.train:
        return Network(outputs, [])
    dense = parameters(task.weights[-2:])

    def forward(x: Tensor) -> Tensor:
        return outputs(x)[:, -1] @ dense[0] + dense[1]

    return Network(forward, [*layer.parameters(), *dense])


def packed_text(task: Task) -> Network:
    """A packed sequence has no padding, and the library sorts it by length."""
    table, kernel, bias = parameters([task.weights[0], *task.weights[-2:]])
    layer = recurrent(task, *directions(task))

    def forward(ids: Tensor) -> Tensor:
        lengths = (ids != 0).sum(1)
        words = functional.embedding(ids[:, : int(lengths.max())], table)
        packed = torch.nn.utils.rnn.pack_padded_sequence(words, lengths, batch_first=True, enforce_sorted=False)
        _, (h, _) = layer(packed)
        return torch.cat(list(h), 1) @ kernel + bias

    return Network(forward, [table, *layer.parameters(), kernel, bias])


def flipped_text(task: Task) -> Network:
    """Padded: a backward direction reads each text turned around, and both take the state after its last word."""
    table, kernel, bias = parameters([task.weights[0], *task.weights[-2:]])
    layers = [recurrent(task, weights) for weights in directions(task)]

    def forward(ids: Tensor) -> Tensor:
        last = (ids != 0).sum(1) - 1
        steps, rows = torch.arange(int(last.max()) + 1), torch.arange(len(ids))
        texts = [ids[:, : len(steps)]]
        if len(layers) == 2:
            texts.append(ids.gather(1, (last[:, None] - steps).clamp(min=0)))
        ends = [layer(functional.embedding(text, table))[0][rows, last] for layer, text in zip(layers, texts, strict=True)]
        return torch.cat(ends, 1) @ kernel + bias

    return Network(forward, [table, *(weight for layer in layers for weight in layer.parameters()), kernel, bias])


def packed_tags(task: Task) -> Network:
    """A tag for each word of a packed sequence, whose data has one row a word."""
    (table,), dense = parameters(task.weights[:1]), linear(*task.weights[-2:])
    layer = recurrent(task, *directions(task))

    def packed(ids: Tensor, values: Tensor) -> Tensor:
        return torch.nn.utils.rnn.pack_padded_sequence(values, (ids != 0).sum(1), batch_first=True, enforce_sorted=False)

    def forward(ids: Tensor) -> Tensor:
        words = packed(ids, ids)
        embedded = torch.nn.utils.rnn.PackedSequence(functional.embedding(words.data, table), *words[1:])
        return dense(layer(embedded)[0].data)

    def targets(y: Tensor, ids: Tensor) -> Tensor:
        return packed(ids, y).data

    return Network(forward, [table, *layer.parameters(), *dense.parameters()], targets)


def flipped_tags(task: Task) -> Network:
    """Padded: the backward direction reads each text turned around, and its outputs are turned back."""
    (table,), dense = parameters(task.weights[:1]), linear(*task.weights[-2:])
    layers = [recurrent(task, weights) for weights in directions(task)]

    def forward(ids: Tensor) -> Tensor:
        real = ids != 0
        last = real.sum(1) - 1
        steps = torch.arange(int(last.max()) + 1)
        ids, real = ids[:, : len(steps)], real[:, : len(steps)]
        turned = (last[:, None] - steps).clamp(min=0)
        forth, _ = layers[0](functional.embedding(ids, table))
        back, _ = layers[1](functional.embedding(ids.gather(1, turned), table))
        rows = torch.arange(len(ids))[:, None]
        return dense(torch.cat([forth, back[rows, turned]], 2)[real])

    def targets(y: Tensor, ids: Tensor) -> Tensor:
        return y[ids != 0]

    trained = [table, *(weight for layer in layers for weight in layer.parameters()), *dense.parameters()]
    return Network(forward, trained, targets)


def speech(task: Task) -> Network:
    """Logarithms of probabilities, time first, as the library's loss takes them."""
    layer, dense = recurrent(task, task.weights[:3], task.weights[3:6]), linear(*task.weights[-2:])

    def forward(x: Tensor) -> Tensor:
        return functional.log_softmax(dense(layer(x)[0]), 2).transpose(0, 1)

    return Network(forward, [*layer.parameters(), *dense.parameters()])


def connectionist(output: Tensor, labels: Tensor) -> Tensor:
    """The mean over samples; labels are padded with the blank, 0."""
    steps = torch.full((len(labels),), len(output))
    return functional.ctc_loss(output, labels, steps, (labels != 0).sum(1), reduction="sum") / len(labels)


def language(task: Task, *, batch_first: bool) -> Network:
    (table,), dense = parameters(task.weights[:1]), linear(*task.weights[-2:])
    layer = recurrent(task, task.weights[1:4], batch_first=batch_first)

    def forward(ids: Tensor) -> Tensor:
        words = functional.embedding(ids if batch_first else ids.T, table)
        return dense(layer(words)[0].flatten(0, 1))

    return Network(forward, [table, *layer.parameters(), *dense.parameters()], each_step(batch_first))


def translation(task: Task, *, batch_first: bool) -> Network:
    """Its weights in Keras's order: both embeddings and both layers in the order of the spec."""
    of_source, *encoding = task.weights[:4]
    of_target, *decoding = task.weights[4:8]
    tables, dense = parameters([of_source, of_target]), linear(*task.weights[-2:])
    encoder, decoder = (recurrent(task, weights, batch_first=batch_first) for weights in (encoding, decoding))

    def turned(steps: Tensor) -> Tensor:
        return steps if batch_first else steps.transpose(0, 1)

    def forward(source: Tensor, target: Tensor) -> Tensor:
        ids = [source, target] if batch_first else [source.T, target.T]
        words = [functional.embedding(text, table) for text, table in zip(ids, tables, strict=True)]
        encoded, state = encoder(words[0])
        decoded, _ = decoder(words[1], state)
        seen = functional.scaled_dot_product_attention(turned(decoded), turned(encoded), turned(encoded), scale=1.0)
        return dense(torch.cat([decoded, turned(seen)], 2).flatten(0, 1))

    trained = [*tables, *encoder.parameters(), *decoder.parameters(), *dense.parameters()]
    return Network(forward, trained, each_step(batch_first))


def each_step(batch_first: bool) -> Callable[..., Tensor]:
    """The targets of all steps in the order of the output's rows."""

    def targets(y: Tensor, *inputs: Tensor) -> Tensor:
        return (y if batch_first else y.T).flatten()

    return targets


def linear(kernel: Any, bias: Any) -> Any:
    layer = torch.nn.Linear(*kernel.shape)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(kernel).T)
        layer.bias.copy_(torch.from_numpy(bias))
    return layer


def directions(task: Task) -> list[Sequence[Any]]:
    """The weights of each direction of a text's layer."""
    return [task.weights[1 + 3 * way : 4 + 3 * way] for way in range(task.work.directions)]


def loop(task: Task, *, traced: bool) -> Network:
    """A cell of one's own: the input's part for all steps at once, then step by step."""
    work = task.work
    cell, count = {"peephole_lstm": (peephole_lstm, 4), "layer_norm_lstm": (layer_norm_lstm, 8)}[work.cell]
    weights = parameters(task.weights)
    project, step = cell(work.units)
    step = step if traced else torch.compile(step)

    def whole(x: Tensor, *weights: Tensor) -> Tensor:
        h = c = torch.zeros(len(x), work.units)
        outputs: list[Tensor] = []
        for z in project(x, *weights[:count]).unbind(1):
            h, c = step(z, h, c, *weights[1:count])
            outputs.append(h)
        return h @ weights[-2] + weights[-1] if work.train else torch.stack(outputs, 1)

    if traced:
        whole = torch.jit.trace(whole, (torch.zeros(work.batch, work.time, work.features), *weights), check_trace=False)

    def forward(x: Tensor) -> Tensor:
        return whole(x, *weights)

    return Network(forward, weights)


def peephole_lstm(units: int) -> tuple[Any, Any]:
    def project(x: Tensor, kernel: Tensor, recurrent_kernel: Tensor, bias: Tensor, peephole: Tensor) -> Tensor:
        return x @ kernel + bias

    def step(z: Tensor, h: Tensor, c: Tensor, recurrent_kernel: Tensor, bias: Tensor, peephole: Tensor) -> tuple[Tensor, Tensor]:
        i, f, g, o = (z + h @ recurrent_kernel).chunk(4, 1)
        c = torch.sigmoid(f + peephole[1] * c) * c + torch.sigmoid(i + peephole[0] * c) * torch.tanh(g)
        return torch.sigmoid(o + peephole[2] * c) * torch.tanh(c), c

    return project, step


def layer_norm_lstm(units: int) -> tuple[Any, Any]:
    def project(x: Tensor, kernel: Tensor, recurrent_kernel: Tensor, gain: Tensor, bias: Tensor, *rest: Tensor) -> Tensor:
        return functional.layer_norm(x @ kernel, (4 * units,), gain, bias, 1e-5)

    def step(z: Tensor, h: Tensor, c: Tensor, recurrent_kernel: Tensor, *norms: Tensor) -> tuple[Tensor, Tensor]:
        _, _, gain, bias, cell_gain, cell_bias = norms
        i, f, g, o = (z + functional.layer_norm(h @ recurrent_kernel, (4 * units,), gain, bias, 1e-5)).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(functional.layer_norm(c, (units,), cell_gain, cell_bias, 1e-5)), c

    return project, step


def parameters(weights: Sequence[Any]) -> list[Tensor]:
    return [torch.nn.Parameter(torch.tensor(weight)) for weight in weights]


def recurrent(task: Task, *sets: Sequence[Any], stacked: bool = False, batch_first: bool = True) -> Any:
    """`nn.LSTM` or `nn.GRU` with Keras's kernel, recurrent kernel and bias; an LSTM's one bias is PyTorch's first.

    Two sets of them are two directions, or with `stacked` several are layers on each other.
    """
    work = task.work
    layer_type = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[work.cell]
    features, units = sets[0][0].shape[0], work.units
    shape = {"num_layers": len(sets)} if stacked else {"bidirectional": len(sets) == 2}
    layer = layer_type(features, units, batch_first=batch_first, **shape)
    blocks = GATES[work.cell]

    def ordered(weight: Tensor) -> Tensor:
        parts = weight.chunk(len(blocks), -1)
        return torch.cat([parts[block] for block in blocks], -1)

    suffixes = [f"l{number}" for number in range(len(sets))] if stacked else ["l0", "l0_reverse"][: len(sets)]
    for suffix, weights in zip(suffixes, sets, strict=True):
        kernel, recurrent_kernel, bias = (torch.from_numpy(weight) for weight in weights)
        biases = bias if bias.ndim == 2 else torch.stack([bias, torch.zeros_like(bias)])
        named = {"weight_ih": ordered(kernel).T, "weight_hh": ordered(recurrent_kernel).T}
        named |= {"bias_ih": ordered(biases[0]), "bias_hh": ordered(biases[1])}
        with torch.no_grad():
            for name, weight in named.items():
                getattr(layer, f"{name}_{suffix}").copy_(weight)
        if work.cell == "lstm":  # its second bias stays zero: Adam would train the two as one of twice the rate
            getattr(layer, f"bias_hh_{suffix}").requires_grad_(False)
    return layer
