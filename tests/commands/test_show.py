"""`jepa-jax show`; of a folder just scored: test_score.py."""

from command_line import invoke


def test_show_what_is_no_folder_of_scores(tmp_path):
    result = invoke("show", tmp_path)
    assert result.exit_code == 2
    assert "not a folder of scores" in result.stderr
