"""What a file is, by its name and its first bytes: an image that Pillow can decode here, or not."""

from __future__ import annotations

import contextlib
import importlib
import io
import mimetypes
import os
import struct
from collections.abc import Callable
from functools import cache

from PIL import Image

HEAD = 4096
"""So many first bytes of a file tell what it is."""

# EPS starts Ghostscript, an outside program; Pillow recognises the others but has no decoder.
_NOT_DECODED = frozenset({"EPS", "BUFR", "GRIB", "HDF5", "MPEG", "WMF"})
# Saved under a name of its own, opened by another format's plugin.
_OPENED_BY = {"MPO": "JPEG"}
# Decoders that users install beside Pillow, and the function that adds them to it.
_PLUGINS = {"pillow_heif": "register_heif_opener", "pillow_jxl": ""}
# Formats whose files are told by their first bytes alone; others begin as much else does, text say.
_TOLD_BY_BYTES = frozenset(
    {"AVIF", "BLP", "DDS", "FITS", "GIF", "HEIF", "ICNS", "JPEG", "JPEG2000", "JXL", "PNG", "PSD"}
    | {"QOI", "SUN", "TIFF", "WEBP"}
)

# How a Pillow plugin says that a file is not of its format (`Image.open` treats them so too).
NOT_THIS_FORMAT = (SyntaxError, IndexError, TypeError, struct.error)

_HEIF = "Pillow cannot decode it here: `pip install pillow-heif`, or convert it"
_JXL = "Pillow cannot decode it here: `pip install pillow-jxl-plugin`, or convert it"
_NO_DECODER = "Pillow cannot decode it here: convert it"
_RAW = "a camera's raw file: develop it to TIFF or JPEG"
_DRAWING = "a drawing or document: render it to an image"
_FILM = "a film: extract its frames"
_ARCHIVE = "an archive that is not read: unpack it, or make a .tar of it"
_RECORDS = "not read: convert it to tar or Parquet"
_PARTIAL = "an unfinished download, by its name"

_NEEDS = {
    _HEIF: ".heic .heics .heif .heifs .hif",
    _JXL: ".jxl",
    _NO_DECODER: ".avif .avifs .exr .hdr .jxr .wdp .hdp .jls .jng .mng .xcf .kra .dcm .dicom .nii "
    ".nrrd .flif .bpg .pict .pct .xwd .djvu .svs .czi .lif .nd2",
    _RAW: ".3fr .ari .arw .bay .cr2 .cr3 .crw .dcr .dng .erf .fff .iiq .k25 .kdc .mef .mos .mrw "
    ".nef .nrw .orf .pef .raf .raw .rw2 .rwl .sr2 .srf .srw .x3f",
    _DRAWING: ".svg .svgz .eps .ps .pdf .ai .wmf .emf .cdr",
    _FILM: ".mp4 .m4v .mov .avi .mkv .webm .mpg .mpeg .wmv .flv .ogv .3gp .mts .m2ts",
    _ARCHIVE: ".zip .7z .rar .gz .bz2 .xz .zst .lz4 .tbz2 .tbz .txz .tzst .cbz .cbr",
    _RECORDS: ".npy .arrow .feather .tfrecord .tfrecords .lmdb .mdb .rec .beton .mat .h5 .hdf5 "
    ".zarr .msgpack .pkl .pickle .pt .pth .sqlite .db",
    _PARTIAL: ".part .partial .tmp .crdownload .download .incomplete .aria2",
}
_NEED_OF = {extension: need for need, names in _NEEDS.items() for extension in names.split()}
# By how they begin, in lower case, for messages.
_BEGINNINGS = (
    (b"version https://git-lfs", "a Git LFS pointer in the image's place: run `git lfs pull`"),
    (b"\xff\x0a", f"JPEG XL: {_JXL}"),
    (b"\0\0\0\x0cjxl ", f"JPEG XL: {_JXL}"),
    (b"<svg", f"SVG: {_DRAWING}"),
    (b"%pdf", f"PDF: {_DRAWING}"),
    (b"<!doctype html", "a web page in the image's place"),
    (b"<html", "a web page in the image's place"),
    (b"pk\x03\x04", f"zip: {_ARCHIVE}"),
    (b"BZh", f"bzip2: {_ARCHIVE}"),
    (b"\xfd7zXZ", f"xz: {_ARCHIVE}"),
    (b"\x28\xb5\x2f\xfd", f"Zstandard: {_ARCHIVE}"),
)
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1")


SHARDS = {
    "tar": (".tar", ".tar.gz", ".tgz"),
    "table": (".parquet",),
    "arrays": (".npz",),
}
"""Files that hold many images, by kind: how their names end."""

SHARD_NAMES = {
    "tar": "tar files",
    "table": "Parquet files",
    "arrays": ".npz files",
    "dataset": "saved data sets",
}
"""The kinds of shards, and a folder saved by `datasets`, in words."""


def counted(count: int, kind: str) -> str:
    """So many images or shards, in words.

    >>> counted(1, "image"), counted(2, "tar")
    ('1 image', '2 tar files')
    """
    word = SHARD_NAMES.get(kind, f"{kind}s")
    return f"{count} {word.removesuffix('s') if count == 1 else word}"


@cache
def formats() -> tuple[str, ...]:
    """The formats that are decoded, in the order in which they are tried.

    Those that are told by their first bytes go before those whose first bytes another's may be.
    Those of `pillow_heif` and `pillow_jxl` are among them where these are installed.
    """
    Image.preinit()  # the common formats first, as `Image.open` does
    Image.init()
    for module, register in _PLUGINS.items():
        with contextlib.suppress(ImportError):
            plugin = importlib.import_module(module)
            if register:
                getattr(plugin, register)()
    decoded = (name for name in Image.ID if name not in _NOT_DECODED)
    return tuple(sorted(decoded, key=lambda name: name not in _TOLD_BY_BYTES))


@cache
def image_extensions() -> frozenset[str]:
    """The file name extensions of the formats `decode` reads, lower case, with the dot.

    >>> {".jpg", ".webp", ".mpo"} <= image_extensions(), ".txt" in image_extensions()
    (True, False)
    """
    readable = set(formats())
    return frozenset(
        extension
        for extension, name in Image.registered_extensions().items()
        if _OPENED_BY.get(name, name) in readable
    )


def has_image_extension(name: str) -> bool:
    """Whether a file name ends like an image's, in either case."""
    return extension(name) in image_extensions()


def extension(name: str) -> str:
    """The extension of a file name, lower case; '' without one.

    >>> extension("a/b.tar/IMG_1.JPG"), extension("a.b/README")
    ('.jpg', '')
    """
    return os.path.splitext(name)[1].lower()


def shard_kind(name: str) -> str:
    """The kind of shard that a file is by its name, '' for none.

    >>> shard_kind("0001.TAR"), shard_kind("x.tar.gz"), shard_kind("x.gz")
    ('tar', 'tar', '')
    """
    lower = name.lower()
    return next((kind for kind, endings in SHARDS.items() if lower.endswith(endings)), "")


def is_image(name: str, head: Callable[[], bytes]) -> bool:
    """Whether a file is an image to decode: by its extension, or by its first bytes.

    `head()` gives these. It is only asked where the name says nothing: without an extension, or
    with one that is not known ('.jpg_large', '.jpeg~', '.img').
    """
    ending = extension(name)
    if ending in image_extensions():
        return True
    return not _is_known(ending) and begins_like_image(head())


def what_is_needed(name: str) -> str:
    """What a file that is no image here would need to be one; '' if nothing is known to help."""
    ending = extension(name)
    return "" if ending in image_extensions() else _NEED_OF.get(ending, "")


def is_lost_image(name: str) -> bool:
    """Whether a file is an image by its name that Pillow cannot decode here (.heic, .jxl, .nef)."""
    return what_is_needed(name) in (_HEIF, _JXL, _NO_DECODER, _RAW)


def is_archive(name: str) -> bool:
    """Whether a file holds other files, by its name; a compressed text ('.json.gz') does not."""
    stem, ending = os.path.splitext(name.lower())
    if ending in (".gz", ".bz2", ".xz", ".zst", ".lz4"):
        return stem.endswith(".tar")
    return ending in (".tar", ".tgz", ".parquet") or _NEED_OF.get(ending) == _ARCHIVE


def begins_like_image(head: bytes) -> bool:
    """Whether a file with these first bytes is of a format that is decoded here.

    Of formats that are not told by a few bytes alone, the whole header must be one.
    """
    for name in formats():
        factory, accept = Image.OPEN[name]
        if accept is None:  # Any file could be one.
            continue
        with contextlib.suppress(Exception):
            if accept(head[:16]) is not True:
                continue
            if name == "AVIF" and head[8:12] in (b"mif1", b"msf1"):  # HEIF begins so too.
                return b"avif" in head[16:64]
            if name in ("ICO", "CUR"):  # They decode an icon to be opened.
                return _has_icon(head)
            if name in _TOLD_BY_BYTES or factory(io.BytesIO(head), ""):
                return True
    return False


def what_begins_so(head: bytes) -> str:
    """In words, what a file with these first bytes is and what would help; '' if not known."""
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return f"HEIF: {_HEIF}"
    lower = head.lstrip().lower()
    return next(
        (t for b, t in _BEGINNINGS if head.startswith(b) or lower.startswith(b.lower())), ""
    )


def _has_icon(head: bytes) -> bool:
    """Whether the first entry of an icon file's directory is one."""
    count = int.from_bytes(head[4:6], "little")
    size, offset = (int.from_bytes(head[at : at + 4], "little") for at in (14, 18))
    return count > 0 and head[9] == 0 and size > 0 and offset >= 6 + 16 * count


@cache
def _is_known(ending: str) -> bool:
    """Whether an extension is known to be of something else than an image."""
    if ending in _NEED_OF or ending in _OTHERS:
        return True
    guess = mimetypes.MimeTypes(filenames=()).types_map[True].get(ending)
    return guess is not None and guess != "application/octet-stream"


# Beside what the `mimetypes` module knows: what lies beside images, often one for each.
_OTHERS = frozenset(
    ".cls .ckpt .csv .jsonl .lst .log .md .npz .parquet .safetensors .tar .tgz .toml .tsv .txt "
    ".xmp .yaml .yml .ini .cfg .lock .idx .index .sh .rst .ipynb".split()
)
