"""Where images come from: a folder, a list, an archive, a table, a hub dataset or arrays.

`open_source` picks the source from what it is given; iterating a source gives `Record`s, whose
`load()` reads and decodes one image to 8-bit RGB.
"""

from jepa_jax.data.decoding import MAX_PIXELS, decode
from jepa_jax.data.kinds import image_extensions
from jepa_jax.data.opening import open_source
from jepa_jax.data.pixels import image_from_array
from jepa_jax.data.record import Record, UnreadableImage
from jepa_jax.data.sources.clips import Clips
from jepa_jax.data.sources.filelist import FileList, ListFile
from jepa_jax.data.sources.hub import DatasetFolder, DatasetRows, HubDataset
from jepa_jax.data.sources.image_folder import Folder
from jepa_jax.data.sources.npz import Npz
from jepa_jax.data.sources.parquet import Parquet
from jepa_jax.data.sources.shuffled import Shuffled
from jepa_jax.data.sources.source import Chain, Source
from jepa_jax.data.sources.tar import Tar

__all__ = [
    "MAX_PIXELS",
    "Chain",
    "Clips",
    "DatasetFolder",
    "DatasetRows",
    "FileList",
    "Folder",
    "HubDataset",
    "ListFile",
    "Npz",
    "Parquet",
    "Record",
    "Shuffled",
    "Source",
    "Tar",
    "UnreadableImage",
    "decode",
    "image_extensions",
    "image_from_array",
    "open_source",
]
