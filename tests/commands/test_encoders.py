"""`jepa-jax encoders` as a user meets it."""

from command_line import invoke


def test_encoders_lists_what_can_be_loaded():
    result = invoke("encoders")
    assert result.exit_code == 0
    line = next(row for row in result.stdout.splitlines() if "facebook/dinov2-small" in row)
    assert line.split()[:6] == ["facebook/dinov2-small", "DINOv2", "cls", "384", "14", "224"]
