"""Where images come from: a folder, a list, an archive, a table, a hub dataset or arrays.

`open_source` picks the source from what it is given; iterating a source gives `Record`s, whose
`load()` reads and decodes one image to 8-bit RGB.
"""

from jepa_jax.data.decoding import MAX_PIXELS as MAX_PIXELS
from jepa_jax.data.decoding import decode as decode
from jepa_jax.data.decoding import image_extensions as image_extensions
from jepa_jax.data.opening import open_source as open_source
from jepa_jax.data.pixels import image_from_array as image_from_array
from jepa_jax.data.record import Record as Record
from jepa_jax.data.record import UnreadableImage as UnreadableImage
from jepa_jax.data.sources.filelist import FileList as FileList
from jepa_jax.data.sources.filelist import ListFile as ListFile
from jepa_jax.data.sources.folder import Folder as Folder
from jepa_jax.data.sources.hub import DatasetFolder as DatasetFolder
from jepa_jax.data.sources.hub import DatasetRows as DatasetRows
from jepa_jax.data.sources.hub import HubDataset as HubDataset
from jepa_jax.data.sources.npz import Npz as Npz
from jepa_jax.data.sources.parquet import Parquet as Parquet
from jepa_jax.data.sources.source import Chain as Chain
from jepa_jax.data.sources.source import Source as Source
from jepa_jax.data.sources.tar import Tar as Tar
