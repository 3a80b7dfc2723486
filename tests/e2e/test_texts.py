"""Models with inputs of texts and named classes: adapt, fit, predict, save, load; what doesn't fit is refused with its place."""

from __future__ import annotations

import copy
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnspec
from rnnspec.losses import BinaryCrossentropy, Hinge
from rnnspec.runtime.storage import model_file
from rnnspec.runtime.storage.model_file import ArtifactError
from tests.e2e.conftest import Workplace

SPEC = """model Tone(words = 12) {
    input review: text[time](max_tokens = words, standardize = lower, split = word, maxlen = 5, truncating = pre)
    Embedding(words, 3, mask_zero = true)
    GRU(3)
    Dense(1, activation = sigmoid)
    train { loss = binary_crossentropy  optimizer = Adam(learning_rate = 0.05)  metrics = [accuracy] }
}"""
TOPICS = """model Topics {
    input text: text[6](split = word, padding = pre)
    Embedding(30, 3, mask_zero = true)
    GRU(4)
    Dense(3, activation = softmax)
    train { loss = LOSS  optimizer = Adam()  classes = [sport, "the arts", news] }
}"""
TAGS = """model Tags {
    input words: text[time](split = whitespace)
    Embedding(20, 3, mask_zero = true)
    GRU(4, return_sequences = true)
    Dense(3, activation = softmax)
    train { loss = sparse_categorical_crossentropy  optimizer = Adam()  metrics = [accuracy] }
}"""
TEXTS = ["A good film, it's fine", "a bad film!", "quite good", "so bad"]
TONES = ["pos", "neg", "pos", "neg"]


def tone(**options: Any) -> Any:
    model = rnnspec.compile(SPEC, seed=0, **options)
    model.adapt(TEXTS)
    return model


def saved(model: Any) -> bytes:
    file = io.BytesIO()
    model.save(file)
    return file.getvalue()


def test_texts_train_as_their_ids_do() -> None:
    """Strings and class names are the numbers that they stand for, to the bit."""
    model, other = tone(), tone()
    known = model.get_vocabulary()
    assert known[:3] == ["", "[UNK]", "good"]
    ids = [[known.index(word) for word in text.lower().replace(",", "").replace("!", "").split()][-5:] for text in TEXTS]
    by_names = model.fit(TEXTS, TONES, epochs=3, seed=1, verbose=False)
    by_numbers = other.fit(ids, [1, 0, 1, 0], epochs=3, seed=1, verbose=False)
    assert by_names.history == by_numbers.history
    assert np.array_equal(model.predict(TEXTS), other.predict(ids))
    assert model.evaluate(TEXTS, TONES) == other.evaluate(ids, [1, 0, 1, 0])
    assert model.classes == {"dense": ("neg", "pos")}


def test_a_text_is_the_same_in_any_company() -> None:
    """Neither batch mates nor padding change it; a text without tokens is a sequence of no steps."""
    model = tone()
    alone = [model.predict([text])[0] for text in [*TEXTS, ""]]
    assert np.array_equal(model.predict([*TEXTS, ""]), alone)
    assert np.array_equal(model.predict([*TEXTS, ""], batch_size=2), alone)
    assert np.array_equal(model.predict(["good", "a b c d e good"]), model.predict(["good", "b c d e good"]))


@pytest.mark.parametrize(
    "value",
    [np.array(TEXTS), np.array(TEXTS, object), np.array(TEXTS)[:, None], tuple(TEXTS), {"review": TEXTS}],
    ids=["array", "objects", "column", "tuple", "mapping"],
)
def test_lists_and_arrays_of_texts_are_alike(value: Any) -> None:
    model = tone()
    assert np.array_equal(model.predict(value), model.predict(TEXTS))


def saved_parts(model: Any) -> dict[str, bytes]:
    """A file's members, but for the training's: copies begin with a new optimizer."""
    with zipfile.ZipFile(io.BytesIO(saved(model))) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.startswith("training") and name != "manifest.json"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"sample_weight": [1.0, 2.0]},
        {"validation_data": (TEXTS, ["pos", "neg", "neg", "wrong"])},
        {"validation_split": 2.0},
        {"steps_per_epoch": 0},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_fit_that_is_refused_learns_no_class_names(wrong: Any) -> None:
    """Whatever it is refused for, behind the targets or beside them."""
    model = tone()
    with pytest.raises(ValueError, match="wrong" if "validation_data" in wrong else next(iter(wrong))):
        model.fit(TEXTS, TONES, verbose=False, **wrong)
    assert model.classes == {}
    with pytest.raises(ValueError, match="sample_weight"):
        model.evaluate(TEXTS, TONES, sample_weight=[1.0])
    assert model.classes == {}
    model.fit(TEXTS, ["pos", "other", "pos", "other"], verbose=False)
    assert model.classes == {"dense": ("other", "pos")}


def test_the_file_holds_vocabulary_and_classes_as_plain_text(tmp_path: Path) -> None:
    model = tone()
    model.fit(TEXTS, TONES, verbose=False)
    path = tmp_path / "tone.rnnc"
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        assert archive.read("vocabulary/review.txt").decode().split("\n")[:2] == ["good", "film"]
        assert archive.read("classes/dense.txt") == b"neg\npos\n"
        assert json.loads(archive.read("manifest.json"))["format"] == 3  # trained, so with its training state
    for other in (rnnspec.load(path), copy.deepcopy(model)):
        assert other.get_vocabulary() == model.get_vocabulary()
        assert other.predict_classes(["good", "bad"]).tolist() == model.predict_classes(["good", "bad"]).tolist()
        assert saved_parts(other) == saved_parts(model)


def test_characters_are_kept_whatever_they_are() -> None:
    model = rnnspec.compile("model C { input t: text[time](standardize = none, split = character)  Embedding(9, 2)  GRU(2) }", seed=0)
    model.adapt(["\\\n\r\u2028\x85 \t"])
    assert rnnspec.load(saved(model)).get_vocabulary() == model.get_vocabulary()
    assert sorted(model.get_vocabulary()[2:]) == sorted("\\\n\r\u2028\x85 \t")


@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "categorical_crossentropy"])
def test_a_text_of_a_fixed_length_and_named_classes(loss: str) -> None:
    """A loss over probabilities gets the rows that its class numbers stand for."""
    model = rnnspec.compile(TOPICS.replace("LOSS", loss), seed=0)
    model.adapt(["a goal", "a play", "the vote"])
    names, numbers = ["news", "sport", "the arts"], np.array([2, 0, 1])
    texts = ["the vote", "a goal " * 9, "a play"]
    targets = numbers if loss.startswith("sparse") else np.eye(3)[numbers]
    assert model.evaluate(texts, names) == model.evaluate(texts, targets)
    known = model.get_vocabulary()
    ids = [[0, 0, 0, 0, known.index("the"), known.index("vote")]]
    assert np.array_equal(model.predict(texts[:1]), model.predict(np.array(ids)))
    found = model.predict(texts).argmax(axis=1)
    assert model.predict_classes(texts).tolist() == [("sport", "the arts", "news")[each] for each in found]
    assert rnnspec.load(saved(model)).classes == {"dense": ("sport", "the arts", "news")}


def test_steps_have_named_classes() -> None:
    model = rnnspec.compile(TAGS, seed=0)
    texts, tags = ["the dog barks", "dog"], [["DET", "NOUN", "VERB"], ["NOUN"]]
    model.adapt(texts)
    model.fit(texts, tags, verbose=False)
    assert model.classes == {"dense": ("DET", "NOUN", "VERB")}
    assert model.evaluate(texts, tags) == model.evaluate(texts, [[0, 1, 2], [1]])
    found = model.predict_classes(texts)
    assert [len(each) for each in found] == [3, 1]
    assert set(found[0]) <= {"DET", "NOUN", "VERB"}


def test_classes_without_names_are_numbers() -> None:
    model = tone()
    assert model.predict_classes(TEXTS).tolist() == (model.predict(TEXTS)[:, 0] > 0.5).astype(int).tolist()
    model.set_classes(["no", "yes"])
    assert set(model.predict_classes(TEXTS)) <= {"no", "yes"}


def test_a_prediction_of_nan_is_of_no_class() -> None:
    """The largest of NaN and others isn't known; a step that is masked isn't asked for its class."""
    body = "input x: float[time, 2]  Masking()  LSTM(3, return_sequences = true)  Dense(3, activation = softmax)"
    model = rnnspec.compile(f"model M {{ {body} train {{ allow_nan = true }} }}", seed=1)
    x = np.ones((2, 3, 2), np.float32)
    found = model.predict_classes(x, lengths=[2, 3])
    x[0, 2] = np.nan
    assert [each.tolist() for each in model.predict_classes(x, lengths=[2, 3])] == [each.tolist() for each in found]
    x[1, 2, 0] = np.nan
    with pytest.raises(ValueError, match=r"^output dense, sample 1, step 2: the prediction is NaN, which is of no class$"):
        model.predict_classes(x, lengths=[2, 3])
    one = rnnspec.compile("model M { input x: float[2]  Dense(1) train { allow_nan = true } }", seed=1)
    with pytest.raises(ValueError, match=r"^output dense, sample 1: the prediction is NaN"):
        one.predict_classes(np.array([[1, 1], [np.nan, 1]], np.float32))


@pytest.mark.parametrize("loss", ["binary_crossentropy(from_logits = true)", "hinge"])
def test_the_class_of_logits_and_of_margins_is_told_by_their_sign(loss: str, tmp_path: Path, workplace: Workplace) -> None:
    """The value of one unit is above 0 half of the time, as a probability is above one half."""
    x = np.linspace(-1.0, 1.0, 20, dtype=np.float32)[:, None]
    layers = "input x: float[1]  Dense(1, kernel_initializer = ones)"
    model = rnnspec.compile(f"model Sign {{ {layers}  train {{ loss = {loss}  optimizer = SGD() }} }}", seed=1)
    assert model.predict_classes(x).tolist() == (x[:, 0] > 0).astype(int).tolist()
    chosen = rnnspec.compile(f"model Sign {{ {layers} }}", seed=1)
    assert chosen.predict_classes(x).tolist() == (x[:, 0] > 0.5).astype(int).tolist()
    chosen.configure(loss=Hinge() if loss == "hinge" else BinaryCrossentropy(from_logits=True))
    assert chosen.predict_classes(x).tolist() == model.predict_classes(x).tolist()
    chosen.save(tmp_path / "sign.rnnc")
    assert rnnspec.load(tmp_path / "sign.rnnc").predict_classes(x).tolist() == model.predict_classes(x).tolist()
    chosen.set_classes(["minus", "plus"])
    chosen.save(tmp_path / "named.rnnc")
    np.savez(tmp_path / "x.npz", x=x)
    shown = workplace.succeeds("predict", tmp_path / "named.rnnc", "-d", tmp_path / "x.npz", "--show", "20").out
    rows = [line.split() for line in shown.splitlines() if line.strip()[:1].isdigit()]
    assert [row[1] for row in rows] == ["plus" if value > 0 else "minus" for value in x[:, 0]]
    assert [row[2] for row in rows] == [f"({value:.3f})" for value in x[:, 0]]


def test_a_vocabulary_from_a_file(tmp_path: Path) -> None:
    """Relative to the spec, read when it is compiled, and part of the model's file from then on."""
    (tmp_path / "words.txt").write_text("\n[UNK]\ngood\nbad\n", encoding="utf-8")
    spec = tmp_path / "tone.rnn"
    spec.write_text(SPEC.replace("maxlen = 5", 'vocabulary = "words.txt"'), encoding="utf-8")
    model = rnnspec.compile(spec, seed=0)
    assert model.get_vocabulary() == ["", "[UNK]", "good", "bad"]
    (tmp_path / "words.txt").write_text("bad\n", encoding="utf-8")
    assert rnnspec.compile(spec, seed=0).get_vocabulary() == ["", "[UNK]", "bad"]
    (tmp_path / "words.txt").unlink()
    assert rnnspec.load(saved(model)).get_vocabulary() == ["", "[UNK]", "good", "bad"]
    with pytest.raises(ValueError, match=r"tone\.rnn:2: input review: vocabulary words\.txt: No such file"):
        rnnspec.compile(spec)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("words.txt", "a\na\n", "line 2 is the same as line 1"),
        ("words.txt", "a\n\nb\n", "line 2 is empty"),
        ("words.txt", "\n".join(map(str, range(11))), "11 tokens and two for padding and unknown ones, input review takes 12 ids"),
        ("words.txt", b"\xff\n", "it isn't UTF-8 text"),
        ("words.rnn", "a\n", r"a vocabulary is a file whose name ends in \.txt"),
        ("words.txt", None, "Is a directory"),
    ],
)
def test_a_vocabulary_file_with_a_fault(tmp_path: Path, name: str, content: Any, message: str) -> None:
    if content is None:
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    spec = tmp_path / "tone.rnn"
    spec.write_text(SPEC.replace("maxlen = 5", f'vocabulary = "{name}"'), encoding="utf-8")
    with pytest.raises(ValueError, match=f"input review: vocabulary {name}.*{message}"):
        rnnspec.compile(spec)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("good", "input review: expected a list of texts, got one"),
        (["good", None], "input review, sample 1: expected a text, got NoneType"),
        (["good", float("nan")], "input review, sample 1: expected a text, got float"),
        ([b"good"], r"input review, sample 0: expected a text, got bytes: decode it, `\.decode\(\)`"),
        (["good", "\ud800"], "input review, sample 1: its text holds half of a surrogate pair"),
        ([["good"]], "input review"),
        (np.array([["good", "bad"]]), "input review"),
    ],
)
def test_what_is_no_list_of_texts_is_refused(value: Any, message: str) -> None:
    model = tone()
    with pytest.raises(ValueError, match=message):
        model.predict(value)
    if not isinstance(value, np.ndarray):
        before = model.get_vocabulary()
        with pytest.raises(ValueError, match="input review"):
            model.adapt(value)
        assert model.get_vocabulary() == before


def test_a_model_without_a_vocabulary_says_how_to_get_one() -> None:
    model = rnnspec.compile(SPEC, seed=0)
    with pytest.raises(ValueError, match=r"input review: it has no vocabulary yet: model\.adapt"):
        model.fit(TEXTS, TONES)
    assert model.get_vocabulary() == []
    with pytest.raises(ValueError, match="there is no token in the texts to adapt to"):
        model.adapt(["", "?"])
    assert model.predict([[2, 3]]).shape == (1, 1), "ids need none"
    numbers = rnnspec.compile("model N { input x: float[3]  Dense(1) }", seed=0)
    with pytest.raises(ValueError, match="model N has nothing to adapt"):
        numbers.adapt(TEXTS)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["a", "a"], "vocabulary: line 2 is the same as line 1"),
        (["[UNK]"], r"vocabulary: \[UNK\] stands for all unknown tokens"),
        ([str(number) for number in range(11)], "vocabulary: 11 tokens and two"),
        ("ab", "vocabulary: expected a list of tokens, got str"),
    ],
)
def test_a_vocabulary_that_does_not_fit_changes_nothing(tokens: Any, message: str) -> None:
    model = tone()
    before = model.get_vocabulary()
    with pytest.raises(ValueError, match=message):
        model.set_vocabulary(tokens)
    assert model.get_vocabulary() == before
    model.set_vocabulary(["bad", "good"])
    assert model.get_vocabulary() == ["", "[UNK]", "bad", "good"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["pos", "neg", "pos", "so-so"], "targets, sample 1: 3 different names, output dense has 2 classes; the rarest is 'neg'"),
        (["pos", "neg", "pos", None], "targets, sample 3: expected the name of a class, as others are, got NoneType"),
        (["pos"] * 4, "targets: 1 different names, output dense has 2 classes"),
    ],
)
def test_names_that_are_no_classes_train_nothing(names: Any, message: str) -> None:
    model = tone()
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        model.fit(TEXTS, names)
    assert all(map(np.array_equal, before, model.get_weights()))
    model.fit(TEXTS, TONES, verbose=False)
    with pytest.raises(ValueError, match=r"targets, sample 1: no class is called 'good'; they are neg, pos"):
        model.evaluate(TEXTS, ["pos", "good", "pos", "neg"])
    with pytest.raises(ValueError, match="classes: 3 names, output dense has 2 classes"):
        model.set_classes(["a", "b", "c"])
    with pytest.raises(ValueError, match="classes: there is no output 'tone'; there is dense"):
        model.set_classes(["a", "b"], "tone")


def test_two_inputs_of_texts() -> None:
    spec = """model Pair {
        input title: text[n](split = word), body: text[m](split = word)
        first  = title -> Embedding(9, 2, mask_zero = true) -> GRU(2)
        second = body -> Embedding(9, 2, mask_zero = true) -> GRU(2)
        [first, second] -> Concatenate() -> Dense(1)
    }"""
    model = rnnspec.compile(spec, seed=0)
    with pytest.raises(ValueError, match="model Pair has several inputs of texts; they are title, body"):
        model.adapt(["a"])
    model.adapt({"title": ["a b"], "body": ["c"]})
    assert model.get_vocabulary("body") == ["", "[UNK]", "c"]
    assert model.predict({"title": ["a", "b a"], "body": ["c", "c c"]}).shape == (2, 1)
    assert rnnspec.load(saved(model)).get_vocabulary("title") == model.get_vocabulary("title")
    with pytest.raises(ValueError, match="no input of texts 'x'"):
        model.get_vocabulary("x")


def test_lists_in_a_file_are_checked_as_the_rest_is() -> None:
    model = tone()
    model.set_classes(["no", "yes"])
    content = saved(model)
    artifact = model_file.decode(content)
    for texts, message in (
        ({"vocabulary/other": ("a",)}, "no input of texts 'other'"),
        ({"classes/dense": ("a",)}, "classes/dense.txt: 1 names, output dense has 2 classes"),
        ({"vocabulary/review": tuple(map(str, range(20)))}, "vocabulary/review.txt: 20 tokens"),
    ):
        changed = model_file.Artifact(artifact.name, artifact.text, artifact.parameters, artifact.dtype, artifact.weights, texts)
        with pytest.raises(ArtifactError, match=message):
            rnnspec.load(model_file.encode(changed))
    damaged = content.replace(b"no\nyes\n", b"no\nyex\n")
    with pytest.raises(ArtifactError):
        rnnspec.load(damaged)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist() if name != "classes/dense.txt"}
    shorter = io.BytesIO()
    with zipfile.ZipFile(shorter, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    with pytest.raises(ArtifactError, match=r"expected the member classes/dense\.txt, which the manifest names"):
        rnnspec.load(shorter.getvalue())
