"""What several commands take."""

from enum import StrEnum


class Precision(StrEnum):
    highest = "highest"
    tf32 = "tf32"
    bf16 = "bf16"
