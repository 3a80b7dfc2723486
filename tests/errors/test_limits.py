"""What is refused is refused in bounded work, whatever the text; what is accepted is checked in work that grows with its length."""

from __future__ import annotations

import pytest

from rnnspec.diagnostics import SpecError
from rnnspec.driver import commands, compilation, source_files
from rnnspec.frontend.syntax import limits
from tests.property.hostile import ACCEPTED, REFUSED, model
from tests.work import calls

MOST_CALLS = 2_000_000
"""About a second's; what walks a doubled tree, or lists in lists, needs far more."""


def refusal(text: str) -> SpecError:
    with pytest.raises(SpecError) as caught:
        commands.check(text)
    assert str(caught.value)
    return caught.value


@pytest.mark.every(3)
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_refused_soon(name: str) -> None:
    refusals: list[SpecError] = []
    calls(lambda: refusals.append(refusal(REFUSED[name])), MOST_CALLS)
    assert len(refusals[0].diagnostics) <= limits.ERRORS + 1


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_is_accepted_is_checked_soon(name: str) -> None:
    calls(lambda: commands.check(ACCEPTED[name]), MOST_CALLS)


@pytest.mark.parametrize("name", ["doubled 45 times", "doubled by a parameter", "a length that doubles"])
def test_compiling_refuses_as_soon_as_checking(name: str) -> None:
    """And so does loading: a model file's spec takes the same way."""

    def build() -> None:
        with pytest.raises(SpecError):
            compilation.build(source_files.read_spec(REFUSED[name]), {}, "float32")

    calls(build, MOST_CALLS)


def test_errors_are_counted() -> None:
    faults = [*(f"Dense({number}, units{number} = 1)" for number in range(1, limits.ERRORS + 1))]
    assert len(refusal(model(*faults)).diagnostics) == limits.ERRORS
    more = refusal(model(*faults, "Dense(3, more = 1)")).diagnostics
    assert [each.code for each in more[-2:]] == ["E0103", "E0701"]


def test_syntax_errors_are_counted() -> None:
    assert len(refusal(model(*["Dense(1))"] * limits.ERRORS)).diagnostics) == limits.ERRORS
    assert [each.code for each in refusal(model(*["Dense(1))"] * 1000)).diagnostics[-2:]] == ["E0001", "E0701"]


def test_a_spec_at_its_limits_is_accepted() -> None:
    commands.check(model(f"{'y' * limits.NAME} = Dense(1)", parameters=f"({', '.join(f'p{n} = 1' for n in range(limits.PARAMETERS))})"))
    commands.check(model("repeat 1999 { Dense(1) }", "Dense(1)"))
    assert refusal(model("repeat 1999 { Dense(1) }", "Dense(1)", "Dense(1)")).diagnostics[0].code == "E0518"
    text = model("Dense(1)")
    commands.check(text + "#" * (limits.BYTES - len(text)))
    assert refusal(text + "#" * (limits.BYTES - len(text) + 1)).diagnostics[0].code == "E0702"
