import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jepa_jax.densities import named as reference
from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.vit_config import ViTConfig
from jepa_jax.training.augment import Augmentation
from jepa_jax.training.checkpoints import Checkpoints
from jepa_jax.training.config import augmented_views, choose, embed_tokens, noisy_views
from jepa_jax.training.networks import MLP, MLPConfig, ResNet, ResNetConfig
from jepa_jax.training.trainer import Optimizer, Task, embed_each, initial_model, train
from jepa_jax.training.weighted_objective import make_objective

OBJECTIVE = make_objective({"invariance": {"weight": 0.8}, "sigreg": {"weight": 0.2, "slices": 8}})
OPTIMIZER = Optimizer(steps=30, batch=32, learning_rate=2e-2, warmup=3)
PLANE = Task(
    reference.isotropic(),
    lambda density, key, n: density.sample(key, n),
    functools.partial(noisy_views, count=2, noise=0.1),
    embed_each,
    OBJECTIVE,
)
IMAGES = np.random.default_rng(0).random((48, 8, 8), dtype=np.float32)


def images_task(embed, grey):
    views = functools.partial(
        augmented_views, count=2, augmentation=Augmentation(), mean=0.5, std=0.29, grey=grey
    )
    return Task(IMAGES, choose, views, embed, OBJECTIVE)


def mlp():
    return MLP(MLPConfig(2, 2, width=8), rngs=nnx.Rngs(0)), PLANE


def vit():
    config = ViTConfig(
        image_size=8, patch_size=4, width=16, depth=1, heads=2, mlp_width=32, layer_scale=True
    )
    embed = functools.partial(embed_tokens, EmbeddingRule("cls"))
    return initial_model(config, jax.random.key(0)), images_task(embed, grey=False)


def resnet():
    config = ResNetConfig(side=8, embedding=4, width=4, stages=1)
    return ResNet(config, rngs=nnx.Rngs(0)), images_task(embed_each, grey=True)


pytestmark = pytest.mark.usefixtures("standard_promotion")


def run(make, seed=0, optimizer=OPTIMIZER, **options):
    model, task = make()
    rows = []
    trained = train(
        model,
        task,
        jax.random.key(seed),
        optimizer,
        report=rows.append,
        report_every=10,
        **options,
    )
    return jax.tree.leaves(nnx.state(trained)), rows


def test_training_is_deterministic():
    parameters, rows = run(mlp)
    again, rows_again = run(mlp)
    jax.tree.map(np.testing.assert_array_equal, parameters, again)
    assert [row["total"] for row in rows] == [row["total"] for row in rows_again]
    assert [row["step"] for row in rows] == [10, 20, 30]
    assert run(mlp, seed=1)[1][-1]["total"] != rows[-1]["total"]


@pytest.mark.parametrize("make", [mlp, vit, resnet])
def test_training_reduces_the_loss(make):
    _, rows = run(make)
    # Untrained, the ratio is 1 but for the batches drawn; ratios here are .2 to .7.
    assert rows[-1]["total"] < 0.8 * rows[0]["total"]


def test_the_callers_model_stays_as_it_was():
    model, task = mlp()
    before = [np.array(leaf) for leaf in jax.tree.leaves(nnx.state(model))]
    train(model, task, jax.random.key(0), Optimizer(steps=2, batch=8))
    jax.tree.map(np.testing.assert_array_equal, before, jax.tree.leaves(nnx.state(model)))


class Stop(Exception):
    pass


def test_a_stopped_training_ends_where_an_unbroken_one_does(tmp_path):
    unbroken, rows = run(mlp)

    def stop(step, model):
        if step == 20:
            raise Stop

    with pytest.raises(Stop):
        run(mlp, checkpoints=Checkpoints(tmp_path, 5), watch=stop)
    assert Checkpoints(tmp_path).steps() == [15]
    steps = []
    continued, later = run(
        mlp, checkpoints=Checkpoints(tmp_path, 5), watch=lambda step, _: steps.append(step)
    )
    assert steps == [20, 30]
    jax.tree.map(np.testing.assert_array_equal, unbroken, continued)
    assert later[-1]["total"] == rows[-1]["total"]
    assert Checkpoints(tmp_path).steps() == [30]


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    run(mlp, checkpoints=Checkpoints(tmp_path, 30))
    other = MLP(MLPConfig(2, 3, width=8), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="checkpoint of another model"):
        train(other, PLANE, jax.random.key(0), OPTIMIZER, checkpoints=Checkpoints(tmp_path))


def test_a_loss_that_is_not_finite_stops_the_training():
    with pytest.raises(FloatingPointError, match="at step 10 is not finite"):
        run(mlp, optimizer=Optimizer(steps=20, batch=8, learning_rate=float("nan"), warmup=1))


def test_the_learning_rate_rises_and_falls():
    schedule = Optimizer(steps=100, learning_rate=1.0, warmup=10).schedule
    values = [float(np.asarray(schedule(step))) for step in (0, 10, 55, 100)]
    # A cosine is at half of its height in the middle.
    np.testing.assert_allclose(values, [0, 1, 0.5, 0], atol=1e-6)


def test_watching_sees_every_report_and_the_start():
    seen = {}
    run(mlp, watch=lambda step, model: seen.update({step: np.array(model.kernels[0][...])}))
    assert list(seen) == [0, 10, 20, 30]
    np.testing.assert_array_equal(seen[0], mlp()[0].kernels[0][...])
    # A copy: later steps, which reuse the memory, do not change it.
    assert not np.array_equal(seen[10], seen[20])


def test_networks_do_not_mix_inputs():
    model, _ = resnet()
    images = jnp.asarray(IMAGES[:3])
    both = lambda images: (embed_each(model, images), jnp.stack([model(i) for i in images]))
    together, alone = jax.jit(both)(images)
    # float32 sums in another order.
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_a_normalized_network_has_the_null_direction_it_claims():
    from jepa_jax.training.networks import null_basis

    model = MLP(MLPConfig(2, 3, normalized=True), rngs=nnx.Rngs(0))
    x = jnp.array([0.3, -0.2])
    z, matrix = jax.jit(lambda x: (model(x), jax.jacobian(model)(x)))(x)
    np.testing.assert_allclose(jnp.linalg.norm(z), 1, rtol=1e-6)
    np.testing.assert_allclose(null_basis(True, z).T @ matrix, np.zeros((1, 2)), atol=1e-6)
    assert null_basis(False, z).shape == (3, 0)


def test_spectral_bound_holds_the_largest_singular_value():
    from jepa_jax.training import networks

    kernel = jnp.asarray(np.random.default_rng(0).normal(size=(20, 30)), jnp.float32)
    bounded = jax.jit(networks.bounded)
    top = np.linalg.svd(bounded(kernel, 1.5), compute_uv=False)[0]
    # Eight power iterations from a fixed start leave a few per cent.
    np.testing.assert_allclose(top, 1.5, rtol=0.1)
    np.testing.assert_array_equal(bounded(kernel, 100.0), kernel)


@pytest.mark.parametrize("settings", [{"steps": 0}, {"batch": 0}])
def test_optimizer_refuses(settings):
    with pytest.raises(ValueError, match="must be at least 1"):
        Optimizer(**settings)
