"""The laboratory: every fault of the catalogue, put into a copy of a real environment, is named first, with its fix.

The environments are made once for a run; ``TFGPU_LAB=folder`` keeps them for the next.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from doctor.lab import faults_code, faults_libraries, faults_machine, faults_packages
from doctor.lab.bench import Bench, Fault
from doctor.lab.copies import SOUND
from repair.lab.expected import surprise

from provision.repair.planning.plan import plan_repair

pytestmark = [pytest.mark.e2e, pytest.mark.index]

CATALOGUE = (*faults_machine.FAULTS, *faults_libraries.FAULTS, *faults_packages.FAULTS, *faults_code.FAULTS)
BY_NAME = {fault.name: fault for fault in CATALOGUE}
CASES = sorted(
    ((release, fault) for fault in CATALOGUE for release in fault.on), key=lambda case: (case[0], case[1].name)
)

SLOW = ("tfgpu-provision sync", "--reinstall")
"""What takes long: one verifies, the other makes uv download anew, and leaves a second copy in its cache."""
TYPED_ALL_THE_SAME = ("empty-library",)

Place = Callable[[str], Bench]


@pytest.mark.parametrize(("release", "fault"), [pytest.param(*case, id=f"{case[1].name}-{case[0]}") for case in CASES])
def test_a_fault_is_named_first_with_its_fix(
    release: str, fault: Fault, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = place(release)
    fault.inject(bench)
    answer = bench.ask(monkeypatch)
    assert (answer.primary, answer.code) == (fault.code, 1), answer.told()
    assert answer.names(fault.fix.format(env=bench.env.prefix), bench.env.prefix), answer.told()
    primary = answer.document["primary"]
    assert primary["evidence"], answer.told()
    allowed = {fault.code, *fault.beside, *primary["explains"]}
    others = [item["code"] for item in answer.document["findings"] if item["certainty"] != "possible"]
    assert set(others) <= allowed, answer.told()
    if bench.seen is not None and bench.seen.snapshot.environment is not None:
        plan = plan_repair(bench.seen.diagnosis, bench.seen.snapshot)
        assert surprise(fault.name, fault.code, plan) == "", answer.told()
    commands = primary["fixes"][0]["commands"]
    slow = any(words in item for item in commands for words in SLOW)
    if fault.cured and (not slow or fault.name in TYPED_ALL_THE_SAME):
        bench.type_in(commands)
        answer = bench.ask(monkeypatch)
        assert (answer.document["findings"], answer.code) == ([], 0), answer.told()


@pytest.mark.parametrize("release", SOUND)
def test_a_sound_environment_on_a_machine_with_a_gpu_is_passed_over_in_silence(
    release: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = place(release)
    bench.machine.file("/usr/local/cuda-13.0/version.json", '{"cuda": {"name": "CUDA SDK", "version": "13.0.0"}}')
    answer = bench.ask(monkeypatch)
    assert (answer.document["findings"], answer.code) == ([], 0), answer.told()


@pytest.mark.parametrize("release", SOUND)
def test_without_a_gpu_the_machine_is_all_that_is_named(
    release: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = place(release)
    bench.machine.without_gpu()
    answer = bench.ask(monkeypatch)
    assert (answer.codes, answer.code) == (["cpu_only_machine"], 4), answer.told()


PAIRS = (
    ("driver-missing", "visible-minus-one", "plain-2.17.1"),
    ("driver-missing", "older-cudnn", "created-2.21.0"),
    ("two-distributions", "no-cufft", "plain-2.17.1"),
    ("protobuf-4", "links-gone", "created-2.10.1"),
    ("python-gone", "driver-too-old", "plain-2.17.1"),
    ("local-tensorflow.py", "numpy-2", "created-2.10.1"),
    ("driver-too-old", "no-cudnn", "plain-2.17.1"),
    ("driver-mismatch", "bare-wheels", "plain-2.16.1"),
    ("cpu-build", "visible-empty", "plain-2.17.1"),
    ("cut-framework", "growth-misspelt", "plain-2.17.1"),
    ("visible-minus-one", "bare-wheels", "plain-2.21.0"),
    ("links-gone", "code-on-the-cpu", "created-2.21.0"),
)
"""Two faults at once: the first is the root."""


@pytest.mark.parametrize(("root", "other", "release"), PAIRS)
def test_of_two_faults_the_root_is_named_first_and_the_other_beside_it(
    root: str, other: str, release: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = place(release)
    for name in (other, root):
        BY_NAME[name].inject(bench)
    answer = bench.ask(monkeypatch)
    assert (answer.primary, answer.code) == (BY_NAME[root].code, 1), answer.told()
    if root != "python-gone":  # behind a Python that does not run nothing of its packages can be read
        assert BY_NAME[other].code in answer.codes, answer.told()


def test_the_catalogue_is_large_and_its_names_are_unique() -> None:
    assert len(CATALOGUE) >= 40
    assert len(BY_NAME) == len(CATALOGUE)
    assert {release for fault in CATALOGUE for release in fault.on} >= {"wired-2.4.1", "created-2.10.1", "plain-2.16.1"}
