"""Small random models of timm, written as timm writes them for the hub.

timm imports torchvision, of which its transformers use nothing, and whose wheels load only beside
the PyTorch build that they were made for: where it does not, empty classes stand in for it, while
timm is imported.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from pathlib import Path

import pytest
import torch

if importlib.util.find_spec("timm") is None:
    pytest.skip("timm is not installed: `make test` does", allow_module_level=True)


class _StandIn(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, fullname, path=None, target=None):
        if fullname.split(".")[0] != "torchvision":
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec):
        module = types.ModuleType(spec.name)
        vars(module)["__getattr__"] = _empty_class
        return module

    def exec_module(self, module):
        pass


class _Empty(type):
    """Classes whose attributes are such classes."""

    def __getattr__(cls, name):
        return _empty_class(name)


def _empty_class(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return _Empty(name, (), {})


def import_timm():
    """timm, and no trace of what stood in for torchvision."""
    if "timm" not in sys.modules and importlib.util.find_spec("torchvision") is None:
        finder = _StandIn()
        sys.meta_path.insert(0, finder)
        try:
            import timm
        finally:
            sys.meta_path.remove(finder)
            for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
                del sys.modules[name]
    import timm

    return timm


def timm_model(architecture: str, **settings) -> torch.nn.Module:
    """A small random model: 2 blocks, width 48, every parameter moved."""
    sizes = {"embed_dim": 48, "depth": 2, "num_heads": 4, "img_size": 56, "num_classes": 0}
    torch.manual_seed(0)
    model = import_timm().create_model(architecture, **(sizes | settings)).eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model


def write_timm(model: torch.nn.Module, folder: Path) -> Path:
    """config.json and model.safetensors, by timm."""
    images = {"input_size": (3, *model.patch_embed.img_size)}
    save = import_timm().models._hub.save_for_hf
    save(model, folder, safe_serialization=True, data_config=images)
    return folder
