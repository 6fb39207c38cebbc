"""With which variables a probe runs."""

from __future__ import annotations

import pytest

from provision.probes.hygiene import DROPPED, bare_environ, bends_the_loader, guest_environ


@pytest.mark.parametrize("name", sorted(DROPPED))
def test_what_bends_the_answer_is_left_out_and_recorded(name: str) -> None:
    made = guest_environ({name: "user's own", "PATH": "/bin"})
    assert made.values.get(name) != "user's own"
    assert made.dropped == {name: "user's own"}


@pytest.mark.parametrize("name", ["CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "CUDA_CACHE_PATH"])
@pytest.mark.parametrize("value", ["", "x"])
def test_what_belongs_to_the_question_stays_and_is_recorded(name: str, value: str) -> None:
    made = guest_environ({name: value})
    assert made.values[name] == value
    assert made.kept == {name: value}


def test_what_every_probe_gets() -> None:
    for values in (guest_environ({"TF_CPP_MIN_LOG_LEVEL": "3"}).values, bare_environ()):
        assert values["TF_CPP_MIN_LOG_LEVEL"] == "0"
        assert values["TF_CPP_VMODULE"] == "dso_loader=1"
        assert values["PYTHONNOUSERSITE"] == "1"
        assert values["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"


def test_extra_values_win() -> None:
    made = guest_environ({"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "-1"})
    assert made.values["CUDA_VISIBLE_DEVICES"] == "-1"
    assert made.kept == {"CUDA_VISIBLE_DEVICES": "0"}


def test_the_bare_environment_is_bare() -> None:
    assert "LD_LIBRARY_PATH" not in bare_environ()
    assert "HOME" not in bare_environ()


def test_what_the_loader_or_the_hook_listens_to_bends_its_answer() -> None:
    for name in ("LD_LIBRARY_PATH", "LD_BIND_NOW", "GLIBC_TUNABLES", "TFGPU_NO_PRELOAD"):
        assert bends_the_loader({"HOME": "/home/anna", name: "1"})
        assert not bends_the_loader({name: ""}), "empty is as good as unset"
    assert not bends_the_loader({"HOME": "/home/anna", "CUDA_VISIBLE_DEVICES": "0", "TF_CLI_CONFIG_FILE": "/x"})
