"""An extension of Griffe: examples in docstrings become code blocks of the site.

Our docstrings are Markdown but for their examples, which begin with `>>>` without a fence: in
Markdown that is a quotation. Pages have such examples, too (tools/site.py).
"""

import re

import griffe

# A prompt, and what follows it down to the next empty line.
_EXAMPLE = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)


class FencedExamples(griffe.Extension):
    """Puts every example in a fenced block."""

    def on_object(self, *, obj: griffe.Object, **kwargs) -> None:
        """Changes the object's docstring."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(markdown: str) -> str:
    """A docstring or a part of a page without fences, with its examples in fences."""
    return _EXAMPLE.sub(lambda m: f"```pycon\n{m[0]}\n```", markdown)
