"""A wrong matrix is refused with all of its errors, each with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.errors import ExitCode, InvalidFileError
from provision.matrix import load

MINIMAL = (Path(__file__).parent / "minimal.yaml").read_text()


def line_with(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


def errors_of(tmp_path: Path, text: str | bytes) -> tuple[str, ...]:
    path = tmp_path / "matrix.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(InvalidFileError) as caught:
        load(path)
    assert caught.value.code == "invalid-matrix"
    assert caught.value.exit_code is ExitCode.USAGE
    assert caught.value.hint
    return caught.value.why


def test_the_minimal_matrix_is_right(tmp_path: Path) -> None:
    (tmp_path / "matrix.yaml").write_text(MINIMAL)
    assert [row.release.text for row in load(tmp_path / "matrix.yaml").rows] == ["2.9.3", "2.10.0"]


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        (
            "    kind: vendor\n",
            "    kind: hearsay\n",
            "hearsay",
            "evidence.page.kind: not a kind of evidence: 'hearsay'",
        ),
        ("date: 2026-01-03", "date: 3 January", "3 January", "evidence.thought.date: not an ISO date: '3 January'"),
        ("date: 2026-01-03", "date: 2026-13-03", "2026-13", "evidence.thought.date: not an ISO date: '2026-13-03'"),
        ("linux: 450.80.02", "linux: newest", "newest", "cuda_families.11.linux: not a driver version: 'newest'"),
        ("windows: 451-452", "windows: 45", "windows: 45,", "not a range of Windows driver branches: '45'"),
        ("    11.8: 7.8\n", "    11.8: 7.x\n", "7.x", "ptx_isa.cuda.11.8: not a PTX ISA version: '7.x'"),
        ("  8.0: {arch", "  80: {arch", "  80: {arch", "gpus: not a compute capability: '80'"),
        ("first_branch: 450", "first_branch: old", "old,", "gpus.8.0.first_branch: not a whole number: 'old'"),
        ("folder: nvidia/blue/lib", "folder: ../../etc", "../../etc", "not a path below site-packages: '../../etc'"),
        ("folder: nvidia/blue/lib", "folder: /etc", "/etc", "not a path below site-packages: '/etc'"),
        (
            "    libraries: libblue.so.11\n    evidence: wheel",
            "    libraries: libblue.dll\n    evidence: wheel",
            "dll",
            "libraries: not a SONAME: 'libblue.dll'",
        ),
        ("gpus: 3.5 9.0", "gpus: 9.0 3.5", "9.0 3.5", "sets.cu118.gpus: 3.5 is older than 9.0"),
        ("gpus: 3.5 9.0", "gpus: 3.5 8.0 9.0", "3.5 8.0 9.0", "sets.cu118.gpus: needs one to 2 values"),
        ("sass: 3.5 8.0\n    ptx: 8.0\n    pins", "sass: 3.5 3.5\n    ptx: 8.0\n    pins", "3.5 3.5", "stands twice"),
        ("blue-cu11: 11.8.1", "blue-cu11: '>=11'", ">=11", "sets.cu118.pins.nvidia-blue-cu11: not an exact version"),
        (
            "      nvidia-red-cu11: 8.6.0.1",
            "      nvidia-red-cu11: 9.0.0",
            "9.0.0",
            "wheels has no entry for nvidia-red-cu11 (or nvidia-red-cu11 9)",
        ),
        (
            "channel: some-channel",
            "channel: https://example.org/x",
            "channel: https",
            "not the name of a conda channel",
        ),
        ("    channel: some-channel\n", "", "    cuda: 11.8", "sets.conda-cu118: channel is missing"),
        ("red: 8.9.1", "red: file:///tmp/red", "file:", "conda.red: not a version or a prefix of one"),
        ("red: 8.9.1", "red: 8.9.1[md5=0]", "md5", "conda.red: not a version or a prefix of one"),
        ("red: 8.9.1", "Red: 8.9.1", "Red:", "sets.conda-cu118.conda: not the name of a conda package: 'Red'"),
        ("red: 8.9.1", "https://example.org/red: 8.9.1", "org/red", "not the name of a conda package"),
        ("red: 8.9.1", "-red: 8.9.1", "-red:", "not the name of a conda package"),
        ("red: 8.9.1", "green: 8.9.1", "green:", "conda_packages has no entry for green 8.9.1"),
        ("11.8.* cuda*", "11.8.* cuda*|cpu", "cpu", "conda.blue: not a version or a prefix of one"),
        ('blue: "11.8.* cuda*"', "pink: 1.0", "pink: 1.0", "conda_packages has no entry for pink 1.0"),
        (
            "conda: conda-cu118",
            "conda: cu118",
            "conda: cu118",
            "releases.tensorflow==2.9.3.conda: set cu118 is one of wheels",
        ),
        (
            "glibc: 2.17\n    conda:",
            "glibc: new\n    conda:",
            "glibc: new",
            "sets.conda-cu118.glibc: not a glibc version",
        ),
        ("  10.1: {linux: 418.39", "  10.1: {linux: x", "linux: x", "cuda_toolkits.10.1.linux: not a driver version"),
        ("ptxas: nvidia/blue", "ptxas: nvidia/../../blue", "ptxas: nv", "ptxas: not a path below site-packages"),
        ("target: 9.0a", "target: 9.0x", "9.0x", "code.two.modules[2].target: not a PTX target: '9.0x'"),
        ("kind: RUNPATH", "kind: PATH", "kind: PATH", "search_paths.runpath.kind: not a kind of search path: 'PATH'"),
        ("origin: yes", "origin: perhaps", "perhaps", "search_paths.runpath.origin: not yes or no: 'perhaps'"),
        (
            "requirement: numpy<1.24",
            "requirement: numpy @ https://example.org/x.whl",
            "example.org/x.whl",
            "constraints.numpy-1.requirement: not a requirement (name and versions)",
        ),
        ("requirement: numpy<1.24", "requirement: --index-url=x", "--index", "not a requirement (name and versions)"),
        ("sha256: 0000", "sha256: zero", "zero", "source_only.old-1.0.sha256: not a sha256"),
        ("  tensorflow==2.9.3:", "  tensorflow 2.9.3:", "w 2.9.3:", "releases: not a release: 'tensorflow 2.9.3'"),
        ("  tensorflow==2.9.3:", "  tensorflow==2.9.x.y:", "2.9.x.y:", "releases.tensorflow==2.9.x.y: not a version"),
        ("pythons: 3.9 3.10", "pythons: 3.10 3.9", "3.10 3.9", "releases.tensorflow==2.9.3.pythons: oldest first"),
        ("pythons: 3.9 3.10", "pythons: 2.7 3.9", "2.7", "pythons: not a Python series: '2.7'"),
        (
            "wheel: tensorflow-2.9.3-",
            "wheel: tensorflow-2.9.2-",
            "ow-2.9.2-",
            "not a wheel of this release and platform",
        ),
        ("    gate: eleven\n    opt", "    gate: twelve\n    opt", "twelve", "gates has no entry 'twelve'"),
        (
            "    code: two\n    search: runpath\n    aliases: blue\n    xla_finds_wheels: no\n    faults",
            "    code: one\n    search: runpath\n    aliases: blue\n    xla_finds_wheels: no\n    faults",
            "code: one",
            "code has no entry 'one'",
        ),
        ("    faults: lost", "    faults: lost found", "lost found", "faults has no entry 'found'"),
        ("    faults: lost", "    faults: lost lost", "lost lost", "tensorflow==2.10.0.faults: a name stands twice"),
        ("    faults: lost", "    faults: []", "faults: []", "tensorflow==2.10.0.faults: must be text, not a list"),
        ("    cpu: page\n", "", "claims: read", "tensorflow==2.9.3: no evidence for its claim cpu"),
        ("    aliases: thought\n", "    aliases: nobody\n", "nobody", "evidence has no entry 'nobody'"),
        ('releases: ">=1.15,<2.9"', "releases: old ones", "old ones", "unserved.before.releases: not a version spec"),
        ("    system: macos\n", "    system: amiga\n", "amiga", "unserved.elsewhere.system: not an operating system"),
        ("    instead: Linux\n", "    instaed: Linux\n", "instaed", "unserved.elsewhere: unknown key 'instaed'"),
        ("    instead: Linux\n", "", "title: macOS", "unserved.elsewhere: instead is missing"),
        ("schema: 1", "schema: 2", "schema: 2", "schema: not a format version: '2'"),
        ("schema: 1\n", "schema: 1\nextra: {}\n", "extra", "the file: unknown key 'extra'"),
        (
            "    cudnn: 8.6\n    gpus: 3.5",
            "    cudnn: 8.0\n    gpus: 3.5",
            "sets: cu118",
            "cuDNN 8.0 of set cu118 cannot serve a build with cuDNN 8.1",
        ),
        (
            "  cu118:\n    cuda: 11.8",
            "  cu118:\n    cuda: 12.2",
            "sets: cu118",
            "CUDA 12.2 of set cu118 cannot serve a",
        ),
        (
            "blue: {libblue.so.10: libblue.so.11}",
            "blue: {libblue.so.9: libblue.so.11}",
            "sets: cu118",
            "set cu118 has no wheel with libblue.so.10, nor with an alias of it",
        ),
        (
            "gates:\n  eleven: libblue",
            "gates:\n  eleven: {a: libblue}\n  other: libblue",
            "a: libblue",
            "gates.eleven: must be text, not a mapping",
        ),
    ],
)
def test_each_error_has_its_line(tmp_path: Path, old: str, new: str, line: str, message: str) -> None:
    assert MINIMAL.count(old) == 1, "the case must say exactly what it changes"
    text = MINIMAL.replace(old, new)
    found = errors_of(tmp_path, text)
    place = f"{tmp_path / 'matrix.yaml'}:{line_with(text, line)}: "
    assert any(error.startswith(place) and message in error for error in found), found


def test_an_error_in_a_row_is_not_repeated_for_what_depends_on_it(tmp_path: Path) -> None:
    found = errors_of(tmp_path, MINIMAL.replace("    cudnn: 8.6\n    gpus: 3.5", "    cudnn: many\n    gpus: 3.5"))
    assert len(found) == 1, "rows that use the broken set are not judged by it"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  520:", "  450:", "driver_branches: 450 stands twice"),
        ("    11.8: 7.8", "    11.0: 7.8", "ptx_isa.cuda: 11.0 stands twice"),
        ("    11.8: 7.8", "    11.0.0: 7.8", "ptx_isa.cuda: 11.0.0 stands twice (as 11.0)"),
        ("  tensorflow==2.10.0:", "  tensorflow==2.9.3:", "releases: tensorflow==2.9.3 stands twice"),
        ("    title: macOS\n", "    title: macOS\n    title: again\n", "unserved.elsewhere: title stands twice"),
    ],
)
def test_a_key_may_stand_once(tmp_path: Path, old: str, new: str, message: str) -> None:
    found = errors_of(tmp_path, MINIMAL.replace(old, new))
    assert any(message in error for error in found), found


def test_one_release_under_two_spellings_is_a_duplicate(tmp_path: Path) -> None:
    text = MINIMAL.replace("tensorflow==2.10.0:", "tensorflow==2.9.3.0:").replace("w-2.10.0-cp", "w-2.9.3.0-cp")
    found = errors_of(tmp_path, text)
    again = line_with(text, "tensorflow==2.9.3.0:")
    assert any(f":{again}: " in error and "is the release of line" in error for error in found), found


def test_all_errors_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = (
        MINIMAL.replace("kind: vendor", "kind: hearsay")
        .replace("pythons: 3.9 3.10", "pythons: 3.10 3.9")
        .replace("    instead: Linux\n", "    instaed: Linux\n")
        .replace("blue: {libblue.so.10: libblue.so.11}", "blue: {libblue.so.9: libblue.so.11}")
    )
    # Everything cites the evidence that is broken here, so the deeper checks need a second copy that is sound.
    text = text.replace(
        "  page:\n    kind: hearsay",
        "  unused:\n    kind: hearsay\n    source: x\n    date: 2026-01-01\n  page:\n    kind: vendor",
    )
    found = errors_of(tmp_path, text)
    for part in ("not a kind of evidence", "oldest first", "has no wheel with libblue.so.10", "unknown key 'instaed'"):
        assert any(part in error for error in found), (part, found)
    lines = [int(error.split(":")[1]) for error in found]
    assert lines == sorted(lines)


@pytest.mark.parametrize("name", ["evidence", "sets", "releases", "ptx_isa", "unserved", "gates", "wheels"])
def test_a_missing_table_is_named(tmp_path: Path, name: str) -> None:
    lines = MINIMAL.splitlines(keepends=True)
    start = lines.index(f"{name}:\n")
    end = next((number for number in range(start + 1, len(lines)) if lines[number].strip() == ""), len(lines))
    found = errors_of(tmp_path, "".join(lines[:start] + lines[end:]))
    assert any(f"{name} is missing" in error for error in found), found


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidFileError) as caught:
        load(tmp_path / "none.yaml")
    assert caught.value.code == "invalid-matrix"
    assert "No such file" in caught.value.why[0]


def test_a_folder_is_no_matrix(tmp_path: Path) -> None:
    with pytest.raises(InvalidFileError) as caught:
        load(tmp_path)
    assert "directory" in caught.value.why[0].lower()


def test_very_many_errors_are_cut_and_counted(tmp_path: Path) -> None:
    extra = "".join(f"  {number}: {{cuda: x, evidence: page}}\n" for number in range(1000, 1500))
    found = errors_of(tmp_path, MINIMAL.replace("driver_branches:\n", f"driver_branches:\n{extra}"))
    assert len(found) == 201
    assert found[-1] == "and 300 more"
