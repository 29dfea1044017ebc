import json

import jax
import numpy as np
import pyarrow.parquet as pq
import pytest

from jepa_jax.training.config import CONFIGS, Training
from jepa_jax.training.training_run import run

SMALL = {"optimizer.steps": 6, "optimizer.batch": 16, "encoder.width": 8}


pytestmark = pytest.mark.usefixtures("standard_promotion")


@pytest.mark.parametrize("name", sorted(p.stem for p in CONFIGS.glob("*.toml")))
def test_committed_configurations_make_a_model_of_the_size_they_say(name):
    training = Training.read(name)
    encoder = training.tables["encoder"]
    model = training.model()
    if encoder["kind"] == "mlp":
        assert training.density.shape == (encoder["inputs"],)
        x = np.zeros(encoder["inputs"], np.float32)
        assert jax.eval_shape(model, x).shape == (encoder["embedding"],)
    else:
        assert name == "embedded"
        assert model.config.width == encoder["hidden_size"]


def test_the_embedded_configuration_is_that_of_the_embedded_encoder():
    from jepa_jax import load_encoder
    from jepa_jax.encoders.loading import EMBEDDED
    from jepa_jax.training.hub_configs import hub_config, preprocessor_config

    training = Training.read("embedded")
    for file, made in (
        ("config.json", hub_config(training)),
        ("preprocessor_config.json", preprocessor_config(training)),
    ):
        assert json.loads((EMBEDDED / file).read_text()) == json.loads(json.dumps(made))
    assert load_encoder("embedded").config == training.model().config
    recorded = json.loads((EMBEDDED / "training.json").read_text())["settings"]
    now = {**training.tables["optimizer"], **training.tables["views"]}
    assert {**now, "views": now["count"]}.items() >= {
        k: recorded[k] for k in ("steps", "batch", "views", "learning_rate", "warmup")
    }.items()
    assert recorded["augmentation"].items() <= now.items()
    assert training.tables["objective"]["sigreg"]["weight"] == recorded["balance"]


def test_one_seed_is_one_model():
    first, same = (Training.read("plane-sphere").model() for _ in range(2))
    other = Training.read("plane-sphere", {"seed": 1}).model()
    np.testing.assert_array_equal(first.kernels[0][...], same.kernels[0][...])
    assert not np.array_equal(first.kernels[0][...], other.kernels[0][...])


def test_a_stopped_run_forgets_the_rows_after_its_checkpoint(tmp_path):
    training = Training.read("plane-sphere", SMALL)
    whole = run(training, tmp_path / "whole", report_every=2)

    class Stop(Exception):
        pass

    def stop(row):
        if row["step"] == 6:
            raise Stop

    with pytest.raises(Stop):
        run(training, tmp_path / "cut", report=stop, report_every=2, checkpoint_every=4)
    cut = run(training, tmp_path / "cut", report_every=2, checkpoint_every=4)
    np.testing.assert_array_equal(whole.kernels[1][...], cut.kernels[1][...])
    tables = [pq.read_table(tmp_path / n / "losses.parquet").to_pylist() for n in ("whole", "cut")]
    left, right = ([(row["step"], row["total"]) for row in table] for table in tables)
    assert left == right


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer.stepz": 3}, "`optimizer` has the settings steps"),
        ({"encoder.kind": "cnn"}, "`encoder.kind` must be one of mlp, resnet, vit"),
        ({"encoder.deep": 3}, "`encoder` has the settings inputs"),
        ({"encoder.activation": "relu"}, "`activation` must be one of tanh"),
        ({"objective.entropy": {}}, "must be of invariance, sigreg, vicreg, uniformity"),
        ({"objective.uniformity": {"radius": 1}}, "`uniformity` has the settings weight, sharp"),
        ({"objective.uniformity.weight": [0.0, 1.0]}, "a weight that changes must be positive"),
        ({"views.blur": 1}, "`views` of points has count and noise"),
        ({"data.density": "moons"}, "`density` must be one of"),
        ({"nothing.there": 1}, "no table 'nothing'"),
        ({"extra": {}}, "the tables data, encoder, views, objective, optimizer"),
    ],
)
def test_mistakes_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        make(changes)


def make(changes):
    training = Training.read("plane-sphere", changes)
    return training.model(), training.task


def test_an_unknown_configuration_names_the_committed_ones():
    with pytest.raises(FileNotFoundError, match=r"embedded.*plane-sphere"):
        Training.read("nothing")


@pytest.mark.parametrize(
    "content",
    ["null", "[]", "", "{", "[" * 200_000, "\udcff", "1" * 5000, '{"seed": null}'],
    ids=lambda content: content[:10].encode("unicode_escape").decode() or "nothing",
)
def test_a_record_that_is_something_else(tmp_path, content):
    record = tmp_path / "config.json"
    record.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=r"config\.json|another configuration") as error:
        run(Training.read("plane-sphere", SMALL), tmp_path)
    assert "\n" not in str(error.value)
    assert record.read_bytes() == content.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    "name", ["checkpoints/2024/photo.png", "encoder/mine.py", "losses.parquet"]
)
def test_a_folder_that_holds_other_things_is_refused(tmp_path, name):
    """A checkpoint's older steps are removed: '2024' would look like one."""
    mine = tmp_path / name
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text("precious")
    with pytest.raises(FileExistsError, match="holds other things"):
        run(Training.read("plane-sphere", SMALL), tmp_path)
    assert mine.read_text() == "precious"
    assert not (tmp_path / "config.json").exists()


def test_a_log_that_is_something_else(tmp_path):
    training = Training.read("plane-sphere", SMALL)
    settings = json.dumps({"seed": training.seed, **training.tables})
    for data in (b"", b"PAR1", b"x" * 100):
        (tmp_path / "config.json").write_text(settings)
        (tmp_path / "losses.parquet").write_bytes(data)
        with pytest.raises(ValueError, match=r"losses\.parquet is not a readable log"):
            run(training, tmp_path)
