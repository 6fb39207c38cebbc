"""GPU products by name or PCI id, as far as this room needs them; the table itself is the matrix room's."""

from __future__ import annotations

from provision.model.versions import ComputeCapability

Named = tuple[str, ComputeCapability]
"""A product's full name and its compute capability."""


def capability_of_name(name: str) -> Named | None:
    """Return the product called ``RTX 3090`` or the like, None where no product is called so."""
    from provision.matrix import find_product  # noqa: PLC0415 - the table is only read where a name is to be found

    product = find_product(name)
    return (product.name, product.compute_capability) if product else None


def capability_of_pci(device_id: str) -> Named | None:
    """Return the product of a PCI device id such as ``2204``, None where the table does not have it."""
    from provision.matrix import product_of_pci  # noqa: PLC0415 - the table is only read where a name is to be found

    product = product_of_pci(device_id)
    return (product.name, product.compute_capability) if product else None


def near_names(text: str) -> tuple[str, ...]:
    """Return up to three product names that look like ``text``."""
    from provision.matrix import near_products  # noqa: PLC0415 - the table is only read where a name is to be found

    return near_products(text)[:3]
