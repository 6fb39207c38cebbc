"""The document of ``nvidia-smi -q -x``, every version of its DTD.

The DTD is never fetched nor are entities expanded: a document that declares any is refused. A document that is cut
short gives what it has.
"""

from __future__ import annotations

import contextlib
import re
from xml.etree import ElementTree as ET

from provision.host.parsers import values
from provision.host.parsers.smi import MigDevice, SmiReport, SmiState, without_gpus
from provision.model.host import Gpu, GpuProcess
from provision.model.versions import ComputeCapability, CudaVersion, DriverVersion

_SIZE_LIMIT = 32 << 20
_DOCTYPE = re.compile(r"<!DOCTYPE[^>\[]*>")
_BARE = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d+|#x[0-9A-Fa-f]+);)|[\x00-\x08\x0b\x0c\x0e-\x1f]")
"""What nvidia-smi lets through from the names of processes and XML forbids; it would cost every GPU that follows."""
_START = re.compile(r"<\?xml|<!DOCTYPE|<nvidia_smi_log|<gpu[\s>]")


def parse_smi_xml(text: str) -> SmiReport:
    """Read the document, or the message that stands in its place; never raises.

    Memory is in MiB. ``mig`` is True or False where the GPU has the mode, None where it says ``N/A``.
    """
    text = values.without_colours(text)
    start = _START.search(text)
    if start is None or len(text) > _SIZE_LIMIT:
        return without_gpus(text)
    body = _DOCTYPE.sub("", text[start.start() :], count=1)
    if "<!ENTITY" in body or "<!DOCTYPE" in body:
        return SmiReport(SmiState.UNREADABLE, message="the document declares entities of its own")
    root = _tree(_BARE.sub(lambda found: "&amp;" if found[0] == "&" else "", body))
    if root is None:
        return without_gpus(text)
    cuda_text = _text(root, "cuda_version") or _text(root, "cuda_umd_version")
    elements = [root] if root.tag == "gpu" else root.findall("gpu")
    gpus, devices = [], []
    for place, element in enumerate(elements):
        own = _mig_devices(element, place)
        devices += own
        gpus.append(_gpu(element, place, own))
    return SmiReport(
        state=SmiState.OK if gpus or root.tag == "nvidia_smi_log" else SmiState.UNREADABLE,
        driver=values.version(DriverVersion, _text(root, "driver_version") or _text(root, "kmd_version")),
        driver_cuda=values.version(CudaVersion, cuda_text),
        cuda_text=cuda_text,
        gpus=tuple(gpus),
        mig_devices=tuple(devices),
        attached=values.whole(_text(root, "attached_gpus")),
    )


def _tree(body: str) -> ET.Element | None:
    """Return the root with everything before the first mistake in the document."""
    # No entity can be declared at this point, and the standard library resolves nothing outside the text.
    builder = _Builder()
    parser = ET.XMLParser(target=builder)  # noqa: S314 - see above
    with contextlib.suppress(ET.ParseError, ValueError, AssertionError):
        parser.feed(body)
        parser.close()
    return builder.root


class _Builder(ET.TreeBuilder):
    """A tree builder whose tree can be taken before the document ends."""

    root: ET.Element | None = None

    def start(self, tag: str, attrs: dict[str, str], /) -> ET.Element:
        element = super().start(tag, attrs)
        if self.root is None:
            self.root = element
        return element


def _text(element: ET.Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _gpu(element: ET.Element, place: int, mig_devices: list[MigDevice]) -> Gpu:
    mode = _text(element, "mig_mode/current_mig")
    bus = _text(element, "pci/pci_bus_id") or element.get("id", "")
    return Gpu(
        name=values.name(_text(element, "product_name")) or "unknown",
        compute_capability=values.version(
            ComputeCapability, _text(element, "cuda_compute_capability") or _text(element, "compute_cap")
        ),
        index=place,
        memory_mib=values.mebibytes(_text(element, "fb_memory_usage/total")),
        memory_used_mib=values.mebibytes(_text(element, "fb_memory_usage/used")),
        uuid=values.name(_text(element, "uuid")),
        pci_bus_id=values.name(bus),
        mig={"Enabled": True, "Disabled": False}.get(mode),
        mig_devices=tuple(str(device) for device in mig_devices),
        processes=tuple(_process(found) for found in element.findall("processes/process_info")),
        source="nvidia-smi -q -x",
    )


def _mig_devices(element: ET.Element, place: int) -> list[MigDevice]:
    return [
        MigDevice(
            place,
            values.whole(_text(found, "gpu_instance_id")),
            values.whole(_text(found, "compute_instance_id")),
            values.mebibytes(_text(found, "fb_memory_usage/total")),
        )
        for found in element.findall("mig_devices/mig_device")
    ]


def _process(element: ET.Element) -> GpuProcess:
    return GpuProcess(
        pid=values.whole(_text(element, "pid")),
        name=values.name(_text(element, "process_name")) or "",
        memory_mib=values.mebibytes(_text(element, "used_memory")),
    )
