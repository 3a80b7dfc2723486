"""Specs that try to be slow, large or deep: by name, each with what a compiler that walks trees, or lists in lists, would do with it."""

from __future__ import annotations

from collections.abc import Mapping


def model(*lines: str, before: str = "", parameters: str = "", inputs: str = "input x: float[4]") -> str:
    body = "\n".join((inputs, *lines))
    return f"{before}\nmodel Hostile{parameters} {{\n{body}\n}}\n"


def cell(*lines: str, states: str = "state h [units]", weights: str = "") -> str:
    body = "\n".join((weights, states, *lines))
    return f"cell Own(units) {{\n{body}\n}}\n"


def of_cell(*lines: str, states: str = "state h [units]", weights: str = "weight k [features, units] = glorot_uniform") -> str:
    return model("Own(4)", "Dense(1)", before=cell(*lines, states=states, weights=weights), inputs="input x: float[time, 4]")


def chain(first: str, step: str, count: int, last: str = "h' = tanh(a{0})") -> str:
    """A cell in which each value is made of the one before: `{0}` is the number of the value, `{1}` of the one before."""
    steps = [step.format(number, number - 1) for number in range(1, count)]
    return of_cell(f"a0 = {first}", *steps, last.format(count - 1), "return h'")


def nested(opening: str, closing: str, count: int, inside: str) -> str:
    return opening * count + inside + closing * count


def blocks(body: str, innermost: str, count: int, parameters: str = "") -> str:
    """Blocks in blocks: `{0}` is the number of the next."""
    deeper = "\n".join(f"block B{number}{parameters} {{ {body.format(number + 1)} }}" for number in range(count))
    return f"{deeper}\nblock B{count}{parameters} {{ {innermost} }}\n"


def doubled_rows(count: int) -> str:
    """A row that doubles with each equation, and with it the parts that it falls into."""
    return of_cell(
        "a0 = x @ k + h", *(f"a{n} = concat(a{n - 1}, a{n - 1})" for n in range(1, count)), f"h' = tanh(h + sum(a{count - 1}))", "return h'"
    )


def turned_rows(count: int, units: int) -> str:
    """A row to which parts of itself are added in another order, in each equation others."""
    lines: list[str] = []
    for number in range(1, count):
        parts = [f"p{number}_{part}" for part in range(2 + number % 4)]
        lines.append(f"{', '.join(parts)} = split(a{number - 1}, {len(parts)})")
        lines.append(f"a{number} = 0.5 * a{number - 1} + tanh(concat({', '.join(parts[1:] + parts[:1])}))")
    return of_cell("a0 = x @ k + h", *lines, f"h' = tanh(a{count - 1})", "return h'").replace("Own(4)", f"Own({units})")


REFUSED: Mapping[str, str] = {
    "10,000 layers": model(*["Dense(4)"] * 10_000),
    "8,000 unknown layers": model(*["Desne(4)"] * 8_000),
    "1,900 unknown layers": model(*["Desne(4)"] * 1_900),
    "1,900 layers, the last unknown": model(*["Dense(4)"] * 1_900, "Desne(4)"),
    "names of 60 characters that are alike": model(
        *(f"{'ab' * 27}{number} = Dense(4)" for number in range(800)), *(f"{'ba' * 26}{number} -> Dense(4)" for number in range(800))
    ),
    **{f"doubled {count} times": model("B0()", before=blocks("B{0}() B{0}()", "Dense(4)", count)) for count in (11, 20, 45)},
    "doubled by a parameter": model("B0(2)", before=blocks("repeat n {{ B{0}(n) }}", "Dense(4)", 20, "(n)")),
    "doubled without layers": model("B0(2)", before=blocks("repeat n {{ B{0}(n) }}", "repeat 0 { Dense(4) }", 20, "(n)")),
    "doubled by shared blocks": model("B0()", before=blocks("shared a = B{0}() y = a y -> a", "Dense(4)", 24)),
    "doubled by shared blocks that nothing uses": model(
        "B0()", before=blocks("shared a = B{0}() shared b = B{0}() Dense(4)", "Dense(4)", 24)
    ),
    "repeats of nothing": model("repeat 2000 { repeat 2000 { repeat 2000 { } } }", "Dense(1)"),
    "repeats of a name": model("repeat 2000 { repeat 2000 { y = x } }", "Dense(1)"),
    "1,500 blocks in each other": model("B0()", before=blocks("B{0}()", "Dense(4)", 1_500)),
    **{
        f"deep {opening}": model(f"Dense({nested(opening, closing, 6_000, '4')})")
        for opening, closing in (
            ("(", ")"),
            ("[", "]"),
            ("-", ""),
            ("not ", ""),
            ("f(", ")"),
            ("", "[0]"),
            ("1 + ", ""),
            ("1 if true else ", ""),
        )
    },
    "deep repeats": model(nested("repeat 1 {", "}", 4_000, "Dense(4)")),
    "deep choices": cell(nested("when true {", "}", 4_000, "h' = h"), "return h'") + model("Own(4)"),
    "braces": "{" * 19_000,
    "brackets on lines of their own": model("Dense(\n" + "(\n" * 9_000),
    "a fault in every line": model(*["Dense = "] * 6_000),
    "a fault at the end of 19,000 tokens": model(*["Dense(4)"] * 1_900, ")"),
    "an operator in every line": cell("h' = h", *["+\nh"] * 8_000, ") return h'"),
    "a strange mark in every line": model(*["a $"] * 19_000),
    "quotes": '"\n' * 100_000,
    "4,000 unknown arguments": model(f"Dense({', '.join(f'u{number} = 1' for number in range(4_000))})"),
    "8,000 unknown metrics": model("Dense(1)", f"train {{ loss = mse metrics = [{', '.join(f'm{n}' for n in range(8_000))}] }}"),
    "2,000 inputs of no type": model("Dense(1)", inputs=f"input {', '.join(f'x{number}: flaot[4]' for number in range(2_000))}"),
    "a name of 200,000 characters": model(f"{'y' * 200_000} = Dense(4)"),
    "a number of 200,000 digits": model(f"Dense({'1' * 200_000})"),
    "an exponent of 200,000 digits": model(f"Dense(1e{'9' * 200_000})"),
    "a text of 200,000 characters": model(f'Dense(4, activation = "{"n" * 200_000}")'),
    "300,000 spaces": model("Dense(4)" + " " * 300_000),
    "lists of lists": model(
        "Reshape(p150)", "Dense(p150)", parameters=f"(p0 = 1, {', '.join(f'p{n} = [p{n - 1}, p{n - 1}]' for n in range(1, 151))})"
    ),
    "a length that doubles": model(
        "repeat 400 { a = Dense(4) [a, a] -> Concatenate(axis = 1) }", "GlobalMaxPooling1D()", inputs="input x: float[time, 4]"
    ),
    "a length in a length": model(
        "repeat 300 { Conv1D(2, 3, strides = 2) Conv1D(2, 2) }", "GlobalMaxPooling1D()", inputs="input x: float[time, 4]"
    ),
    "a row that doubles": of_cell(
        "a0 = h", *(f"a{n} = concat(a{n - 1}, a{n - 1})" for n in range(1, 60)), "h' = h + sum(a59)", "return h'", weights=""
    ),
    "3,000 equations of unknown names": of_cell(*(f"a{n} = b{n} + 1" for n in range(3_000)), "h' = h", "return h'", weights=""),
    "900 cells of 200 equations": model(
        "repeat 900 { RepeatVector(2) Own(4) }",
        before=cell("a0 = h", *(f"a{n} = tanh(a{n - 1})" for n in range(1, 200)), "h' = a199", "return h'"),
    ),
}
"""What must be told to be wrong, soon."""

ACCEPTED: Mapping[str, str] = {
    "values used twice, 500 times": chain("x @ k + h", "a{0} = tanh(a{1}) * a{1}", 500),
    "tokens' values used twice, 200 times": chain("x @ k", "a{0} = tanh(a{1}) * a{1}", 200, "h' = tanh(a{0} + h)"),
    "sums of sums": chain("x @ k + h", "a{0} = a{1} + tanh(h + a{1})", 200),
    "a value added to itself": chain("x @ k + h", "a{0} = a{1} + a{1}", 100),
    "diamonds through split and concat": chain("x @ k + h", "p{0}, q{0} = split(a{1}, 2)\na{0} = concat(p{0} * q{0}, tanh(p{0}))", 100),
    "means of what means were taken from": chain("x @ k + h", "a{0} = a{1} - mean(a{1} * a{1})", 60),
    "50 equations over an argument": of_cell(
        *(f"a{n} = tanh(x @ k + h)" for n in range(50)), f"h' = {' + '.join(f'a{n}' for n in range(50))}", "return h'"
    ),
    "deep calls": of_cell(f"h' = {nested('tanh(', ')', 40, 'x @ k + h')}", "return h'"),
    "100 states": of_cell(
        "a = x @ k + h",
        "h' = tanh(a)",
        *(f"s{n}' = tanh(a * s{n})" for n in range(100)),
        "return h'",
        states=f"state h [units], {', '.join(f's{n} [units]' for n in range(100))}",
    ),
    "100 branches": model(
        *(f"b{n} = x -> Dense(4, activation = tanh)" for n in range(100)),
        f"[{', '.join(f'b{n}' for n in range(100))}] -> Concatenate()",
        "Dense(1)",
    ),
    "100 inputs": model(
        f"[{', '.join(f'x{n}' for n in range(100))}] -> Add()",
        "Dense(1)",
        inputs=f"input {', '.join(f'x{n}: float[4]' for n in range(100))}",
    ),
    "blocks in blocks in repeats": model(
        "repeat 2 { B0() }", "Dense(1)", before=blocks("y = Dense(4) B{0}() [x1, y] -> Add()", "Dense(4)", 6).replace("x1", "y")
    ),
    "a wide maximum": model(
        'MaxPooling1D(300, padding = "same")', "GlobalAveragePooling1D()", "Dense(1)", inputs="input x: float[time, 4]"
    ),
    "a wide window": model('Conv1D(2, 300, padding = "same")', "GlobalAveragePooling1D()", "Dense(1)", inputs="input x: float[time, 4]"),
}
"""What must compile, in work that grows with its length."""
