"""What a manifest must be to be read: the types of the fields that this package uses."""

from typing import Annotated, Any

from pydantic import Field

from jepa_jax.checked_json import Fields, checked, of_file, read_json, whole
from jepa_jax.object_stores import Place

_MOST = 2**62
_Count = Annotated[int, whole(1, _MOST)]
_Text = Annotated[str, Field(description="text")]
_Texts = Annotated[list[str], Field(default_factory=list, description="a list of texts")]
_Values = Annotated[dict[str, Any], Field(default_factory=dict, description="an object")]


class _Encoder(Fields):
    fingerprint: _Text = ""
    embedding: _Text = ""
    image_size: _Count | None = None
    inner: Annotated[list[str] | None, Field(description="a list of texts")] = None


class _Estimator(Fields):
    method: _Text = ""


class _Part(Fields):
    index: _Count = 1
    of: _Count = 1


class _Settings(Fields):
    source: _Text = ""
    numerics: _Count = 1
    encoder: Annotated[_Encoder, Field(description="an object")] = _Encoder()
    estimator: Annotated[_Estimator, Field(description="an object")] = _Estimator()
    precision: _Text = ""
    views: _Count = 1
    seed: Annotated[int, whole(-_MOST, _MOST)] = 0
    store: _Texts
    shard_size: _Count = 1
    refine: _Values
    source_options: _Values
    part: Annotated[_Part | None, Field(description="an object")] = None


class _Facts(Fields):
    encoder: _Text = ""
    version: _Text = ""
    started: _Text = ""
    device: _Text = ""
    continued: Annotated[
        list[dict[str, Any]], Field(default_factory=list, description="a list of objects")
    ]


class _Manifest(Fields):
    settings: Annotated[_Settings, Field(description="an object")]
    facts: Annotated[_Facts, Field(description="an object")]


def read(path: Place) -> dict[str, Any]:
    """The content of a manifest; `ValueError` names the file, each field that does not fit, what
    was expected and what arrived."""
    content = read_json(path)
    with of_file(path):
        checked(_Manifest, content)
    return content
