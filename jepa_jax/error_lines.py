"""What an error of another library says, in one line of ours."""


def first_line(error: BaseException) -> str:
    """The first line of what an error says; nothing where it says nothing.

    >>> first_line(ValueError("\\nno such file\\n  at line 3")), first_line(ValueError())
    ('no such file', '')
    """
    return next(iter(str(error).strip().splitlines()), "")
