"""Where numba keeps what it has compiled: with the user's own checkout, also for DVC's temporary copies of it.

Numba's own choice, beside the source, is deleted with such a copy, and each queued experiment would compile its kernels
again. A file of the cache counts only for a source with the same content.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numba.core import config
from numba.core.caching import InTreeCacheLocator

from thumbnet.paths import checkout_root

#: Numba's names of all others, in its order: NUMBA_CACHE_DIR comes first, the user's cache folder where ours is
#: read-only.
_LOCATORS = "UserProvidedCacheLocator, {}, UserWideCacheLocator"

_settings: Any = config  # its names are made as numba is loaded


class CheckoutCacheLocator(InTreeCacheLocator):
    """Beside the same source of the user's checkout; without a checkout, beside the source itself."""

    def __init__(self, py_func: Any, py_file: str) -> None:
        super().__init__(py_func, py_file)  # type: ignore[no-untyped-call]
        source = Path(py_file).resolve()
        root = next((folder for folder in source.parents if (folder / "dvc.yaml").exists()), None)
        if root:  # of the checkout, or of a temporary copy
            original = checkout_root(root) / source.relative_to(root)
            if original.exists():
                self._cache_path = str(original.parent / "__pycache__")


@contextlib.contextmanager
def kept_with_the_checkout() -> Iterator[None]:
    """Functions that are decorated within it have their cache there; others of the process stay with numba's choice."""
    before: str = _settings.CACHE_LOCATOR_CLASSES
    if not before:
        _settings.CACHE_LOCATOR_CLASSES = _LOCATORS.format(f"{__name__}.{CheckoutCacheLocator.__name__}")
    try:
        yield
    finally:
        _settings.CACHE_LOCATOR_CLASSES = before
