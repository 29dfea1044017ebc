"""An engine only decides where a shard is computed: one finishes what another began."""

import dataclasses
import pickle

import pyarrow.parquet as pq
import pytest
from streams import records

from jepa_jax import Exact, Lanczos, Scorer, load_encoder
from jepa_jax.encoders.encoder import Encoder
from jepa_jax.scoring.recipe import Recipe
from jepa_jax.scoring.work import Shard
from jepa_jax.store import read_manifest


class Elsewhere:
    """A shard at a time, each by a scorer that is made of a recipe which was sent: as a cluster's
    workers have it. Ends after `most` shards, as one that loses its driver."""

    name = "elsewhere"

    def __init__(self, most=None):
        self.most, self.done = most, []

    def begin(self, scorer, reporting):
        return {"device": "cpu: elsewhere", "jax": "0.9"}

    def kinds(self):
        return {"cpu: elsewhere", "cpu: later"}

    def run(self, task, shards, reporting):
        scorer = pickle.loads(pickle.dumps(Recipe.of(task.scorer))).build()
        for shard in shards:
            if len(self.done) == self.most:
                raise ConnectionError("the driver is gone")
            alone = Shard(shard.index, list(shard.items))
            task.work(dataclasses.replace(task, scorer=scorer), [alone], reporting.row)
            self.done.append(shard.index)


def rows(out):
    return pq.read_table(out).to_pylist()


@pytest.fixture(scope="module")
def random_scorer(encoder):
    """Of a method with keys: they must go by the image, not by the shard or the engine."""
    return Scorer(encoder, Lanczos(steps=4, probes=2), batch_size=3, seed=5)


def test_another_engine_gives_the_same_rows_and_finishes_what_was_begun(random_scorer, tmp_path):
    settings = {"shard_size": 3, "store": ["embedding", "image"]}
    source = records(11, broken=(4,))
    random_scorer.run(source, tmp_path / "local", **settings)
    engine = Elsewhere()
    summary = random_scorer.run(source, tmp_path / "other", engine=engine, **settings)
    assert engine.done == [0, 1, 2, 3]
    assert summary.counts == {"ok": 10, "unreadable": 1}
    assert rows(tmp_path / "other") == rows(tmp_path / "local")
    facts = read_manifest(tmp_path / "other")["facts"]
    assert facts["device"] == "cpu: elsewhere"
    assert [one["device"] for one in facts["continued"]] == ["cpu: later"]
    with pytest.raises(ConnectionError):
        random_scorer.run(source, tmp_path / "mixed", engine=Elsewhere(most=2), **settings)
    assert len(rows(tmp_path / "mixed")) == 6
    assert random_scorer.run(source, tmp_path / "mixed", **settings).resumed == 6
    assert rows(tmp_path / "mixed") == rows(tmp_path / "local")


def test_a_recipe_is_small_and_makes_the_same_scorer(random_scorer):
    recipe = Recipe.of(random_scorer)
    assert len(pickle.dumps(recipe)) < 2000
    again = recipe.build()
    assert again.encoder.fingerprint == random_scorer.encoder.fingerprint
    assert Recipe.of(again) == recipe


def test_a_recipe_is_refused_where_it_cannot_hold(encoder):
    other = dataclasses.replace(Recipe.of(Scorer(encoder, Exact())), fingerprint="abc")
    with pytest.raises(
        ValueError, match="'embedded' is another one here: its fingerprint must be abc"
    ):
        other.build()
    loaded = load_encoder("embedded")
    made = Encoder("mine", loaded._model(loaded.state), loaded.rule, 28, loaded._preprocess, "x")
    with pytest.raises(ValueError, match="was made in memory: another process cannot load it"):
        Recipe.of(Scorer(made, Exact()))
