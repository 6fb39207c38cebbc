"""``nvidia-smi -q -x`` of every DTD version, cut documents, and hostile ones."""

from __future__ import annotations

import time

import pytest

from provision.host.parsers import SmiState, parse_smi_xml


def document(*, dtd: str = "nvsmi_device_v12.dtd", head: str = "", gpus: str = "") -> str:
    return f'<?xml version="1.0" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM "{dtd}">\n<nvidia_smi_log>\n\t<timestamp>Mon Jan  1 00:00:00 2024</timestamp>\n{head}\n{gpus}\n</nvidia_smi_log>\n'


def versions(driver: str, cuda: str, attached: int = 1) -> str:
    return f"<driver_version>{driver}</driver_version><cuda_version>{cuda}</cuda_version><attached_gpus>{attached}</attached_gpus>"


OLD_GPU = """
<gpu id="0000:01:00.0">
  <product_name>GeForce GTX 970</product_name>
  <uuid>GPU-11111111-2222-3333-4444-555555555555</uuid>
  <fb_memory_usage><total>4036 MiB</total><used>1 MiB</used><free>4035 MiB</free></fb_memory_usage>
  <processes>N/A</processes>
</gpu>"""
MIG_GPU = """
<gpu id="00000000:07:00.0">
  <product_name>NVIDIA A100-SXM4-80GB</product_name>
  <uuid>GPU-aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee</uuid>
  <mig_mode><current_mig>Enabled</current_mig><pending_mig>Enabled</pending_mig></mig_mode>
  <mig_devices>
    <mig_device><index>0</index><gpu_instance_id>3</gpu_instance_id><compute_instance_id>0</compute_instance_id>
      <fb_memory_usage><total>19968 MiB</total><used>12 MiB</used></fb_memory_usage></mig_device>
    <mig_device><index>1</index><gpu_instance_id>9</gpu_instance_id><compute_instance_id>1</compute_instance_id>
      <fb_memory_usage><total>N/A</total></fb_memory_usage></mig_device>
  </mig_devices>
  <pci><pci_bus_id>00000000:07:00.0</pci_bus_id></pci>
  <fb_memory_usage><total>81920 MiB</total><reserved>700 MiB</reserved><used>25 MiB</used></fb_memory_usage>
  <processes>
    <process_info><gpu_instance_id>3</gpu_instance_id><pid>77</pid><type>C</type>
      <process_name>python</process_name><used_memory>500 MiB</used_memory></process_info>
    <process_info><pid>78</pid><type>G</type><process_name>[Not Found]</process_name><used_memory>N/A</used_memory></process_info>
  </processes>
</gpu>"""
PLAIN_GPU = """
<gpu id="00000000:01:00.0">
  <product_name>NVIDIA GeForce RTX 3060</product_name>
  <mig_mode><current_mig>N/A</current_mig></mig_mode>
  <mig_devices>None</mig_devices>
  <uuid>GPU-0f0f0f0f-0000-0000-0000-000000000000</uuid>
  <fb_memory_usage><total>12288 MiB</total><used>1337 MiB</used></fb_memory_usage>
</gpu>"""
OFF_GPU = PLAIN_GPU.replace("<current_mig>N/A</current_mig>", "<current_mig>Disabled</current_mig>")


@pytest.mark.parametrize("dtd", [f"nvsmi_device_v{number}.dtd" for number in range(4, 14)])
def test_every_dtd_version(dtd: str) -> None:
    report = parse_smi_xml(document(dtd=dtd, head=versions("535.86.05", "12.2"), gpus=PLAIN_GPU))
    assert report.state is SmiState.OK
    assert (str(report.driver), str(report.driver_cuda), report.attached) == ("535.86.05", "12.2", 1)
    (gpu,) = report.gpus
    assert (gpu.name, gpu.memory_mib, gpu.memory_used_mib, gpu.mig) == ("NVIDIA GeForce RTX 3060", 12288, 1337, None)
    assert gpu.uuid == "GPU-0f0f0f0f-0000-0000-0000-000000000000"
    assert gpu.pci_bus_id == "00000000:01:00.0"


def test_an_old_document_has_neither_cuda_nor_mig() -> None:
    report = parse_smi_xml(
        document(dtd="nvsmi_device_v6.dtd", head="<driver_version>361.42</driver_version>", gpus=OLD_GPU)
    )
    assert str(report.driver) == "361.42"
    assert report.driver_cuda is None
    assert report.attached is None
    assert [(gpu.name, gpu.memory_mib, gpu.mig, gpu.processes) for gpu in report.gpus] == [
        ("GeForce GTX 970", 4036, None, ())
    ]


def test_mig_devices_and_processes() -> None:
    report = parse_smi_xml(document(head=versions("535.54.03", "12.2", 2), gpus=MIG_GPU + OFF_GPU))
    first, second = report.gpus
    assert (first.mig, second.mig) == (True, False)
    assert first.mig_devices == ("GI 3 CI 0, 19968 MiB", "GI 9 CI 1")
    assert [(item.pid, item.name, item.memory_mib) for item in first.processes] == [(77, "python", 500), (78, "", None)]
    assert second.mig_devices == ()
    assert [gpu.index for gpu in report.gpus] == [0, 1]


def test_the_newest_names_of_driver_and_cuda() -> None:
    head = "<kmd_version>610.43.02</kmd_version><cuda_umd_version>13.3</cuda_umd_version>"
    report = parse_smi_xml(document(dtd="nvsmi_device_v13.dtd", head=head, gpus=PLAIN_GPU))
    assert (str(report.driver), str(report.driver_cuda)) == ("610.43.02", "13.3")


@pytest.mark.parametrize("word", ["N/A", "Not Found", "ERR!", ""])
def test_words_for_nothing_are_no_versions(word: str) -> None:
    report = parse_smi_xml(document(head=versions(word, word), gpus=PLAIN_GPU.replace("12288 MiB", word)))
    assert report.driver is None
    assert report.driver_cuda is None
    assert report.gpus[0].memory_mib is None


def test_a_document_cut_short_gives_what_it_has() -> None:
    whole = document(head=versions("535.54.03", "12.2", 4), gpus=MIG_GPU + PLAIN_GPU)
    for end in range(0, len(whole), 37):
        cut = parse_smi_xml(whole[:end])
        assert len(cut.gpus) <= 2
        for gpu, full in zip(cut.gpus, parse_smi_xml(whole).gpus, strict=False):
            assert gpu.memory_mib in (None, full.memory_mib)
    assert [gpu.name for gpu in parse_smi_xml(whole[: whole.index("</gpu>")]).gpus] == ["NVIDIA A100-SXM4-80GB"]


def test_text_before_and_after_the_document() -> None:
    text = f"$ nvidia-smi -q -x\n{document(head=versions('550.54.14', '12.4'), gpus=PLAIN_GPU)}\n$ echo done\n"
    assert str(parse_smi_xml(text).driver) == "550.54.14"
    assert len(parse_smi_xml(text).gpus) == 1


def test_a_lone_gpu_element() -> None:
    assert [gpu.name for gpu in parse_smi_xml(PLAIN_GPU).gpus] == ["NVIDIA GeForce RTX 3060"]


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("No devices were found", SmiState.NO_DEVICES),
        ("Failed to initialize NVML: Driver/library version mismatch", SmiState.LIBRARY_MISMATCH),
        ("", SmiState.UNREADABLE),
        ("<html><body>Not found</body></html>", SmiState.UNREADABLE),
        ("<?xml", SmiState.UNREADABLE),
    ],
)
def test_no_document(text: str, state: SmiState) -> None:
    assert parse_smi_xml(text).state is state


def test_no_gpu_attached() -> None:
    report = parse_smi_xml(document(head=versions("535.54.03", "12.2", 0)))
    assert (report.state, report.gpus, report.attached) == (SmiState.OK, (), 0)


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE nvidia_smi_log [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefgh", "bcdefghi", strict=True))
    + "]><nvidia_smi_log><gpu><product_name>&i;</product_name></gpu></nvidia_smi_log>"
)
OUTSIDE = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY file SYSTEM "file:///etc/passwd">]><nvidia_smi_log><gpu><product_name>&file;</product_name></gpu></nvidia_smi_log>'
PARAMETER = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY % more SYSTEM "http://localhost/x.dtd"> %more;]><nvidia_smi_log/>'
)
TWICE = '<!DOCTYPE a SYSTEM "x"><!DOCTYPE b [<!ENTITY c "d">]><nvidia_smi_log><gpu><product_name>&c;</product_name></gpu></nvidia_smi_log>'


@pytest.mark.parametrize(
    "text", [LAUGHS, OUTSIDE, PARAMETER, TWICE], ids=["billion-laughs", "file", "parameter", "second-doctype"]
)
def test_entities_are_refused(text: str) -> None:
    start = time.monotonic()
    report = parse_smi_xml(text)
    assert time.monotonic() - start < 10.0
    assert report.state is SmiState.UNREADABLE
    assert report.gpus == ()


def test_deep_nesting_and_an_unknown_entity_do_no_harm() -> None:
    deep = "<nvidia_smi_log>" + "<gpu>" * 20_000
    assert parse_smi_xml(deep).state is SmiState.OK
    unknown = parse_smi_xml("<nvidia_smi_log><gpu><product_name>&nbsp;</product_name></gpu></nvidia_smi_log>")
    assert [gpu.name for gpu in unknown.gpus] == ["&nbsp;"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("train & eval", "train & eval"),
        ("a &amp; b", "a & b"),
        ("&#65;", "A"),
        ("x\x01y", "xy"),
        ("\x1b[1mz\x1b[0m", "z"),
    ],
)
def test_a_process_name_that_was_not_escaped_costs_no_gpu(written: str, read: str) -> None:
    process = f"<processes><process_info><pid>7</pid><process_name>{written}</process_name></process_info></processes>"
    first, second = parse_smi_xml(
        f"<nvidia_smi_log><driver_version>535.104.05</driver_version><gpu><product_name>Tesla T4</product_name>{process}"
        "</gpu><gpu><product_name>NVIDIA L4</product_name></gpu></nvidia_smi_log>"
    ).gpus
    assert [found.name for found in first.processes] == [read]
    assert second.name == "NVIDIA L4"
