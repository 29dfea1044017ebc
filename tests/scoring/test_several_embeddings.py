"""Scores at several depths in one pass: those that each embedding has by itself."""

import dataclasses
import json

import jax
import numpy as np
import pyarrow.parquet as pq
import pytest
from command_line import invoke
from flax import nnx
from random_models import random_model
from streams import colour, records
from tiny_checkpoint import HUB_CONFIG, PREPROCESSOR_CONFIG

from jepa_jax import Exact, Scorer, load_encoder
from jepa_jax.encoders import embedding as embeddings
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.families import find_family
from jepa_jax.encoders.writing import write_checkpoint
from jepa_jax.estimators import Corrected, Line
from jepa_jax.scoring.rows import Prepared, make_row
from jepa_jax.store import read_scores
from jepa_jax.store.manifest import incomparable_settings, read_manifest

RULES = ["cls@1", "mean", "cls"]
DEEP = HUB_CONFIG | {"num_hidden_layers": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deep")
    model = random_model(find_family(DEEP).config(DEEP))
    write_checkpoint(folder, DEEP, PREPROCESSOR_CONFIG, model)
    return folder


@pytest.fixture(scope="module")
def several(folder):
    return load_encoder(folder, embedding=",".join(RULES))


@pytest.fixture(scope="module")
def exact(several):
    return Scorer(several, Exact(spectrum=True))


def test_each_is_the_score_that_it_has_alone(folder, exact):
    images = np.random.default_rng(0).standard_normal((2, 14, 14, 3)).astype(np.float32)
    found = exact.score(images)
    assert list(found.inner) == RULES[:-1]
    alone = Scorer(load_encoder(folder, embedding="cls@1"), Exact(spectrum=True)).score(images)
    inner = found.inner["cls@1"]
    np.testing.assert_allclose(inner.singular_values, alone.singular_values, rtol=1e-4)
    np.testing.assert_allclose(inner.jepa_score, alone.jepa_score, atol=2e-3)
    # 2 null directions after the final norm, 1 of a mean, none before it.
    ranks = {rule: scores.rank.tolist() for rule, scores in found.inner.items()}
    assert ranks == {"cls@1": [16, 16], "mean": [15, 15]}
    assert found.rank.tolist() == [14, 14]


def test_every_rule_evaluates_to_what_it_is_alone(folder, several):
    rules = [EmbeddingRule.parse(rule) for rule in RULES]
    model = nnx.merge(several._graph, several.state)
    image = np.random.default_rng(0).standard_normal((14, 14, 3)).astype(np.float32)

    @jax.jit
    def both(image):
        tokens = model.tokens(image)
        alone = [embeddings.embed(model, rule, tokens) for rule in rules]
        some = [embeddings.embed_each(model, rules[i : i + 2], tokens) for i in range(2)]
        return alone, [embeddings.embed_each(model, rules, tokens), *some]

    alone, (every, *some) = both(image)
    chosen = [alone, *(alone[i : i + 2] for i in range(2))]
    for expected, found in zip(chosen, [every, *some], strict=True):
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)


def test_rows_have_columns_of_every_rule(exact, several, tmp_path):
    scorer, out = exact, tmp_path / "out"
    store = ["spectrum", "embedding"]
    scorer.run(records(5, broken=(3,)), out, limit=2, store=store)
    scorer.run(records(5, broken=(3,)), out, store=store)  # Continued.
    rows = pq.read_table(out).to_pylist()
    images = np.stack([several.preprocess(r.load()) for r in records(3)])
    scores = scorer.score(images)
    for rule, of_rule in scores.inner.items():
        for i, row in enumerate(rows[:3]):
            assert row[f"jepa_score_{rule}"] == pytest.approx(of_rule.jepa_score[i], abs=2e-4)
            assert (row[f"status_{rule}"], row[f"error_{rule}"]) == ("ok", None)
            assert (row[f"std_error_{rule}"], row[f"bias_bound_{rule}"]) == (0, 0)
            assert row[f"rank_{rule}"] == of_rule.rank[i]
            assert row[f"log_frobenius_{rule}"] > row[f"jepa_score_{rule}"] / of_rule.rank[i]
        lost = {name: value for name, value in rows[3].items() if name.endswith(f"_{rule}")}
        assert set(lost.values()) == {None}
        assert f"embedding_{rule}" not in rows[0]
    assert rows[0]["jepa_score"] == pytest.approx(scores.jepa_score[0], abs=2e-4)
    assert read_scores(out).numbers("jepa_score_mean").shape == (5,)


def test_the_manifest_locks_the_rules_and_the_last_is_compared(folder, exact, tmp_path):
    out, alone = tmp_path / "out", tmp_path / "alone"
    exact.run(records(1), out)
    settings = read_manifest(out)["settings"]
    assert settings["encoder"]["embedding"] == "cls"
    assert settings["encoder"]["inner"] == RULES[:-1]
    own = Scorer(load_encoder(folder, embedding="cls"), Exact(spectrum=True))
    with pytest.raises(ValueError, match=r"encoder.inner: .*'cls@1'.* before, None now"):
        own.run(records(1), out)
    own.run(records(1, broken=(0,)), alone)
    assert not incomparable_settings(settings, read_manifest(alone)["settings"])
    assert "inner" not in json.loads((alone / "_manifest.json").read_text())["settings"]["encoder"]


def test_views_of_every_rule(exact, tmp_path):
    exact.run(records(1), tmp_path / "out", views=2)
    row = pq.read_table(tmp_path / "out").to_pylist()[0]
    assert len(row["views"]) == 2
    assert np.isfinite([row[f"jepa_score_{rule}"] for rule in RULES[:-1]]).all()


def test_an_embedding_without_a_score_beside_one_that_has(exact):
    found = exact.score(np.ones((1, 14, 14, 3), np.float32))
    deficient = found.inner["mean"]._replace(jepa_score=np.array([-np.inf], np.float32))
    found = found._replace(inner=found.inner | {"mean": deficient})
    row = make_row(Prepared(next(iter(records(1))), []), found, method="exact", store=())
    assert row["status"] == row["status_cls@1"] == "ok"
    assert row["status_mean"] == "deficient"
    assert "singular values of zero" in row["error_mean"]
    assert "jepa_score_mean" not in row


def test_what_is_of_one_embedding_says_so(several, folder):
    with pytest.raises(ValueError, match=r"fitted to one embedding: .*got cls@1, mean, cls"):
        Scorer(several, Corrected(Line.fit(np.arange(9.0), np.arange(9.0))))
    for embedding, message in {"cls,cls": "each rule once", "cls,": "must be one of"}.items():
        with pytest.raises(ValueError, match=message):
            load_encoder(folder, embedding=embedding)
    with pytest.raises(ValueError, match="between 1 and 2"):
        load_encoder(folder, embedding="cls@3,cls")
    assert dataclasses.asdict(several.origin)["embedding"] == ",".join(RULES)


@pytest.fixture
def photos(tmp_path):
    colour(3).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "auto"], "--method auto is of one embedding"),
        (["--correct", "8", "--precision", "bf16"], "--correct is of one embedding"),
    ],
)
def test_options_that_are_of_one_embedding(photos, folder, tmp_path, arguments, message):
    options = ["--encoder", folder, "--embedding", "cls@1,cls", "--out", tmp_path / "out"]
    result = invoke("score", photos, *options, *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_by_the_command_line(photos, folder, tmp_path):
    options = ["--encoder", folder, "--embedding", "cls@1,cls", "--out", tmp_path / "out"]
    result = invoke("score", photos, *options, "--method", "projection", "--oversampling", 16)
    assert result.exit_code == 0, result.output
    assert "cls@1, cls" in result.stderr
    rows = pq.read_table(tmp_path / "out").to_pylist()
    assert rows[0]["std_error_cls@1"] == pytest.approx(0.6, abs=0.05)
