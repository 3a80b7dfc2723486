"""`rnnspec train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rnnspec.cli.console import messages, say
from rnnspec.cli.options import (
    AsJson,
    Columns,
    DataFormat,
    DataPaths,
    DtypeOrModels,
    Header,
    ModelOutput,
    Parameters,
    Precision,
    Seed,
    SpecOrModelPath,
    parse_parameters,
)
from rnnspec.cli.outputs import check_plot_output, refuse_overwriting
from rnnspec.cli.specs import is_model, refuse_options_of_specs

CHECKPOINT = "Save all of the training after so many epochs, beside the model's file."
KEEP = "So many checkpoints stay.  [default: 3]"
RESUME = "Go on from the newest checkpoint, if there is one."
PLOT = "Draw the curves of the loss and the metrics into this file, an .svg; of a training that is broken off, too."
DISTRIBUTED = "Train on the processes of mpiexec, of which this is one: mpiexec -n 4 rnnspec train ... --distributed."
VALIDATION_DATA = "Data to validate on after each epoch: its validation set, or all of it; repeatable as --data."
VALIDATION = "The last fraction of the training set, to validate on instead of the spec's."


def train(
    spec: SpecOrModelPath,
    data: DataPaths,
    output: ModelOutput,
    columns: Columns = None,
    format: DataFormat = None,
    header: Header = True,
    validation_data: Annotated[list[Path] | None, typer.Option(metavar="FILE", help=VALIDATION_DATA, show_default=False)] = None,
    seed: Seed = None,
    parameter: Parameters = None,
    epochs: Annotated[int | None, typer.Option(min=0, metavar="NUMBER", help="Instead of the spec's.", show_default=False)] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, metavar="NUMBER", help="Instead of the spec's.", show_default=False)] = None,
    validation_split: Annotated[float | None, typer.Option(metavar="FRACTION", help=VALIDATION, show_default=False)] = None,
    shuffle: Annotated[bool | None, typer.Option("--shuffle/--no-shuffle", help="Instead of the spec's.", show_default=False)] = None,
    dtype: DtypeOrModels = None,
    checkpoint: Annotated[str | None, typer.Option(metavar="every=NUMBER", help=CHECKPOINT, show_default=False)] = None,
    keep: Annotated[int | None, typer.Option(min=1, metavar="NUMBER", help=KEEP, show_default=False)] = None,
    resume: Annotated[bool, typer.Option("--resume", help=RESUME)] = False,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FILE", help=PLOT, callback=check_plot_output, show_default=False)] = None,
    distributed: Annotated[bool, typer.Option("--distributed", help=DISTRIBUTED)] = False,
    json_: AsJson = False,
) -> None:
    """Train a spec on data, write the compiled model, and evaluate it if the data has a test set.

    A compiled model in the place of the spec is trained on: from its weights, with its optimizer's state.
    """
    from rnnspec import api
    from rnnspec.cli.checkpoints import checkpoints_for, digest_of, save_interrupted, save_last_weights
    from rnnspec.cli.data import adapt, examples_of, given_by, open_data, validation_of, with_targets
    from rnnspec.cli.plots import draw_curves
    from rnnspec.cli.ranks import among_ranks, exchanged, shared_seed
    from rnnspec.cli.results import print_json, print_results
    from rnnspec.cli.test_sets import LooksAtTest
    from rnnspec.datafiles.content import STANDARD_INPUT
    from rnnspec.datafiles.places import placed
    from rnnspec.training.progress import progress

    with among_ranks(distributed) as exchange:
        read = spec, *data, *(validation_data or ())
        refuse_overwriting(output, *read)
        refuse_overwriting(plot, *read, option="'--plot'")
        if plot is not None and plot.resolve() == output.resolve():
            raise typer.BadParameter(f"`{plot}` is where the model is written, too", param_hint="'--plot'")
        if distributed and STANDARD_INPUT in map(str, read):
            raise typer.BadParameter("only one of the processes has standard input: give a file", param_hint="'--distributed'")
        given = given_by(columns, format, header)
        checkpoints = checkpoints_for(output, checkpoint, keep, resume)
        going_on = is_model(spec)
        if going_on:
            refuse_options_of_specs(spec, parameter, dtype)
            model = api.load(spec)
        else:
            model = api.compile(
                spec, dtype=(dtype or Precision.float32).value, seed=shared_seed(exchange, seed), parameters=parse_parameters(parameter)
            )
        file = open_data(data, given, model)
        examples = with_targets(file, file.for_training, model.signature)
        held_out = file.sets.get("val")
        if held_out is not None and (validation_split is not None or validation_data):
            option = "--validation-split" if validation_split is not None else "--validation-data"
            raise typer.BadParameter(f"{file.path} has a validation set of its own, x_val", param_hint=f"'{option}'")
        if validation_data:
            held = open_data(validation_data, given, model)
            held_out = with_targets(held, held.for_validation, model.signature)
        elif held_out is not None:
            with_targets(file, held_out, model.signature)
        test = file.sets.get("test")
        if test is not None and test.y is not None:
            with_targets(file, test, model.signature)
            model.check_samples(test.samples, batch_size or model.signature.train.batch_size or 32)
        elif test is not None:
            say(f"warning: {file.path} has no y_test: the model isn't evaluated on x_test")
        if checkpoints is not None:
            checkpoints.check(
                {
                    "--seed": seed,
                    "--batch-size": batch_size,
                    "--validation-split": validation_split,
                    "--shuffle": shuffle,
                    "--columns": {role: list(names) for role, names in given.columns.items()} or None,
                    "--header": header,
                    "--data": [digest_of(path) for path in data],
                    "--validation-data": [digest_of(path) for path in validation_data or ()],
                }
            )
        looked_at = [] if test is None or test.y is None else [LooksAtTest(test)]
        split = validation_split if validation_split is not None else model.signature.train.validation_split or 0.0
        with placed(examples.origin):
            adapt(model, examples, numbers=not going_on, validation_split=0.0 if held_out is not None else split)
        try:
            with placed(examples.origin, None if held_out is None else held_out.origin):
                history = model.fit(
                    **examples_of(examples),
                    **validation_of(held_out),
                    batch_size=batch_size,
                    epochs=epochs,
                    validation_split=validation_split,
                    shuffle=shuffle,
                    seed=seed,
                    verbose=False,
                    distributed=distributed,
                    callbacks=[*looked_at, progress(messages), *(() if checkpoints is None else (checkpoints,))],
                )
        except KeyboardInterrupt:
            if checkpoints is not None:
                save_interrupted(checkpoints)
            raise
        finally:
            if plot is not None and exchange.rank == 0:
                draw_curves(model.history, plot)
        sent = exchanged(exchange, history) if distributed else None
        if exchange.rank:
            raise typer.Exit(2 if history.not_finite else 0)
        if history.not_finite:
            save_last_weights(model, history.not_finite, output, checkpoints)
        model.save(output)
        say(f"wrote {output}")
        if checkpoints is not None:
            checkpoints.remove()
        means = None
        if test is not None and test.y is not None:
            model.reset_states()
            with placed(test.origin):
                means = model.evaluate(**examples_of(test), batch_size=batch_size)
        if json_:
            found = {"epochs": history.epoch, "history": history.history, "test": means}
            print_json(found if sent is None else found | {"distributed": sent})
        elif means is not None:
            print_results("test", means)
