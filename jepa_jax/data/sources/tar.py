"""A tar archive, WebDataset shards included."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tarfile import (
    EOFHeaderError,  # pyright: ignore[reportAttributeAccessIssue]
    HeaderError,
    ReadError,
    TarError,
    TarFile,
    TarInfo,
)

from PIL import Image

from jepa_jax.data.decoding import MAX_PIXELS, decode
from jepa_jax.data.kinds import has_image_extension
from jepa_jax.data.record import Record, UnreadableImage, broken, writable_id

TAR_EXTENSIONS = (".tar", ".tar.gz", ".tgz")

_DAMAGE = (TarError, OSError, EOFError, zlib.error)


@dataclass(frozen=True)
class Tar:
    """The members of a tar archive with an image's extension, in the archive's order.

    The id is '<archive name>/<member name>'; `label` replaces the archive's name. Hidden members
    (macOS leaves '._photo.jpg' beside 'photo.jpg') and others are left out. Of a plain tar, a
    record holds where its bytes lie and reads them in `load()`; of a gzipped one, which cannot be
    entered in the middle, it holds the bytes. Where the archive is truncated or corrupt, a last
    record, '<archive name>/(rest of the archive)', raises `UnreadableImage`. A member stored
    twice gives the same id twice.

    >>> import tarfile, tempfile
    >>> from importlib.resources import files
    >>> from jepa_jax.data import Tar
    >>> path = Path(tempfile.mkdtemp()) / "shard-0.tar"
    >>> with tarfile.open(path, "w") as tar:
    ...     tar.add(files("jepa_jax") / "assets" / "samples" / "digit-3-a.png", "000.png")
    >>> [(record.id, record.load().size) for record in Tar(path)]
    [('shard-0.tar/000.png', (28, 28))]
    """

    path: Path
    label: str = ""
    max_pixels: int | None = MAX_PIXELS

    @property
    def name(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return f"archive {self.path}"

    def __iter__(self) -> Iterator[Record]:
        label = writable_id(self.label or self.path.name)
        try:
            with self.path.open("rb") as file:
                zipped = file.read(2) == b"\x1f\x8b"
            mode = "r:gz" if zipped else "r:"
            with TarFile.open(self.path, mode, tarinfo=_StrictHeader) as tar:
                while (member := tar.next()) is not None:
                    tar.members.clear()  # pyright: ignore  (it would keep every header read)
                    if _is_image(member):
                        yield self._record(tar, member, label, zipped)
        except _DAMAGE as error:
            message = f"{self.path}: {str(error) or type(error).__name__}; what follows is lost"
            yield broken(f"{label}/(rest of the archive)", self.name, message)

    def count(self) -> None:
        """Not known without reading the archive."""
        return None

    def _record(self, tar: TarFile, member: TarInfo, label: str, zipped: bool) -> Record:
        # './a.png', as `tar cf x.tar -C folder .` writes it, is 'a.png'.
        id = f"{label}/{writable_id(member.name.removeprefix('./'))}"
        if not member.isreg():
            # Following it means a look at another place of the archive, perhaps already past.
            return broken(id, self.name, f"a link to {member.linkname!r} within the archive")
        if zipped or member.issparse():
            file = tar.extractfile(member)
            data = file.read() if file else b""
            return Record(id, self.name, partial(decode, data, max_pixels=self.max_pixels))
        load = partial(_load, self.path, member.offset_data, member.size, self.max_pixels)
        return Record(id, self.name, load)


class _StrictHeader(TarInfo):
    # tarfile takes a damaged or missing header in mid-archive for the end: images would be lost
    # without a word.
    @classmethod
    def fromtarfile(cls, tarfile: TarFile) -> TarInfo:
        try:
            return super().fromtarfile(tarfile)
        except EOFHeaderError:
            raise  # the two zero blocks at the proper end
        except HeaderError as error:
            at = tarfile.offset
            raise ReadError(f"truncated or corrupt tar archive ({error} at byte {at})") from error


def _is_image(member: TarInfo) -> bool:
    hidden = any(part[0] == "." for part in member.name.split("/") if part not in ("", ".", ".."))
    is_file = member.isreg() or member.issym() or member.islnk()
    return is_file and not hidden and has_image_extension(member.name)


def _load(path: Path, offset: int, size: int, max_pixels: int | None) -> Image.Image:
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(size)
    if len(data) < size:
        raise UnreadableImage(
            f"truncated archive {path}: the member has {size} bytes, {len(data)} are there"
        )
    return decode(data, max_pixels=max_pixels)
