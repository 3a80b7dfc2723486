"""`rnnspec export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rnnspec.cli.console import print_text, say
from rnnspec.cli.options import ArtifactPath
from rnnspec.cli.outputs import check_model_output, refuse_overwriting

OUTPUT = "The file to write.  [default: the model's name, with the format's ending]"
RUN = "Run the file by its own framework, which must be installed, and compare what it gives with the model."
TO = "The format: keras, torch, onnx or safetensors.  [default: by the file's ending]"


def export(
    model: ArtifactPath,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help=OUTPUT, callback=check_model_output, show_default=False)
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="FORMAT", help=TO, show_default=False)] = None,
    run: Annotated[bool, typer.Option("--run", help=RUN)] = False,
) -> None:
    """Export a compiled model as a file of another framework."""
    from rnnspec import api
    from rnnspec.interop import exporting

    if output is None:
        if to is None:
            raise typer.BadParameter("name the format, or the file", param_hint="--to")
        output = model.with_suffix(exporting.exporter_for("", to).endings[0])
    refuse_overwriting(output, model)
    exporting.exporter_for(str(output), to)
    loaded = api.load(model)
    for text in exporting.export_model(loaded, output, to=to):
        say(f"note: {text}")
    print_text(f"wrote {output}")
    if run:
        say(f"the outputs are the model's: they differ by {exporting.run(loaded, output, to=to):.3g} at most")
