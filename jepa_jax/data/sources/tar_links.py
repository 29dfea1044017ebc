"""Links within a tar archive: the bytes of the member that one leads to."""

from __future__ import annotations

import contextlib
import posixpath
import threading
from typing import NamedTuple

from jepa_jax.data.readable import Readable
from jepa_jax.data.record import UnreadableImage
from jepa_jax.data.sources.tar_members import DAMAGE, content, members, open_tar, refuse_large

# A link may lead to a link; so many, and it leads round in circles.
_MOST_LINKS = 40


class _Member(NamedTuple):
    """Where a member lies: its header, its content; `link`: the name that it leads to, or '';
    `symbolic`: whether that begins at the link's own folder, not at the top of the archive;
    `sparse`: whether its content has holes that the archive does not hold."""

    at: int
    offset: int
    size: int
    link: str
    symbolic: bool
    sparse: bool


class Links:
    """The members of an archive by name, listed once, when the first link is read.

    Cost: all headers; of a gzipped archive, unpacking all of it once, and for each link unpacking
    it up to the member. Memory: about 300 bytes a member, where there are links.
    """

    def __init__(self, path: Readable) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._members: dict[str, list[_Member]] | None = None

    def read(self, name: str, before: int | None) -> bytes:
        """The content of the member of this name, or that it leads to.

        The last one of the name; the last before the byte `before`, where that is given. Folders of
        the path may be links, too. Raises `UnreadableImage` where there is none in the archive.
        """
        with self._lock:
            if self._members is None:
                self._members = self._listed()
        wanted, member = self._followed(name, before)
        raw, file, _ = open_tar(self._path)
        with raw:
            if member.sparse:
                return next(content(t, m) for t, m in members(file) if m.offset == member.at)
            refuse_large(wanted, member.size)
            file.seek(member.offset)
            data = file.read(member.size)
        if len(data) < member.size:
            raise UnreadableImage(f"truncated archive {self._path}: {wanted} is cut off")
        return data

    def _followed(self, name: str, before: int | None) -> tuple[str, _Member]:
        """The member that a path leads to, and its own name: one part after the other, as a file
        system does it."""
        missing = UnreadableImage(
            f"a link to {posixpath.normpath(name)!r}, which is not in the archive"
        )
        done: list[str] = []
        todo = name.split("/")[::-1]
        member, links = None, 0
        if name.startswith("/"):
            raise missing
        while todo:
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                if not done:
                    raise missing
                done.pop()
                continue
            done.append(part)
            member = self._member("/".join(done), before)
            if member is None or not member.link:
                continue
            links += 1
            if links > _MOST_LINKS:
                raise UnreadableImage(f"a link that leads to itself, by {'/'.join(done)!r}")
            if member.link.startswith("/"):
                raise missing
            done = done[:-1] if member.symbolic else []
            todo += member.link.split("/")[::-1]
        member = self._member("/".join(done), before)
        if member is None:
            raise missing
        return "/".join(done), member

    def _member(self, name: str, before: int | None) -> _Member | None:
        found = (self._members or {}).get(name, [])
        return next((m for m in reversed(found) if before is None or m.at < before), None)

    def _listed(self) -> dict[str, list[_Member]]:
        listed: dict[str, list[_Member]] = {}
        # Of a damaged archive, the members up to the damage: the archive's own row says the rest.
        raw, file, _ = open_tar(self._path)
        with raw, contextlib.suppress(*DAMAGE):
            for _, member in members(file):
                link = member.linkname if member.issym() or member.islnk() else ""
                if link or member.isreg():
                    name = posixpath.normpath(member.name)
                    found = _Member(
                        *(member.offset, member.offset_data, member.size),
                        *(link, member.issym(), member.issparse()),
                    )
                    listed.setdefault(name, []).append(found)
        return listed
