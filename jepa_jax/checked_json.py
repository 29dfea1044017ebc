"""JSON files: read, and checked against a stated form before anything is made of them.

A file's form is a class of `Fields`; a value that does not fit is a `ValueError` that names the
field, what was expected and what arrived.
"""

import contextlib
import json
import reprlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jepa_jax.object_stores import Place

_LARGEST_FILE = 16 << 20
# More levels than any of these files has; what walks through values may go down one by one.
_MOST_LEVELS = 100
_TOO_DEEP = "is not read: its values are nested too deeply"
_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxstring = 2, 60


class Fields(BaseModel):
    """The fields of a file that are read; others are passed over. No value is converted."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", allow_inf_nan=False)


Read = TypeVar("Read", bound=Fields)


def checked(form: type[Read], content: Mapping[str, Any]) -> Read:
    """`content` in this form; `ValueError` says of each field in which it is not, how."""
    try:
        return form.model_validate(content)
    except ValidationError as error:
        problems: dict[str, str] = {}
        for found in error.errors(include_url=False, include_context=False):
            name, expected = _described(form, found["loc"])
            if expected is None:
                expected = found["msg"].removeprefix("Value error, ")
                expected = expected.replace("Input should be", "must be")
            arrived = "nothing" if found["type"] == "missing" else shown(found["input"])
            text = f"{expected}, got {arrived}" if name else expected
            problems.setdefault(name, f"`{name}` {text}" if name else text)
    raise ValueError("; ".join(problems.values()))


def _described(form: Any, where: tuple[int | str, ...]) -> tuple[str, str | None]:
    """The name of the field that lies there, and what it must be where its type says so."""
    names, expected = [], None
    for part in where:
        field = form.model_fields.get(part) if isinstance(form, type) else None
        if field is None:  # A place in a list, a key, or one of several types.
            break
        names.append(str(part))
        expected, form = field.description, field.annotation
        form = next((a for a in getattr(form, "__args__", [form]) if _has_fields(a)), None)
    return ".".join(names), f"must be {expected}" if expected else None


def _has_fields(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Fields)


def shown(value: Any) -> str:
    """A value out of a JSON file as an error shows it: short, whatever it is."""
    words = {"None": "null", "True": "true", "False": "false"}
    return words.get(text := _REPR.repr(value), text)


@contextlib.contextmanager
def of_file(path: Place) -> Iterator[None]:
    """A `ValueError` raised within says which file it is about."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def read_json(path: Place) -> dict[str, Any]:
    """A JSON object; `ValueError` names a file that does not hold one."""
    with of_file(path):
        if not path.is_file():  # A named pipe would be waited for.
            raise FileNotFoundError(f"{path} is no file")
        size = path.stat().st_size if isinstance(path, Path) else path.size()
        if size > _LARGEST_FILE:
            raise ValueError(f"has {size} bytes, at most {_LARGEST_FILE} expected")
        try:
            content = json.loads(path.read_text("utf-8"))
        except RecursionError:
            raise ValueError(_TOO_DEEP) from None
        except ValueError as error:  # Also of encodings, and of integers with too many digits.
            raise ValueError(f"is not valid JSON: {error}") from error
        _refuse_deep(content)
        if not isinstance(content, dict):
            raise ValueError(f"must hold a JSON object, got {shown(content)}")
    return content


def _refuse_deep(content: Any) -> None:
    """`ValueError` where values lie in each other deeper than is walked through."""
    level = [content]
    for _ in range(_MOST_LEVELS):
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return
    raise ValueError(_TOO_DEEP)


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def whole(low: int, high: int, more: str = "") -> Any:
    """Limits of a whole number, and the words for them."""
    return Field(ge=low, le=high, description=f"a whole number from {low} to {high}{more}")


def refuse_code(content: Mapping[str, Any], instead: str = "") -> None:
    """`ValueError` where a checkpoint's own code defines it: that is never run, nor guessed.

    `instead`: the way on, where it is not the usual one.
    """
    if content.get("auto_map"):
        usual = "where a class of `transformers` does the same, save the checkpoint with that class"
        raise ValueError(
            "`auto_map` asks for code that comes with the checkpoint, which is never run, got "
            f"{shown(content['auto_map'])}; {instead or usual}"
        )
