"""`rnnspec train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rnnspec.cli.console import messages, say
from rnnspec.cli.options import DataPath, Dtype, ModelOutput, Parameters, Precision, Seed, SpecPath, parse_parameters
from rnnspec.cli.outputs import check_plot_output, refuse_overwriting

CHECKPOINT = "Save all of the training after so many epochs, beside the model's file."
KEEP = "So many checkpoints stay.  [default: 3]"
RESUME = "Go on from the newest checkpoint, if there is one."
PLOT = "Draw the curves of the loss and the metrics into this file, an .svg; of a training that is broken off, too."
VALIDATION = "The last fraction of the training set, to validate on instead of the spec's."


def train(
    spec: SpecPath,
    data: DataPath,
    output: ModelOutput,
    seed: Seed = None,
    parameter: Parameters = None,
    epochs: Annotated[int | None, typer.Option(min=0, metavar="NUMBER", help="Instead of the spec's.", show_default=False)] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, metavar="NUMBER", help="Instead of the spec's.", show_default=False)] = None,
    validation_split: Annotated[float | None, typer.Option(metavar="FRACTION", help=VALIDATION, show_default=False)] = None,
    shuffle: Annotated[bool | None, typer.Option("--shuffle/--no-shuffle", help="Instead of the spec's.", show_default=False)] = None,
    dtype: Dtype = Precision.float32,
    checkpoint: Annotated[str | None, typer.Option(metavar="every=NUMBER", help=CHECKPOINT, show_default=False)] = None,
    keep: Annotated[int | None, typer.Option(min=1, metavar="NUMBER", help=KEEP, show_default=False)] = None,
    resume: Annotated[bool, typer.Option("--resume", help=RESUME)] = False,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FILE", help=PLOT, callback=check_plot_output, show_default=False)] = None,
) -> None:
    """Train a spec on data, write the compiled model, and evaluate it if the data has a test set."""
    from rnnspec import api
    from rnnspec.cli.checkpoints import checkpoints_for, save_interrupted
    from rnnspec.cli.data import open_data, with_targets
    from rnnspec.cli.plots import draw_curves
    from rnnspec.cli.results import print_results
    from rnnspec.training.progress import progress

    refuse_overwriting(output, spec, data)
    refuse_overwriting(plot, spec, data, option="'--plot'")
    if plot is not None and plot.resolve() == output.resolve():
        raise typer.BadParameter(f"`{plot}` is where the model is written, too", param_hint="'--plot'")
    checkpoints = checkpoints_for(output, checkpoint, keep, resume)
    model = api.compile(spec, dtype=dtype.value, seed=seed, parameters=parse_parameters(parameter))
    file = open_data(data, model.signature)
    examples = with_targets(file, file.for_training, model.signature)
    held_out = file.sets.get("val")
    if held_out is not None and validation_split is not None:
        raise typer.BadParameter(f"{data} has a validation set of its own, x_val", param_hint="'--validation-split'")
    test = file.sets.get("test")
    if test is not None and test.y is not None:
        with_targets(file, test, model.signature)
        model.check_samples(test.samples, batch_size or model.signature.train.batch_size or 32)
    elif test is not None:
        say(f"warning: {data} has no y_test: the model isn't evaluated on x_test")
    if any(use.input for layer in model.signature.moments for use in layer.uses):
        model.adapt(examples.x, mask=examples.mask, lengths=examples.lengths)
    try:
        model.fit(
            examples.x,
            examples.y,
            batch_size=batch_size,
            epochs=epochs,
            sample_weight=examples.weights,
            validation_data=None if held_out is None else (held_out.x, with_targets(file, held_out, model.signature).y, held_out.weights),
            validation_split=validation_split,
            shuffle=shuffle,
            seed=seed,
            verbose=False,
            mask=examples.mask,
            lengths=examples.lengths,
            validation_mask=None if held_out is None else held_out.mask,
            validation_lengths=None if held_out is None else held_out.lengths,
            callbacks=[progress(messages), *(() if checkpoints is None else (checkpoints,))],
        )
    except KeyboardInterrupt:
        if checkpoints is not None:
            save_interrupted(checkpoints)
        raise
    finally:
        if plot is not None:
            draw_curves(model.history, plot)
    model.save(output)
    say(f"wrote {output}")
    if checkpoints is not None:
        checkpoints.remove()
    if test is not None and test.y is not None:
        model.reset_states()
        print_results("test", model.evaluate(test.x, test.y, batch_size, sample_weight=test.weights, mask=test.mask, lengths=test.lengths))
