"""Lists of files: as written, relative to the right folder."""

import pytest
from image_files import BLUE, RED, colours, ids, png, write

from jepa_jax.data import FileList, ListFile


def test_paths_keep_their_order_and_are_their_ids(tmp_path, no_decoding):
    source = FileList(("b.png", "sub/a.png"), tmp_path)
    assert ids(source) == ["b.png", "sub/a.png"] == ids(source)
    assert source.count() == 2


def test_a_missing_file_is_a_record_that_raises(tmp_path):
    write(tmp_path / "b.png", png(BLUE))
    assert colours(FileList(("gone.png", "b.png"), tmp_path)) == ["FileNotFoundError", BLUE]


def test_an_empty_list_and_a_path_given_twice_are_errors():
    with pytest.raises(ValueError, match="at least one image file"):
        FileList(())
    with pytest.raises(ValueError, match=r"'b\.png' is twice"):
        FileList(("a.png", "b.png", "b.png"))


def test_a_text_file_skips_blanks_and_comments_and_is_relative_to_itself(tmp_path):
    write(tmp_path / "lists" / "sub" / "é.png", png(RED))
    absolute = write(tmp_path / "b.png", png(BLUE))
    text = f"\ufeff# mine\n\nsub/é.png\r\n  {absolute}  \n#x.png\n"
    source = ListFile(write(tmp_path / "lists" / "list.txt", text.encode()))
    assert ids(source) == ["sub/é.png", str(absolute)] == ids(source)
    assert source.count() == 2
    assert colours(source) == [RED, BLUE]
