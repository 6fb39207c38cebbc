"""The facts of whole wheels, from a server and from a file."""

from __future__ import annotations

import socket
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from audit.lab import BUILD_INFO, Shop, make_wheel

from provision.audit.contents.extra import with_search
from provision.audit.contents.wheel import wheel_facts
from provision.audit.reading.reader import Reader
from provision.probes import run_probe
from provision.system import System


def test_a_wheel_says_what_it_is(reader: Reader, tensorflow: Path) -> None:
    facts = wheel_facts(reader, reader.locate("tensorflow==2.99.0"))
    assert facts.artifact.filename == tensorflow.name
    assert facts.artifact.size == tensorflow.stat().st_size
    assert (facts.artifact.pythons, facts.artifact.glibc) == (("3.12",), "2.17")
    assert facts.metadata is not None
    assert facts.metadata.tags == ("cp312-cp312-manylinux_2_17_x86_64",)
    assert facts.metadata.requires_dist == ("numpy<2",)
    assert facts.metadata.extras["and-cuda"] == ("nvidia-cuda-runtime-cu12==12.5.82", "nvidia-cudnn-cu12<10.0,>=9.3")
    assert facts.metadata.cuda_build is True
    assert facts.metadata.build_info is not None
    assert facts.metadata.build_info["cuda_compute_capabilities"] == "sm_80 compute_90"
    assert facts.names is not None
    assert facts.names.libraries == {"libtensorflow_framework.so.2": "tensorflow/libtensorflow_framework.so.2"}


def test_the_gate_is_read_by_calling_it(reader: Reader, tensorflow: Path) -> None:
    framework = wheel_facts(reader, reader.locate("tensorflow==2.99.0")).framework
    assert framework is not None
    assert framework.gate == ("libcudart.so.12", "libcudnn.so.9")
    assert framework.optional == {"cupti": ("libcupti.so.12",)}
    assert framework.dynamic.kind == "RUNPATH"
    assert framework.dynamic.soname == "libtensorflow_framework.so.2"
    assert framework.dynamic.glibc
    assert {"memory", "time"} <= set(framework.confined)


def test_what_the_search_path_leaves_unfound(reader: Reader, tensorflow: Path) -> None:
    facts = with_search(reader, wheel_facts(reader, reader.locate("tensorflow==2.99.0")))
    assert facts.search is not None
    # Of two versions that an open requirement admits, an installer takes the newer one.
    assert facts.search.wheels == ("nvidia-cuda-runtime-cu12==12.5.82", "nvidia-cudnn-cu12==9.5.1.17")
    assert facts.search.found == {"libcudart.so.12": "nvidia/cuda_runtime/lib/libcudart.so.12"}
    assert facts.search.unfound == {"libcudnn.so.9": "nvidia/cudnn/lib/libcudnn.so.9"}


def test_the_second_time_nothing_is_asked(reader: Reader, shop: Shop, tensorflow: Path) -> None:
    located = reader.locate("tensorflow==2.99.0")
    first = wheel_facts(reader, located)
    asked = len(shop.asked)
    second = wheel_facts(reader, located)
    assert len(shop.asked) == asked
    assert (second.names, second.metadata, second.framework) == (first.names, first.metadata, first.framework)
    assert second.artifact.size == first.artifact.size
    assert second.cost.cached
    assert not first.cost.cached


def test_another_time_not_even_the_index_is_asked(reader: Reader, shop: Shop, tensorflow: Path) -> None:
    first = with_search(reader, wheel_facts(reader, reader.locate("tensorflow==2.99.0")))
    asked, pages = len(shop.asked), len(shop.pages)
    with Reader(reader.system, reader.net, reader.cache) as again:
        located = again.locate("tensorflow==2.99.0")
        second = with_search(again, wheel_facts(again, located))
        assert (second.search, second.framework) == (first.search, first.framework)
        assert (len(shop.asked), len(shop.pages)) == (asked, pages)
        # What is then read after all is asked for where the index says that it is now.
        assert again.archive(located).read("tensorflow/__init__.py") == first_line(tensorflow)
        assert shop.pages[pages:] == ["tensorflow"]


def test_a_release_of_the_last_hour_is_found(reader: Reader, shop: Shop, tensorflow: Path) -> None:
    reader.locate("tensorflow==2.99.0")
    make_wheel(shop.folder, "tensorflow", "2.100.0", {})
    with Reader(reader.system, reader.net, reader.cache) as again:
        assert again.locate("tensorflow==2.100.0").artifact.version == "2.100.0"


def first_line(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read("tensorflow/__init__.py")


def test_a_damaged_cache_is_read_anew(reader: Reader, tensorflow: Path) -> None:
    located = reader.locate("tensorflow==2.99.0")
    first = wheel_facts(reader, located)
    for file in reader.kept(located).folder.glob("*.json"):  # type: ignore[union-attr]
        file.write_text('{"schema": 1, "facts": {"files": "many"}}' if "names" in file.name else "{")
    assert wheel_facts(reader, located).names == first.names


def test_a_file_is_read_without_a_network(reader: Reader, shop: Shop, tensorflow: Path) -> None:
    facts = wheel_facts(reader, reader.locate(str(tensorflow)))
    assert facts.framework is not None
    assert facts.framework.gate == ("libcudart.so.12", "libcudnn.so.9")
    assert not shop.asked


def test_a_folder_is_an_index_too(reader: Reader, shop: Shop, tmp_path: Path) -> None:
    page = tmp_path / "simple/nvidia-cublas/index.html"
    page.parent.mkdir(parents=True)
    file = make_wheel(
        page.parent, "nvidia-cublas", "13.1.0", {"nvidia/cu13/lib/libcublas.so.13": b"x"}, tag="py3-none-any"
    )
    page.write_text(f'<html><body><a href="{file.name}">{file.name}</a></body></html>')
    system = System({**reader.system.environ, "UV_INDEX": page.parents[1].as_uri()})
    with Reader(system, reader.net, reader.cache) as both:
        facts = wheel_facts(both, both.find("nvidia-cublas", "13.1.0").places[file.name])
    assert facts.names is not None
    assert facts.names.libraries == {"libcublas.so.13": "nvidia/cu13/lib/libcublas.so.13"}
    assert shop.pages == ["nvidia-cublas"], "the first index was asked first"


def test_a_hash_that_was_typed_keeps_no_facts(reader: Reader, shop: Shop, tensorflow: Path) -> None:
    true = reader.locate("tensorflow==2.99.0").artifact.sha256
    located = reader.locate(f"{shop.url(tensorflow)}#sha256={true}")
    wheel_facts(reader, located, ("names",))
    assert reader.cache.of(true).facts("names") is None


def test_a_build_without_cuda_is_not_asked(reader: Reader, shop: Shop, framework: Callable[..., bytes]) -> None:
    members = {
        "tensorflow/python/platform/build_info.py": BUILD_INFO.replace("True", "False").encode(),
        "tensorflow/libtensorflow_framework.so.2": framework("libcudart.so.12"),
    }
    make_wheel(shop.folder, "tensorflow", "2.98.0", members)
    facts = wheel_facts(reader, reader.locate("tensorflow==2.98.0"))
    assert facts.framework is not None
    assert facts.framework.gate is None
    assert [item.why for item in facts.unread] == ["it was built without CUDA"]


HARM = """
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
/* Whenever its gate opens a library, it says what else it could reach. */
void *dlopen(const char *name, int mode) {
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int line = socket(AF_INET, SOCK_STREAM, 0);
    (void)name, (void)mode;
    inet_pton(AF_INET, "127.0.0.1", &place.sin_addr);
    if (connect(line, (struct sockaddr *)&place, sizeof place) == 0)
        fprintf(stderr, "Could not load dynamic library 'libnetwork.so'; dlerror: x\\n");
    if (fopen(SECRET, "r")) fprintf(stderr, "Could not load dynamic library 'libsecret.so'; dlerror: x\\n");
    if (fopen(WRITTEN, "w")) fprintf(stderr, "Could not load dynamic library 'libwritten.so'; dlerror: x\\n");
    return 0;
}
"""


def test_a_hostile_library_reaches_nothing(
    reader: Reader, shop: Shop, framework: Callable[..., bytes], tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("key")
    (tmp_path / "harm.c").write_text(HARM)
    with socket.create_server(("127.0.0.1", 0)) as door:
        values = (f"-DPORT={door.getsockname()[1]}", f'-DSECRET="{tmp_path}/secret"', f'-DWRITTEN="{tmp_path}/w"')
        library = framework("libcudart.so.12", options=(str(tmp_path / "harm.c"), *values, "-Wl,-Bsymbolic"))
        (tmp_path / "free.so").write_bytes(library)
        free = run_probe(System(), sys.executable, "gate", {"framework": str(tmp_path / "free.so")}, timeout=60)
        (tmp_path / "w").unlink()
        members = {
            "tensorflow/python/platform/build_info.py": BUILD_INFO.encode(),
            "tensorflow/libtensorflow_framework.so.2": library,
        }
        make_wheel(shop.folder, "tensorflow", "2.97.0", members)
        found = wheel_facts(reader, reader.locate("tensorflow==2.97.0")).framework
    assert free.data is not None
    said = {item["soname"] for item in free.data["gate"]["libraries"]}
    assert said == {"libnetwork.so", "libsecret.so", "libwritten.so", "libcudart.so.12"}, "it does no harm when free"
    assert found is not None
    if not {"network", "files"} <= set(found.confined):
        pytest.skip(f"this kernel confines only {found.confined}")
    assert found.gate == ("libcudart.so.12",)
    assert not (tmp_path / "w").exists()


def test_a_library_that_hangs_is_a_gate_that_was_not_read(
    reader: Reader, shop: Shop, framework: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provision.audit.contents.framework._SECONDS", 1.0)
    members = {
        "tensorflow/python/platform/build_info.py": BUILD_INFO.encode(),
        "tensorflow/libtensorflow_framework.so.2": framework("libcudart.so.12", options=("-DHANG",)),
    }
    make_wheel(shop.folder, "tensorflow", "2.96.0", members)
    located = reader.locate("tensorflow==2.96.0")
    facts = wheel_facts(reader, located)
    assert facts.framework is not None
    assert facts.framework.gate is None
    assert facts.unread[0].what == "gate"
    assert reader.kept(located).facts("framework") is None, "what was not read may be read another time"
