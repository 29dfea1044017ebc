"""V-JEPA 2 against `transformers`: still images and clips; its positions and its preprocessing."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import transformers as hf
from command_line import invoke
from PIL import Image

from jepa_jax import Exact, Scorer, load_encoder
from jepa_jax.checking.reference import NoReference, load_reference
from jepa_jax.data import Clips
from jepa_jax.encoders.encoder_jacobian import jacobian_of
from jepa_jax.encoders.families.vjepa2 import FAMILY

UNIT = 2.0**-24
SIDE = 28
# Heads of 16 channels: three groups of 4 that turn, and 4 that do not.
SETTINGS = {
    "crop_size": SIDE,
    "patch_size": 14,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "mlp_ratio": 2.5,
    "frames_per_clip": 8,
    "pred_hidden_size": 16,
    "pred_num_attention_heads": 2,
    "pred_num_hidden_layers": 1,
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    model = hf.VJEPA2Model(hf.VJEPA2Config(**SETTINGS)).eval()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    folder = tmp_path_factory.mktemp("vjepa2")
    model.save_pretrained(folder)
    return model, folder


def clip(frames: int, dtype=np.float32) -> np.ndarray:
    return np.random.default_rng(frames).standard_normal((frames, SIDE, SIDE, 3)).astype(dtype)


def ours(encoder, frames):
    """The array that the encoder takes of these frames: one, or a clip's."""
    return frames[0] if encoder.config.frames is None else encoder._clip(frames)


def to_torch(frames):
    return torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2)))[None]


@pytest.mark.parametrize("frames", [None, 6])
def test_every_hidden_layer(checkpoint, frames):
    model, folder = checkpoint
    encoder = load_encoder(folder, frames=frames)
    images = clip(frames or 1)
    with torch.no_grad():
        out = model(to_torch(images), skip_predictor=True, output_hidden_states=True)
    run = jax.jit(lambda s, x: (encoder.hidden_states(s, x), encoder.embed(s, x)))
    states, embedding = run(encoder.state, ours(encoder, images))
    theirs = [h[0].numpy() for h in out.hidden_states][: len(states)]
    assert len(theirs) == len(states) == 3
    # As tests/encoders/test_parity.py explains; the last of theirs may be normed.
    for depth, (a, b) in enumerate(zip(states[:-1], theirs, strict=False)):
        np.testing.assert_allclose(a, b, atol=25 * UNIT * (depth + 1) * np.abs(b).max())
    expected = out.last_hidden_state[0].numpy().mean(0)
    np.testing.assert_allclose(embedding, expected, atol=100 * UNIT * np.abs(expected).max())


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("frames", [None, 4])
def test_score_agrees_with_listing_1(checkpoint, frames):
    _, folder = checkpoint
    double = hf.VJEPA2Model.from_pretrained(folder, dtype=torch.float64).eval()
    images = clip(frames or 1, np.float64)
    embed = lambda x: double(x, skip_predictor=True).last_hidden_state.mean(1).sum(0)
    jacobian = torch.autograd.functional.jacobian(embed, to_torch(images)).reshape(32, -1)
    sigma = np.linalg.svd(jacobian.numpy(), compute_uv=False)
    encoder = load_encoder(folder, frames=frames, dtype=jnp.float64)

    @jax.jit
    def score(state, image):
        return Exact()(jacobian_of(encoder, state, image, chunk=8))

    found = score(encoder.state, ours(encoder, images))
    assert int(found.rank) == 31  # One null direction of a mean of normed tokens.
    # `transformers` has the softmax in float32 whatever the type.
    np.testing.assert_allclose(found.log_volume, np.log(sigma[:31]).sum(), rtol=1e-6)
    assert sigma[31] < 1e-4 * sigma[30]


def test_a_still_image_is_a_tubelet_of_it(checkpoint):
    _, folder = checkpoint
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 40, 3), np.uint8))
    still, twice = load_encoder(folder), load_encoder(folder, frames=2)
    embed = lambda encoder: jax.jit(encoder.embed)(encoder.state, encoder.preprocess(picture))
    np.testing.assert_allclose(embed(still), embed(twice), atol=1e-5)
    assert twice.preprocess(picture).shape == (SIDE, SIDE, 6)
    long = load_encoder(folder, frames=8)
    frames = [picture] * 8
    np.testing.assert_array_equal(long.preprocess_clip(frames), long.preprocess(picture))
    assert long.preprocess(picture).shape == (4 * SIDE, SIDE, 6)


def test_frames_are_prepared_as_the_checkpoint_says(checkpoint):
    _, folder = checkpoint
    encoder = load_encoder(folder)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8))
    # A short edge of int(28 * 256 / 224), and the middle of it.
    small = picture.resize((48, 32), Image.Resampling.BILINEAR).crop((10, 2, 38, 30))
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = (np.asarray(small) / 255 - mean) / deviation
    np.testing.assert_allclose(encoder.preprocess(picture), expected, atol=1e-5)


# As the published checkpoints have it.
PUBLISHED = {
    "crop_size": {"height": SIDE, "width": SIDE},
    "data_format": "channels_first",
    "default_to_square": False,
    "do_center_crop": True,
    "do_convert_rgb": None,
    "do_normalize": True,
    "do_pad": None,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 2,
    "rescale_factor": 1 / 255,
    "size": {"shortest_edge": 32},
    "size_divisor": None,
    "video_processor_type": "VJEPA2VideoProcessor",
}


def with_file(checkpoint, folder, name="video_preprocessor_config.json", within=None, **changes):
    """The checkpoint's folder again, with a file that says how frames are prepared."""
    for path in checkpoint[1].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    content = PUBLISHED | changes
    (folder / name).write_text(json.dumps(content if within is None else {within: content}))
    return folder


@pytest.mark.parametrize(
    ("name", "within"),
    [("video_preprocessor_config.json", None), ("processor_config.json", "video_processor")],
)
def test_its_own_file_says_how_frames_are_prepared(checkpoint, tmp_path, name, within):
    mean, deviation = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]
    folder = with_file(checkpoint, tmp_path, name, within, image_mean=mean, image_std=deviation)
    encoder = load_encoder(folder)
    assert encoder.fingerprint != load_encoder(checkpoint[1]).fingerprint
    for size in ((64, 96), (33, 100), (100, 32), (32, 32)):
        frame = np.random.default_rng(size[0]).integers(0, 256, (*size, 3), np.uint8)
        found = encoder.preprocess(Image.fromarray(frame))
        # What torchvision calls for a video, which is resized in bytes.
        short = min(size)
        shape = tuple(32 if n == short else int(32 * n / short) for n in size)
        video = torch.from_numpy(frame).permute(2, 0, 1)[None]
        resized = torch.nn.functional.interpolate(video, shape, mode="bilinear", antialias=True)
        top, left = (round((n - SIDE) / 2) for n in shape)
        bytes_ = resized[0].permute(1, 2, 0).numpy()[top : top + SIDE, left : left + SIDE]
        # Pillow and PyTorch round a few bytes otherwise.
        ours = (found * np.array(deviation) + np.array(mean)) * 255
        difference = np.abs(ours - bytes_)
        assert difference.max() < 1.001
        assert (difference > 0.5).mean() < 0.02


def test_what_its_file_cannot_say(checkpoint, tmp_path):
    cases = {
        "`video_processor_type` must be VJEPA2VideoProcessor, got 'Other'": {
            "video_processor_type": "Other"
        },
        "`image_std` must be a number from 1e-4": {"image_std": 0.0},
        "positions of this encoder are those of 28 x 28": {"crop_size": 42},
        "`auto_map` asks for code": {"auto_map": {"AutoVideoProcessor": "code.Own"}},
    }
    for message, changes in cases.items():
        folder = with_file(checkpoint, tmp_path, **changes)
        with pytest.raises(ValueError, match=f"video_preprocessor_config.json: .*{message}"):
            load_encoder(folder)


def test_what_it_cannot_encode(checkpoint):
    _, folder = checkpoint
    with pytest.raises(ValueError, match="positions of this encoder are those of 28 x 28"):
        load_encoder(folder, image_size=56)
    with pytest.raises(ValueError, match=r"`frames` must be a multiple of 2, .* got 5"):
        load_encoder(folder, frames=5)
    with pytest.raises(ValueError, match="DINOv2 encodes images, not clips"):
        load_encoder("embedded", frames=4)
    four = load_encoder(folder, frames=4)
    with pytest.raises(ValueError, match="`frames` must be 4, got 1"):
        four.preprocess_clip([Image.new("RGB", (9, 9))])
    with pytest.raises(ValueError, match="load it with `frames` for clips"):
        load_encoder(folder).preprocess_clip([])
    with pytest.raises(ValueError, match="positions of this encoder"):
        four.embed(four.state, np.zeros((2 * SIDE, 42, 6), np.float32))


@pytest.mark.parametrize("frames", [None, 4])
def test_written_and_read_again(checkpoint, tmp_path, frames):
    _, folder = checkpoint
    hub = json.loads((folder / "config.json").read_text())
    encoder = load_encoder(folder, frames=frames)
    config = FAMILY.config(hub) if frames is None else FAMILY.clips(hub, frames)
    for name, stored in FAMILY.parameters(config).items():
        if not name.startswith("patch"):
            continue
        x = np.random.default_rng(0).standard_normal(
            (14 * 14 * config.channels, 32) if name.endswith("kernel") else 32
        )
        np.testing.assert_allclose(stored.assemble(*stored.disassemble(x)), x, atol=1e-12)
    assert dataclasses.asdict(encoder.origin)["frames"] == frames


def test_a_folder_of_clips_has_a_score_a_clip(checkpoint, tmp_path):
    _, folder = checkpoint
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        (tmp_path / "clips" / name).mkdir(parents=True)
        for i in range(5):
            frame = Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8))
            frame.save(tmp_path / "clips" / name / f"{i}.png")
    (tmp_path / "clips" / "two" / "3.png").write_bytes(b"")
    out = tmp_path / "out"
    arguments = ["score", tmp_path / "clips", "--encoder", folder, "--out", out]
    result = invoke(*arguments, "--clips", 4)
    assert result.exit_code == 0, result.output
    rows = {row["id"]: row for row in pq.read_table(out).to_pylist()}
    assert (rows["two"]["status"], rows["two"]["jepa_score"]) == ("unreadable", None)
    encoder = load_encoder(folder, frames=4)
    image = encoder.preprocess(next(iter(Clips(tmp_path / "clips", 4))).load())
    assert image.shape == (2 * SIDE, SIDE, 6)
    expected = Scorer(encoder, Exact()).score(image[None])
    assert rows["one"]["jepa_score"] == pytest.approx(expected.jepa_score[0], abs=1e-3)
    other = invoke(*arguments, "--clips", 2)
    assert other.exit_code == 2
    assert "4 frames' before" in other.stderr
    windows = invoke(*arguments, "--clips", 4, "--stride", 2)
    assert "source_options" in windows.stderr
    assert windows.exit_code == 2
    apart = invoke(*arguments, "--clips", 4, "--frame-step", 2)
    assert "source_options" in apart.stderr
    assert apart.exit_code == 2
    for option in ("--stride", "--frame-step"):
        alone = invoke(*arguments, option, 2)
        assert f"{option} is of windows of clips: it needs --clips" in alone.stderr
    with pytest.raises(NoReference, match="of encoders of images, not videos"):
        load_reference(load_encoder(folder))  # What `jepa-jax check` then says.
    views = invoke(*arguments[:-1], tmp_path / "views", "--clips", 4, "--views", 2)
    assert "`views` are of images" in views.stderr
