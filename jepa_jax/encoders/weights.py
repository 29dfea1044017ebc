"""The weights of a checkpoint: checked by the files' headers, then read."""

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import ml_dtypes
import numpy as np
from safetensors import SafetensorError, deserialize, safe_open

from jepa_jax.encoders.stored_tensors import Stored

# Names that wrappers of PyTorch put before a module's own: `torch.compile`, data parallelism,
# sharding, recomputation.
_WRAPPERS = {"_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
# The types of numbers that stand for themselves. Those of 8 bits are not read by safetensors'
# NumPy; quantised checkpoints have them too, with scales beside.
_SHORT = {"F8_E4M3": ml_dtypes.float8_e4m3fn, "F8_E5M2": ml_dtypes.float8_e5m2}
_FLOATS = {"F64", "F32", "F16", "BF16", *_SHORT}
_QUANTISED = re.compile(r".*(scales?|scale_inv|zeros?|zero_point|qweight|absmax|quant_map|SCB)")
_OF_VJEPA_2_1 = re.compile(
    r"(^|\.)(patch_embed(dings)?_img|img_mod_embed|norms_block|distillation_norms)\b"
)
_LISTED = 20


class _Tensor(NamedTuple):
    """A stored tensor by its header: where it is, under what name, and its shape and type."""

    handle: Any
    file: Path
    stored: str
    shape: tuple[int, ...]
    dtype: str


def read_parameters(
    files: Iterable[Path],
    wanted: dict[str, Stored],
    ignored: Iterable[str],
    prefixes: Iterable[str] = ("",),
    dtype: Any = np.float32,
) -> dict[str, np.ndarray]:
    """Our parameters by name, as `dtype`, from safetensors `files`.

    `wanted` maps our names to stored tensors. `ignored` are regular expressions of stored names
    that are not part of the encoder. `prefixes` are what stored names may begin with, tried in
    order (a checkpoint of a larger model holds the encoder under a prefix). What wrappers of
    PyTorch put into names ('_orig_mod.', 'module.') is passed over. Numbers of 8 bits are taken as
    they stand.

    Raises `ValueError`, from the headers alone, that lists the tensors missing, left over, of
    another shape, or of a type that holds no plain numbers (a quantised checkpoint), and where
    the memory does not hold the parameters; and on a tensor with a NaN or an infinity.
    """
    there = _headers(files)
    shapes = {name: shape for stored in wanted.values() for name, shape in stored.shapes.items()}
    prefix = max(prefixes, key=lambda p: sum(p + name in there for name in shapes))
    _check_fit(there, {prefix + name: shape for name, shape in shapes.items()}, prefix, ignored)
    _check_memory(shapes.values(), dtype)
    eight_bits: dict[Path, dict[str, np.ndarray]] = {}
    return {
        ours: stored.assemble(
            *(
                _read(there[prefix + name], np.float64 if stored.wide else dtype, eight_bits)
                for name in stored.shapes
            )
        )
        for ours, stored in wanted.items()
    }


def stored_shapes(files: Iterable[Path]) -> dict[str, tuple[int, ...]]:
    """The shapes of all tensors in safetensors `files` by their names, from the headers alone.

    Raises `ValueError` as `read_parameters` on a file that is none.
    """
    return {name: tensor.shape for name, tensor in _headers(files).items()}


def _headers(files: Iterable[Path]) -> dict[str, _Tensor]:
    """All stored tensors, by the names that the module itself gave them."""
    there: dict[str, _Tensor] = {}
    for file in files:
        try:
            handle = safe_open(file, framework="numpy")
        except SafetensorError as error:  # Half downloaded, say.
            raise ValueError(f"{file} is not a complete safetensors file: {error}") from error
        for stored in handle.keys():
            name = ".".join(part for part in stored.split(".") if part not in _WRAPPERS)
            if name in there:
                raise ValueError(f"{file}: the weights have {name} twice, once as {stored}")
            header = handle.get_slice(stored)
            there[name] = _Tensor(
                handle, file, stored, tuple(header.get_shape()), header.get_dtype()
            )
    return there


def _check_fit(
    there: dict[str, _Tensor],
    expected: dict[str, tuple[int, ...]],
    prefix: str,
    ignored: Iterable[str],
) -> None:
    passed_over = [re.compile(pattern) for pattern in ignored]
    extra = [
        name
        for name in there
        if name not in expected
        and not any(pattern.fullmatch(name.removeprefix(prefix)) for pattern in passed_over)
    ]
    found = {name: there[name] for name in expected if name in there}
    problems = {
        "missing": [name for name in expected if name not in there],
        "left over": extra,
        "of another shape": [
            f"{name} {tensor.shape}, expected {expected[name]}"
            for name, tensor in found.items()
            if tensor.shape != expected[name]
        ],
        "no plain floating-point numbers": [
            f"{name} {tensor.dtype}"
            for name, tensor in found.items()
            if tensor.dtype not in _FLOATS
        ],
    }
    lines = [f"{len(names)} {what}: {_listed(names)}" for what, names in problems.items() if names]
    if not lines:
        return
    if problems["no plain floating-point numbers"] or any(map(_QUANTISED.fullmatch, extra)):
        lines.append("a quantised checkpoint: take the one in floating-point numbers")
    elif any(_OF_VJEPA_2_1.search(name) for name in extra):
        lines.append(
            "the tensors of V-JEPA 2.1: `model_type` must be vjepa2_1 where they are named as in "
            "Meta's files (blocks.0.attn.qkv), vjepa21 where as by `transformers` "
            "(encoder.layer.0.attention.query)"
        )
    elif elsewhere := _elsewhere(there, [name.removeprefix(prefix) for name in expected]):
        lines.append(
            f"all of them are there under {elsewhere!r}: save the encoder without what is around it"
        )
    elif extra and len(extra) == len(problems["missing"]):
        lines.append(
            "as many are left over as are missing: names in `state_dict()` need not be those that "
            "`save_pretrained` writes"
        )
    folder = next(iter(there.values())).file.parent if there else ""
    raise ValueError(f"the weights in {folder} do not fit its config.json\n  " + "\n  ".join(lines))


def _listed(names: list[str]) -> str:
    more = f", and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(sorted(names)[:_LISTED]) + more


def _elsewhere(there: dict[str, _Tensor], names: list[str]) -> str | None:
    """A prefix under which all `names` lie."""
    for name in there:
        if name.endswith("." + names[0]):
            prefix = name.removesuffix(names[0])
            if all(prefix + other in there for other in names):
                return prefix
    return None


def _check_memory(shapes: Iterable[tuple[int, ...]], dtype: Any) -> None:
    # Imported here: of no use to who imports the module for its names.
    import psutil

    needed = sum(map(math.prod, shapes)) * jnp.dtype(dtype).itemsize
    available = psutil.virtual_memory().available
    if needed > available:
        raise ValueError(
            f"the parameters take {needed / 1e9:.3g} GB as {jnp.dtype(dtype).name}, "
            f"{available / 1e9:.3g} GB of memory are available"
        )


def _read(tensor: _Tensor, dtype: Any, eight_bits: dict[Path, dict[str, np.ndarray]]) -> np.ndarray:
    """One tensor as `dtype`; `ValueError` where it holds what no weight is."""
    if tensor.dtype in _SHORT:
        if tensor.file not in eight_bits:
            eight_bits[tensor.file] = _read_eight_bits(tensor.file)
        stored = eight_bits[tensor.file][tensor.stored]
        _check_scaled(tensor, stored)
    else:
        stored = tensor.handle.get_tensor(tensor.stored)
    with np.errstate(over="ignore", invalid="ignore"):
        array = stored.astype(dtype, copy=False)
    if not _finite(array):
        kept = _finite(stored)
        what = f"values that {jnp.dtype(dtype).name} does not hold" if kept else "NaN or infinity"
        raise ValueError(f"{tensor.file}: {tensor.stored} has {what}")
    return array


def _finite(array: np.ndarray) -> bool:
    # The types of `ml_dtypes` have no fast minimum.
    if not array.size or not issubclass(array.dtype.type, np.floating):
        return bool(np.isfinite(array).all())
    # A NaN makes both of them NaN. No array of truth values is made.
    return bool(np.isfinite(array.min()) and np.isfinite(array.max()))


def _read_eight_bits(file: Path) -> dict[str, np.ndarray]:
    return {
        name: np.frombuffer(tensor["data"], _SHORT[tensor["dtype"]]).reshape(tensor["shape"])
        for name, tensor in deserialize(file.read_bytes())
        if tensor["dtype"] in _SHORT
    }


def _check_scaled(tensor: _Tensor, stored: np.ndarray) -> None:
    """Weights scaled to fill the range of their type reach its end; plain ones never do."""
    end = float(ml_dtypes.finfo(stored.dtype).max)
    if stored.size and np.abs(stored.astype(np.float32)).max() == end:
        raise ValueError(
            f"{tensor.file}: {tensor.stored} reaches {end:.0f}, the end of {tensor.dtype}: a "
            "quantised checkpoint whose scales are not there; take the one in float32 or bfloat16"
        )
