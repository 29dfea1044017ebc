"""What to know of a checkpoint before its scores are believed: `jepa-jax check`."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from jepa_jax.checking.findings import Finding as Finding
    from jepa_jax.checking.findings import check as check

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"findings": ["Finding", "check"]}
)
