"""matrix.yaml as typed rows: reader, canonical writer, JSON Schema; and the table of GPU products."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from provision.matrix.loading import default_path, load

if TYPE_CHECKING:
    from provision.matrix.editors import schema
    from provision.matrix.products import (
        Peaks,
        Product,
        find_product,
        near_products,
        peaks_of,
        product_of_pci,
        products_named,
    )
    from provision.matrix.writer import canonical

__all__ = [
    "Peaks",
    "Product",
    "canonical",
    "default_path",
    "find_product",
    "load",
    "near_products",
    "peaks_of",
    "product_of_pci",
    "products_named",
    "schema",
]

_LATE = {"schema": "editors", "canonical": "writer"}
"""What most runs never need is imported when it is asked for; every name not here comes from ``products``."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_LATE.get(name, 'products')}"), name)
