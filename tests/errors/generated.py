"""Cases that are too long to be read: more of something than a spec may have."""

from __future__ import annotations

from collections.abc import Mapping

from rnnspec.frontend.syntax import limits


def model(*lines: str, before: str = "", parameters: str = "") -> str:
    body = "\n".join(("input x: float[4]", *lines))
    return f"{before}model Case{parameters} {{\n{body}\n}}\n"


EQUATIONS = "\n".join(f"    a{number} = tanh(a{number - 1})" for number in range(1, 201))
CELL = f"cell Deep(units) {{\n    state h [units]\n    a0 = h\n{EQUATIONS}\n    h' = a200\n    return h'\n}}\n\n"

SPECS: Mapping[str, str] = {
    "spec_too_long": model("Dense(1)", before="# a comment\n" * (limits.BYTES // 12)),
    "too_many_tokens": model(*["Dense(1)"] * (limits.TOKENS // 4)),
    "name_too_long": model(f"{'y' * 256} = Dense(1)", f"z{'y' * 255} = x -> Dense(1)", f"{'y' * 255} = Dense(2)"),
    "too_many_parameters": model(
        "Dense(1)",
        parameters=f"({', '.join(f'p{n} = 1' for n in range(201))})",
    ),
    "too_many_statements": model("repeat 200 {", "    RepeatVector(2)", "    Deep(4)", "}", before=CELL),
    "too_many_errors": model(*(f"Dense({number}, units{number} = 1)" for number in range(1, 40))),
    "too_many_layers_in_blocks": model(
        "Twice0()",
        before="".join(f"block Twice{n} {{\n    Twice{n + 1}()\n    Twice{n + 1}()\n}}\n\n" for n in range(40))
        + "block Twice40 { Dense(4) }\n\n",
    ),
    "too_many_layers_told_late": model("Many(1000)", before="block Many(count) {\n    repeat count { Dense(4) Dense(4) Dense(4) }\n}\n\n"),
    "too_many_parts": (
        "model Case {\n    input x: float[time, 4]\n    repeat 40 {\n        a = Dense(4)\n"
        "        [a, a] -> Concatenate(axis = 1)\n    }\n}\n"
    ),
    "too_many_imports": model("Dense(1)", before="".join(f'import "many/{number}.rnn"\n' for number in range(limits.IMPORTS + 1))),
    "imports_too_deep": model("Dense(1)", before='import "deep/0.rnn"\n'),
    "imports_too_long": model("Dense(1)", before='import "long/0.rnn"\nimport "long/1.rnn"\n'),
}

FILES: Mapping[str, str] = {
    **{f"{name}.rnn": text for name, text in SPECS.items()},
    **{f"many/{number}.rnn": "" for number in range(limits.IMPORTS + 1)},
    **{f"deep/{number}.rnn": f'import "{number + 1}.rnn"\n' for number in range(500)},
    **{f"long/{number}.rnn": "# a comment\n" * (limits.BYTES // 16) for number in range(2)},
}
"""These cases and what they import, by their paths."""
