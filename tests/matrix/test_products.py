"""GPU products by name and PCI id, and their peak rates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provision import matrix
from provision.matrix import find_product, near_products, peaks_of, product_of_pci, products_named
from provision.model.facts import Certainty
from provision.model.versions import ComputeCapability

TABLE = json.loads(Path(matrix.__file__).with_name("gpus.json").read_text())


@pytest.mark.parametrize(
    ("name", "capability", "full"),
    [
        ("NVIDIA GeForce RTX 3090", "8.6", "NVIDIA GeForce RTX 3090"),
        ("RTX 3090", "8.6", "NVIDIA GeForce RTX 3090"),
        ("rtx3090", "8.6", "NVIDIA GeForce RTX 3090"),
        ("GeForce RTX 3080Ti", "8.6", "NVIDIA GeForce RTX 3080 Ti"),
        ("  nvidia   RTX-4090  ", "8.9", "NVIDIA GeForce RTX 4090"),
        ("RTX 4090 Laptop GPU", "8.9", "NVIDIA GeForce RTX 4090 Laptop GPU"),
        ("RTX 3050 Ti", "8.6", "NVIDIA GeForce RTX 3050 Ti Laptop GPU"),
        ("GT 1030", "6.1", "NVIDIA GeForce GT 1030"),
        ("Quadro T2000", "7.5", "Quadro T2000"),
        ("T4", "7.5", "Tesla T4"),
        ("NVIDIA T4", "7.5", "Tesla T4"),
        ("H100", "9.0", "NVIDIA H100"),
        ("NVIDIA H200", "9.0", "NVIDIA H200"),
        ("A6000", "8.6", "NVIDIA RTX A6000"),
        ("K80", "3.7", "Tesla K80"),
        ("GTX 1080 Ti", "6.1", "NVIDIA GeForce GTX 1080 Ti"),
        ("NVIDIA RTX 6000 Ada Generation", "8.9", "NVIDIA RTX 6000 Ada Generation"),
        ("RTX 5090", "12.0", "NVIDIA GeForce RTX 5090"),
    ],
)
def test_a_name_means_a_product(name: str, capability: str, full: str) -> None:
    product = find_product(name)
    assert product is not None
    assert (product.name, product.compute_capability.text) == (full, capability)


@pytest.mark.parametrize(
    ("name", "capability", "family"),
    [
        ("V100", "7.0", "Tesla V100"),
        ("A100", "8.0", "NVIDIA A100"),
        ("P100", "6.0", "Tesla P100"),
        ("3090", "8.6", "NVIDIA GeForce RTX 3090"),
        ("Orin", "8.7", "Jetson"),
    ],
)
def test_a_name_may_mean_a_family_of_one_capability(name: str, capability: str, family: str) -> None:
    product = find_product(name)
    assert product is not None
    assert (product.name, product.compute_capability.text) == (family, capability)
    assert len(products_named(name)) > 1


@pytest.mark.parametrize(
    ("name", "capability"),
    [
        ("NVIDIA RTX 6000 Ada Gene...", "8.9"),
        ("NVIDIA RTX PRO 6000 Blac...", "12.0"),
        ("NVIDIA H100 80G...", "9.0"),
        ("NVIDIA GeForce RTX 30...", "8.6"),
        ("NVIDIA GeForce RTX 4070 ...", "8.9"),
        ("GeForce GTX 108...", "6.1"),
        ("Tesla V100-SXM2...", "7.0"),
        ("Quadro RTX 8...", "7.5"),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "8.0"),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb+me", "9.0"),
    ],
)
def test_a_name_that_a_table_cut_or_a_mig_device_carries(name: str, capability: str) -> None:
    product = find_product(name)
    assert product is not None
    assert product.compute_capability.text == capability


@pytest.mark.parametrize("name", ["NVIDIA GeForce ...", "NVIDIA ...", "...", "NVIDIA GeForce RTX ...", "Radeon ..."])
def test_a_name_cut_too_early_means_none(name: str) -> None:
    assert find_product(name) is None


@pytest.mark.parametrize("name", ["6000", "RTX", "laptop", "Jetson"])
def test_a_name_that_means_unlike_products_means_none(name: str) -> None:
    assert find_product(name) is None
    found = products_named(name)
    assert len({product.compute_capability for product in found}) > 1
    assert near_products(name) == tuple(product.name for product in found[:3])


@pytest.mark.parametrize("name", ["", "   ", "NVIDIA", "GeForce", "\x00", "Radeon RX 7900", "é", "x" * 10_000])
def test_what_is_no_product_means_none(name: str) -> None:
    assert find_product(name) is None


def test_a_slip_of_the_pen_finds_what_was_meant() -> None:
    assert find_product("RTX 30900") is None
    assert "NVIDIA GeForce RTX 3090" in near_products("RTX 30900")
    assert near_products("qqqqqqqqqqqq") == ()


@pytest.mark.parametrize("text", ["2204", "0x2204", "10de:2204", "10DE:2204", "0x220410DE", " 2204 "])
def test_pci_ids_in_every_form(text: str) -> None:
    product = product_of_pci(text)
    assert product is not None
    assert (product.name, product.compute_capability.text) == ("NVIDIA GeForce RTX 3090", "8.6")


@pytest.mark.parametrize("text", ["", "zzzz", "0000", "220", "22044", "8086:2204", "0x22041002"])
def test_other_ids_mean_nothing(text: str) -> None:
    assert product_of_pci(text) is None


def test_a_pci_id_shared_by_products_of_one_capability_is_that_capability() -> None:
    shared = [row for row in TABLE["products"] if "2342" in row[2]]
    assert len(shared) > 1
    product = product_of_pci("2342")
    assert product is not None
    assert product.compute_capability.text == "9.0"


@pytest.mark.parametrize("row", TABLE["products"], ids=[row[0] for row in TABLE["products"]])
def test_every_product_is_found_by_its_own_name(row: list[object]) -> None:
    product = find_product(str(row[0]))
    assert product is not None
    assert product.compute_capability == ComputeCapability(str(row[1]))
    assert product.source
    assert product.certainty in (Certainty.VENDOR, Certainty.DERIVED, Certainty.REPORTED)


def test_every_pci_id_is_found() -> None:
    for name, capability, ids, _, _ in TABLE["products"]:
        for number in ids:
            product = product_of_pci(number)
            assert product is not None, (name, number)
            assert product.compute_capability.text == capability


@pytest.mark.parametrize(
    ("name", "capability", "rates"),
    [
        ("NVIDIA H200", "9.0", (67, 494.5, 989, 989, 4800)),
        ("NVIDIA A100-SXM4-80GB", "8.0", (19.5, 156, 312, 312, 2039)),
        ("Tesla T4", "7.5", (8.1, None, 65, None, 320)),
        ("NVIDIA GeForce RTX 3090", "8.6", (35.6, 35.6, 71.2, 71.2, 936)),
        ("Tesla V100-SXM2-16GB", None, (15.7, None, 125, None, 900)),
    ],
)
def test_peaks(name: str, capability: str | None, rates: tuple[float | None, ...]) -> None:
    peaks = peaks_of(name, ComputeCapability(capability) if capability else None)
    assert peaks is not None
    assert (peaks.fp32, peaks.tf32, peaks.fp16, peaks.bf16, peaks.bandwidth) == rates
    assert peaks.source


@pytest.mark.parametrize(
    ("name", "capability"),
    [
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "8.9"),
        ("NVIDIA H200 MIG 1g.18gb", "9.0"),
        ("NVIDIA H200", "8.0"),
        ("NVIDIA GeForce RTX", None),
        ("A100", None),
        ("", None),
    ],
)
def test_no_peaks_rather_than_wrong_ones(name: str, capability: str | None) -> None:
    assert peaks_of(name, ComputeCapability(capability) if capability else None) is None


def test_every_peak_belongs_to_a_product_and_is_plausible() -> None:
    for names, fp32, tf32, fp16, bf16, bandwidth, certainty, _, _ in TABLE["peaks"]:
        for name in names:
            product = find_product(name)
            assert product is not None, name
            assert peaks_of(name, product.compute_capability) is not None, name
            if product.compute_capability < ComputeCapability("8.0"):
                assert tf32 is None, "TF32 exists from Ampere on"
                assert bf16 is None
        assert 1 < fp32 < 200
        assert all(rate is None or rate >= fp32 for rate in (tf32, fp16, bf16))
        assert 50 < bandwidth < 10_000
        Certainty(certainty)
