"""Object stores in memory that fail as real ones do."""

from fsspec.implementations.memory import MemoryFileSystem


class Faulty(MemoryFileSystem):
    """The memory of this process; each of `faults` is raised by one request, in their order."""

    faults: list[Exception]
    requests: list[tuple[str, str]]
    cachable = False

    def __init__(self):
        super().__init__()
        self.faults, self.requests = [], []

    def _request(self, what: str, path: str) -> None:
        self.requests.append((what, path))
        if self.faults:
            raise self.faults.pop(0)

    def cat_file(self, path, start=None, end=None, **kwargs):
        self._request("read", path)
        return super().cat_file(path, start, end, **kwargs)

    def pipe_file(self, path, value, mode="overwrite", **kwargs):
        self._request("write", path)
        return super().pipe_file(path, value, mode, **kwargs)

    def ls(self, path, detail=True, **kwargs):
        self._request("list", path)
        return super().ls(path, detail, **kwargs)
