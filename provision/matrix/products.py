"""GPU products: what a card is called, its compute capability, its PCI ids, and its peak rates.

The table is ``gpus.json`` beside this module, with the sources of every entry; it is read when first asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import Any

from provision.model.facts import Certainty
from provision.model.versions import ComputeCapability

_MAKER = frozenset(("nvidia", "geforce", "tesla", "quadro", "generation", "gpu"))
"""Words that people leave out and that tell no two products apart."""
_GLUED = re.compile(r"\b(rtx|gtx|gt)(\d)|(\d)(ti|super)\b")
_MIG = re.compile(r" MIG \d\w*\.\d+gb.*", re.IGNORECASE)
_PCI = re.compile(r"(?:10de:|0x)?([0-9a-f]{4})(?:10de)?")
_NEAR = 3


@dataclass(frozen=True)
class Product:
    """A GPU as it is sold, or a family of them where a name fits several of one compute capability.

    Attributes:
        name: the product's full name; for a family what its members' names begin with.
        pci_ids: PCI device ids, four upper case hexadecimal digits.
        certainty: how its compute capability is known.
        source: where from.
    """

    name: str
    compute_capability: ComputeCapability
    pci_ids: tuple[str, ...]
    certainty: Certainty
    source: str


@dataclass(frozen=True)
class Peaks:
    """The most a card can do: dense rates in TFLOP/s, memory bandwidth in GB/s; None where it has none or nobody said.

    ``fp16`` and ``bf16`` are the tensor core rates with float32 accumulation, which is what TensorFlow uses.
    """

    name: str
    fp32: float
    tf32: float | None
    fp16: float | None
    bf16: float | None
    bandwidth: float
    certainty: Certainty
    source: str
    note: str = ""


def find_product(name: str) -> Product | None:
    """Return the product that ``name`` means, None where none or several unlike ones do.

    Maker and brand may be missing, case and hyphens do not matter: ``RTX 3090``, ``nvidia geforce rtx3090``, ``A100``.
    A name that fits several products of one compute capability (``V100``) means that family. nvidia-smi's table cuts a
    long name (``NVIDIA RTX 6000 Ada Gene...``), and CUDA calls a MIG device by its GPU (``… MIG 1g.5gb``).
    """
    whole = _MIG.sub("", name)
    cut = whole.rstrip().endswith("...")
    found = products_begun(whole) if cut else products_named(whole)
    if not found or len({product.compute_capability for product in found}) > 1:
        return None
    return found[0] if len(found) == 1 else _family(found)


def products_begun(name: str) -> tuple[Product, ...]:
    """Return every product whose name begins as one that ends in ``...`` does; older tables leave out ``NVIDIA``."""
    begin = " ".join(_words(name)).removeprefix("nvidia ")
    if not _bare(begin.split()):
        return ()
    return tuple(
        product for product, (words, _) in _spelled() if " ".join(words).removeprefix("nvidia ").startswith(begin)
    )


def products_named(name: str) -> tuple[Product, ...]:
    """Return every product that ``name`` can mean, by the closest way in which any does.

    In order: the full name; the name without maker and brand; a name that begins so; a name with these words in a row.
    """
    words = _words(name)
    bare = _bare(words)
    if not bare:
        return ()
    ways = (
        lambda product: product[0] == words,
        lambda product: product[1] == bare,
        lambda product: product[1][: len(bare)] == bare,
        lambda product: any(product[1][at : at + len(bare)] == bare for at in range(len(product[1]))),
    )
    for way in ways:
        found = tuple(product for product, spelled in _spelled() if way(spelled))
        if found:
            return found
    return ()


def near_products(name: str) -> tuple[str, ...]:
    """Return up to three product names that look like ``name``: what it may have meant."""
    found = products_named(name)
    if found:
        return tuple(product.name for product in found[:_NEAR])
    import difflib  # noqa: PLC0415 - only a typing error needs it

    known = {" ".join(bare): product.name for product, (_, bare) in _spelled()}
    close = difflib.get_close_matches(" ".join(_bare(_words(name))), known, n=_NEAR)
    return tuple(known[text] for text in close)


def product_of_pci(device_id: str) -> Product | None:
    """Return the product with a PCI device id: ``2204``, ``0x2204``, ``10de:2204`` or NVML's ``0x220410DE``."""
    match = _PCI.fullmatch(device_id.strip().lower())
    if match is None:
        return None
    number = match[1].upper()
    found = tuple(product for product in _products() if number in product.pci_ids)
    if not found or len({product.compute_capability for product in found}) > 1:
        return None
    return found[0] if len(found) == 1 else _family(found)


def peaks_of(name: str, capability: ComputeCapability | None = None) -> Peaks | None:
    """Return the peak rates of the card that the driver calls ``name``.

    Only whole names count, since a laptop part shares the beginning of its name with a card twice as fast; a MIG
    instance is never the whole card. Where ``capability`` is given, it must be that of the product.
    """
    if "mig" in _words(name):
        return None
    bare = _bare(_words(name))
    for names, fp32, tf32, fp16, bf16, bandwidth, certainty, source, note in _table()["peaks"]:
        for known in names:
            if _bare(_words(known)) != bare:
                continue
            product = find_product(known)
            if capability is not None and product is not None and product.compute_capability != capability:
                return None
            where = _table()["sources"].get(source, "not checked against a datasheet")
            return Peaks(known, fp32, tf32, fp16, bf16, bandwidth, Certainty(certainty), where, note)
    return None


def _words(name: str) -> tuple[str, ...]:
    text = _GLUED.sub(lambda match: f"{match[1]} {match[2]}" if match[1] else f"{match[3]} {match[4]}", name.lower())
    return tuple(re.findall(r"[a-z0-9]+", text))


def _bare(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(word for word in words if word not in _MAKER)


def _family(members: Sequence[Product]) -> Product:
    first = members[0]
    agreed = all(member.certainty is first.certainty for member in members)
    words = zip(*(re.split(r"([ -])", member.name) for member in members), strict=False)
    begin = "".join(alike[0] for alike in takewhile(lambda alike: len(set(alike)) == 1, words)).rstrip(" -")
    if len({_words(member.name) for member in members}) == 1:
        begin = first.name  # one name in two spellings
    return Product(
        begin or " / ".join(member.name for member in members),
        first.compute_capability,
        tuple(number for member in members for number in member.pci_ids),
        first.certainty if agreed else Certainty.DERIVED,
        first.source,
    )


@lru_cache(maxsize=1)
def _table() -> Any:
    return json.loads(Path(__file__).with_name("gpus.json").read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def _products() -> tuple[Product, ...]:
    sources = _table()["sources"]
    return tuple(
        Product(name, ComputeCapability(capability), tuple(pci), Certainty(certainty), sources[origin[0]])
        for name, capability, pci, certainty, origin in _table()["products"]
    )


@lru_cache(maxsize=1)
def _spelled() -> tuple[tuple[Product, tuple[tuple[str, ...], tuple[str, ...]]], ...]:
    """Return each product with its words, whole and without maker and brand."""
    return tuple((product, (_words(product.name), _bare(_words(product.name)))) for product in _products())
