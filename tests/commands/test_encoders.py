"""`jepa-jax encoders` as a user meets it."""

from command_line import invoke


def test_encoders_lists_what_can_be_loaded():
    result = invoke("encoders")
    assert result.exit_code == 0
    line = next(row for row in result.stdout.splitlines() if "facebook/dinov2-small" in row)
    assert line.split()[:6] == ["facebook/dinov2-small", "DINOv2", "cls", "384", "14", "224"]
    gated = next(row for row in result.stdout.splitlines() if "dinov3-vits16-pretrain" in row)
    assert gated.split()[9:] == ["2", "justified", "DINOv3", "License,", "gated"]
    pickled = next(row for row in result.stdout.splitlines() if "facebook/dino-vits16 " in row)
    assert pickled.endswith("Apache-2.0, pickle")
