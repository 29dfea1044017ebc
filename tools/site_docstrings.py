"""An extension of Griffe: examples in docstrings become code blocks of the site.

Our docstrings are Markdown but for their examples, which begin with `>>>` without a fence: in
Markdown that is a quotation.
"""

import re

import griffe

# A prompt, and what follows it down to the next empty line.
_EXAMPLE = re.compile(r"^>>> .*\n(?:.+\n?)*", re.MULTILINE)


class FencedExamples(griffe.Extension):
    """Puts every example in a fenced block."""

    def on_object(self, *, obj: griffe.Object, **kwargs) -> None:
        """Changes the object's docstring."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(docstring: str) -> str:
    """The docstring with its examples in fences."""
    return _EXAMPLE.sub(lambda m: f"```pycon\n{m[0].rstrip()}\n```\n", docstring + "\n").rstrip()
