"""The image processor of a checkpoint: its settings, checked, and what computes as they say.

Only classes named here are made, all of which resize, crop, rescale and normalise in the one usual
way. A checkpoint's own code is never run, and no question is ever asked.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from jepa_jax.checked_json import Fields, checked, of_file, read_json, refuse_code
from jepa_jax.encoders.hub_config import MAX_SIDE
from jepa_jax.encoders.pillow_processor import CLASSES, PillowProcessor
from jepa_jax.encoders.torchvision_processor import TorchvisionProcessor

# Of `transformers`. DINOv3's needs torchvision there.
_DINOV3 = "DINOv3ViTImageProcessor"
PROCESSORS = (*CLASSES, _DINOV3)
NAMES = ("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json")
_BOTH, _SINGLE, _VIDEO = NAMES


def _lengths(*forms: set[str]) -> BeforeValidator:
    """One number or a pair, or a dictionary with these names, of lengths in pixels."""

    def check(value: Any) -> Any:
        if isinstance(value, list) and len(value) == 2:
            value = {"height": value[0], "width": value[1]}
        if isinstance(value, dict):
            value = {name: length for name, length in value.items() if length is not None}
        named = value if isinstance(value, dict) else {"height": value, "width": value}
        if value is not None and (
            named.keys() not in forms
            or any(type(n) is not int or not 1 <= n <= MAX_SIDE for n in named.values())
        ):
            raise ValueError
        return value

    return BeforeValidator(check)


def _present_name(value: Any) -> Any:
    """A class by its present name: earlier ones ended in FeatureExtractor, or in Fast."""
    if value is None:
        return None
    name = value.replace("FeatureExtractor", "ImageProcessor") if isinstance(value, str) else ""
    name = name.removesuffix("Fast").removesuffix("Pil")
    if name not in PROCESSORS:
        raise ValueError
    return name


_PIXELS = f"lengths from 1 to {MAX_SIDE} pixels"
_SQUARE = {"height", "width"}
_Level = Annotated[float, Field(ge=-1e4, le=1e4)]
_Scale = Annotated[float, Field(ge=1e-4, le=1e4)]
_Three = Field(min_length=3, max_length=3)

Class = Annotated[
    Any, BeforeValidator(_present_name), Field(description=f"one of {', '.join(PROCESSORS)}")
]
Flag = Annotated[bool | None, Field(description="true or false")]
No = Annotated[Literal[False] | None, Field(description="false: inputs are not padded")]
Size = Annotated[
    Any,
    _lengths(_SQUARE, {"shortest_edge"}, {"shortest_edge", "longest_edge"}),
    Field(description=f"{_PIXELS}: one, or height and width, or shortest_edge (and longest_edge)"),
]
CropSize = Annotated[
    Any, _lengths(_SQUARE), Field(description=f"{_PIXELS}: one, or height and width")
]
Filter = Annotated[int | None, Field(ge=0, le=5, description="a filter of Pillow, 0 to 5")]
Factor = Annotated[float | None, Field(ge=1e-6, le=1e3, description="from 1e-6 to 1000")]
Mean = Annotated[
    _Level | Annotated[list[_Level], _Three] | None,
    Field(description="a number from -10000 to 10000, or three"),
]
Deviation = Annotated[
    _Scale | Annotated[list[_Scale], _Three] | None,
    Field(description="a number from 1e-4 to 10000, or three"),
]

Processor = PillowProcessor | TorchvisionProcessor


class Settings(Fields):
    """What preprocessor_config.json says; null where the processor's class has its own default."""

    image_processor_type: Class = None
    feature_extractor_type: Class = None
    do_convert_rgb: Flag = None
    do_resize: Flag = None
    size: Size = None
    default_to_square: Flag = None
    resample: Filter = None
    do_center_crop: Flag = None
    crop_size: CropSize = None
    do_rescale: Flag = None
    rescale_factor: Factor = None
    do_normalize: Flag = None
    image_mean: Mean = None
    image_std: Deviation = None
    do_pad: No = None


class _VideoSettings(Settings):
    video_processor_type: Annotated[
        Literal["VJEPA2VideoProcessor"] | None, Field(description="VJEPA2VideoProcessor")
    ] = None


class _Both(Fields):
    image_processor: Settings


class _BothVideo(Fields):
    video_processor: _VideoSettings


# What is said about the class, not to it.
_CLASS = {"image_processor_type", "feature_extractor_type", "video_processor_type"}


def processor_file(folder: Path, video: bool = False) -> Path | None:
    """The file that says how images are preprocessed, or None.

    As `transformers` takes them: processor_config.json where it has an image processor, else
    preprocessor_config.json. Of a `video` encoder, before these: processor_config.json where it has
    a video processor, and video_preprocessor_config.json.
    """
    has = lambda part: (folder / _BOTH).is_file() and part in read_json(folder / _BOTH)
    there = {
        _BOTH: has("image_processor") or (video and has("video_processor")),
        _SINGLE: (folder / _SINGLE).is_file(),
        _VIDEO: video and (folder / _VIDEO).is_file(),
    }
    order = NAMES
    if there[_VIDEO] and not has("video_processor"):
        order = (_VIDEO,)
    return next((folder / name for name in order if there[name]), None)


def load_processor(folder: Path, usual: str = "", video: bool = False) -> Processor:
    """The image processor of a checkpoint folder, as `transformers`' PIL classes compute.

    `usual`: the class where the file names none. `video`: whether it is of an encoder of videos,
    whose frames V-JEPA 2's video processor prepares (`TorchvisionProcessor.of_video`).

    Raises `FileNotFoundError` where no file has its settings; `ValueError`, naming file and
    setting, on one that it cannot have, on a class that is not in `PROCESSORS`, and where the
    checkpoint asks for code of its own (`auto_map`).
    """
    file = processor_file(folder, video)
    if file is None:
        raise FileNotFoundError(
            f"no preprocessor_config.json, nor an image processor in a processor_config.json, in "
            f"{folder}: without it the encoder's input is not defined (resize, crop, mean and "
            "standard deviation)"
        )
    content = read_json(file)
    with of_file(file):
        of_video = file.name == _VIDEO or (video and "video_processor" in content)
        part = "video_processor" if of_video else "image_processor"
        own = content.get(part) if file.name == _BOTH else content
        if isinstance(own, dict):
            refuse_code(own)
        if of_video:
            both = file.name == _BOTH
            stated = (
                checked(_BothVideo, content).video_processor
                if both
                else checked(_VideoSettings, content)
            )
            return TorchvisionProcessor.of_video(
                stated.model_dump(exclude=_CLASS, exclude_none=True)
            )
        settings = (
            checked(_Both, content).image_processor
            if file.name == _BOTH
            else checked(Settings, content)
        )
        name = settings.image_processor_type or settings.feature_extractor_type or usual
        if not name:
            raise ValueError(f"`image_processor_type` must be one of {', '.join(PROCESSORS)}")
        processor = _made(name, settings.model_dump(exclude=_CLASS, exclude_none=True))
        crop = processor.crop_size
        if processor.do_center_crop and not crop:
            raise ValueError("`crop_size` must be given where `do_center_crop` is true, got null")
    return processor


def _made(name: str, settings: dict[str, Any]) -> Processor:
    if name == _DINOV3:
        return TorchvisionProcessor.of(settings)
    return PillowProcessor.of(name, settings)
