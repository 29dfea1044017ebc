"""PyTorch is not found in processes that tests start: `transformers` takes 5 CPU-s to import it."""

import sys
from importlib.machinery import PathFinder


class WithoutPyTorch(PathFinder):
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        return None if fullname == "torch" else super().find_spec(fullname, path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutPyTorch
