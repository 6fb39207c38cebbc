"""Packages are resolved and exchanged in a copy: as little as possible, by hash, with all that stays in mind."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from create.small_world import NEW, OLD, make_build_tools, make_source, make_wheel, matrix_text
from create.world import World
from locked.locked_world import closed_port, replace_bytes, site
from repair.stage_world import Staged, of_world, tree
from uv import find_uv_bin

from provision.backends.drift import distributions, file_drifts
from provision.errors import ToolFailedError
from provision.model.created import Denial
from provision.model.progress import Silent
from provision.model.remedy import Install, Uninstall
from provision.model.repair import PackageChange
from provision.repair.packages.install import PackagePlan, install_packages, resolve_packages, row_after
from provision.system import remove_tree


@dataclass
class Bench:
    """A plain environment of the small world that is being repaired."""

    world: World
    staged: Staged | None = field(default=None)

    def wheel(self, name: str, version: str, *requires: str, files: dict[str, bytes] | None = None) -> None:
        """Put a wheel on the index."""
        content = {f"{name.replace('-', '_')}.py": f"version = {version!r}\n".encode(), **(files or {})}
        make_wheel(self.world.index.folder, name, version, content, requires=requires)

    def install(self, *requirements: str) -> Bench:
        """Make the environment as a user does, without dependencies."""
        if not self.world.target.exists():
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(self.world.target)], check=True)
        argv = [find_uv_bin(), "pip", "install", "-q", "--no-deps", f"--python={self.world.target}", *requirements]
        subprocess.run(argv, check=True, env=self.world.environ, cwd="/")
        return self

    @property
    def site(self) -> Path:
        return site(self.world.target)

    def resolve(self, *steps: Install | Uninstall, offline: bool = False) -> PackagePlan | Denial:
        if self.staged is not None:
            remove_tree(self.staged.stage)
        self.staged = staged = of_world(self.world)
        context = staged.context
        row = row_after(context.matrix, context.seen, steps)
        scratch = staged.stage.parent / "scratch"
        return resolve_packages(context.uv, context.seen, row, steps, scratch, offline=offline)

    def repair(self, *steps: Install | Uninstall, offline: bool = False) -> dict[str, tuple[str, str]]:
        """Resolve and install in the copy; see that it is what was foreseen, and that the environment is as it was."""
        plan = self.resolve(*steps, offline=offline)
        assert isinstance(plan, PackagePlan), plan
        assert self.staged is not None
        context = self.staged.context
        try:
            done = install_packages(context.uv, plan, self.staged.stage, context.prefix, Silent())
        finally:
            assert tree(context.prefix) == self.staged.before
        assert done == plan.changes
        installed = [item for item in distributions(site(self.staged.stage)) if (item.info / "RECORD").is_file()]
        drifts, _ = file_drifts(self.staged.stage, installed, deep=True)
        assert drifts == ()
        return _short(done)

    def refused(self, *steps: Install | Uninstall) -> Denial:
        answer = self.resolve(*steps)
        assert isinstance(answer, Denial), answer
        return answer

    @property
    def changed(self) -> tuple[str, ...]:
        """Paths below site-packages that differ in the copy."""
        assert self.staged is not None
        inside = f"{self.site.relative_to(self.world.target)}/"
        return tuple(name.removeprefix(inside) for name in self.staged.changed)


def _short(changes: Sequence[PackageChange]) -> dict[str, tuple[str, str]]:
    return {item.name: (item.before, item.after) for item in changes}


@pytest.fixture
def bench(world: World) -> Bench:
    return Bench(world)


def test_what_is_installed_stays_where_it_fits(bench: Bench) -> None:
    bench.wheel("six", "1.5")
    bench.wheel("viewer", "1.0", "six")
    bench.install(f"tensorflow=={OLD}", "six==1.0", "numpy==1.9")
    assert bench.repair(Install(("viewer",))) == {"viewer": ("", "1.0")}
    assert not [name for name in bench.changed if not name.startswith("viewer")]
    assert bench.repair(Install(("six>1.1",))) == {"six": ("1.0", "1.5")}


def test_what_is_asked_for_comes_back_as_the_own_lock_has_it(bench: Bench) -> None:
    assert bench.world.create().returncode == 0
    bench.wheel("numpy", "1.9.5")
    remove_tree(bench.world.folder.parent / "cache")
    bench.install("numpy==2.0")
    assert bench.repair(Install(("numpy<2",))) == {"numpy": ("2.0", "1.9")}
    closed_port(bench.world)
    with pytest.raises(ToolFailedError) as error:
        bench.repair(Install(("numpy==1.9",), alone=True))
    assert error.value.code == "network"


def test_a_package_that_stays_has_a_say(bench: Bench) -> None:
    bench.install(f"tensorflow=={OLD}", "six==1.0", "numpy==2.0", "needs-numpy-2==1.0")
    denial = bench.refused(Install(("numpy<2",)))
    assert denial.code == "conflict"
    assert "needs-numpy-2" in denial.what
    assert "tensorflow" not in denial.what
    assert "needs-numpy-2 1.0 needs numpy>=2" in denial.why


def test_a_package_that_is_at_odds_already_is_not_in_the_way(bench: Bench) -> None:
    bench.wheel("grumpy", "1.0", "numpy>=9")
    bench.install(f"tensorflow=={OLD}", "six==1.0", "numpy==2.0", "grumpy==1.0")
    (bench.site / "ancient-0.1.unknown.egg-info").write_text("Name: ancient\nVersion: 0.1 unknown\n")
    (bench.site / "_odd-1_0.dist-info").mkdir()
    assert bench.repair(Install(("numpy<2",))) == {"numpy": ("2.0", "1.9")}
    assert not [name for name in bench.changed if name.startswith(("ancient", "_odd"))]


@pytest.mark.parametrize("alone", [False, True])
def test_two_frameworks_without_a_common_set(bench: Bench, *, alone: bool) -> None:
    bench.wheel("nvidia-cudnn-cu11", "8.5.0.1")
    bench.wheel("torch", "1.13.1", "nvidia-cudnn-cu11==8.5.0.1")
    bench.install(f"tensorflow=={OLD}", "six==1.0", "numpy==1.9", "torch==1.13.1", "nvidia-cudnn-cu11==8.5.0.1")
    denial = bench.refused(Install(("nvidia-cudnn-cu11==8.6.0.1",), alone=alone))
    assert denial.code == "conflict"
    assert "no set serves both" in denial.what
    assert "torch 1.13.1 needs nvidia-cudnn-cu11==8.5.0.1" in denial.why
    assert "tfgpu-provision create" in denial.hint


def test_what_would_break_on_the_way_is_seen(bench: Bench) -> None:
    """The old version of what is asked for needs the helper, the new one does not; the helper stays and limits base."""
    for version in ("1.0", "1.9", "2.0"):
        bench.wheel("base", version)
    bench.wheel("helper", "1.0", "base<2")
    bench.wheel("app", "1.0", "helper", "base")
    bench.wheel("app", "2.0", "base>=1.5")
    bench.install("app==1.0", "helper==1.0", "base==1.0")
    assert bench.repair(Install(("app==2.0",))) == {"app": ("1.0", "2.0"), "base": ("1.0", "1.9")}


def test_files_come_back_and_nothing_else_is_touched(bench: Bench) -> None:
    bench.install(f"tensorflow=={OLD}", "six==1.0", "numpy==1.9")
    replace_bytes(bench.site / "tensorflow/part7.py", b"cut")
    assert bench.repair(Install(("tensorflow",), again=True, alone=True)) == {"tensorflow": (OLD, OLD)}
    assert [name for name in bench.changed if "dist-info" not in name] == ["tensorflow/part7.py"]
    assert bench.repair(Install(("tensorflow", "six"))) == {"tensorflow": (OLD, OLD)}, "it is hollow"


def test_a_file_damaged_with_the_cache_is_fetched_anew(bench: Bench) -> None:
    bench.install(f"tensorflow=={OLD}", "six==1.0", "numpy==1.9")
    path = bench.site / "tensorflow/part7.py"
    assert path.stat().st_nlink > 1
    path.write_bytes(path.read_bytes().replace(b"filler", b"FILLER"))
    step = Install((f"tensorflow=={OLD}",), again=True, alone=True)
    with pytest.raises(ToolFailedError) as error:
        bench.repair(step, offline=True)
    assert error.value.code == "cache-damaged"
    assert bench.repair(step) == {"tensorflow": (OLD, OLD)}
    assert "tensorflow/part7.py" in bench.changed


def test_a_distribution_without_a_record_goes_by_hand(bench: Bench) -> None:
    bench.install(f"tensorflow=={OLD}", "six==1.0", "numpy==1.9")
    (bench.site / f"tensorflow-{OLD}.dist-info/RECORD").unlink()
    (bench.site / "tensorflow/left_over.py").write_text("stale = 1\n")
    (bench.site / "tensorflow/of_six.py").write_text("")
    record = bench.site / "six-1.0.dist-info/RECORD"
    replace_bytes(record, record.read_bytes() + b"tensorflow/of_six.py,,\n")
    assert bench.repair(Uninstall(("tensorflow",))) == {"tensorflow": (OLD, "")}
    assert bench.staged
    assert [path.name for path in (site(bench.staged.stage) / "tensorflow").iterdir()] == ["of_six.py"]
    assert bench.repair(Install((f"tensorflow=={OLD}",))) == {"tensorflow": (OLD, OLD)}
    assert not (site(bench.staged.stage) / "tensorflow/left_over.py").exists()


def test_metadata_that_was_left_over_goes(bench: Bench) -> None:
    bench.install(f"tensorflow=={OLD}", "six==1.0", "numpy==1.9")
    left = bench.site / "six-0.9.dist-info"
    left.mkdir()
    (left / "METADATA").write_text("Metadata-Version: 2.1\nName: six\nVersion: 0.9\n")
    (left / "RECORD").write_text("six-0.9.dist-info/METADATA,,\n")
    egg = bench.site / "oldie-1.0.egg-info"
    egg.write_text("Metadata-Version: 1.0\nName: oldie\nVersion: 1.0\n")
    (bench.site / "oldie.py").write_text("")
    done = bench.repair(Install(("six==1.0",), alone=True), Uninstall(("oldie",)))
    assert set(done) == {"six", "oldie"}
    assert bench.staged
    names = {path.name for path in site(bench.staged.stage).iterdir()}
    assert "six-1.0.dist-info" in names
    assert not names & {"six-0.9.dist-info", "oldie-1.0.egg-info", "oldie.py"}


def test_metadata_of_the_former_version_goes_with_it(bench: Bench) -> None:
    bench.install(f"tensorflow=={OLD}", "six==1.0", "numpy==2.0")
    (bench.site / "numpy-2.0.dist-info/of_somebody_else").write_text("x")
    assert bench.repair(Install(("numpy<2",))) == {"numpy": ("2.0", "1.9")}
    assert bench.staged
    assert [path.name for path in site(bench.staged.stage).glob("numpy-*")] == ["numpy-1.9.dist-info"]


def test_what_two_distributions_claim_stays_for_the_one_that_stays(bench: Bench) -> None:
    """NVIDIA's wheels of two CUDA families write into the same files."""
    shared = {"nvidia/__init__.py": b""}
    bench.wheel("nvidia-blas-cu11", "11.0", files={**shared, "nvidia/lib/libblas": b"eleven"})
    bench.wheel("nvidia-blas-cu12", "12.0", files={**shared, "nvidia/lib/libblas": b"twelve"})
    bench.wheel("nvidia-fft-cu12", "12.0", files={**shared, "nvidia/lib/libfft": b"fft"})
    bench.install("nvidia-blas-cu12==12.0", "nvidia-fft-cu12==12.0").install("nvidia-blas-cu11==11.0")
    assert (bench.site / "nvidia/lib/libblas").read_bytes() == b"eleven"
    assert bench.repair(Uninstall(("nvidia-blas-cu11",))) == {
        "nvidia-blas-cu11": ("11.0", ""),
        "nvidia-blas-cu12": ("12.0", "12.0"),
    }
    assert bench.staged
    assert (site(bench.staged.stage) / "nvidia/lib/libblas").read_bytes() == b"twelve"
    assert (site(bench.staged.stage) / "nvidia/__init__.py").exists()


@pytest.mark.parametrize("mode", ["copy", "clone", "hardlink"])
def test_a_file_that_is_in_the_way_is_replaced(bench: Bench, mode: str) -> None:
    """It is a hard link into the environment, or a link to a file elsewhere: nothing may be written into it."""
    bench.install("six==1.0", "numpy==1.9")
    (bench.site / "tensorflow").mkdir()
    (bench.site / "tensorflow/part7.py").write_text("mine")
    (bench.site / "tensorflow/part8.py").symlink_to("../six.py")
    bench.world.environ["UV_LINK_MODE"] = mode
    assert bench.repair(Install((f"tensorflow=={OLD}",))) == {"tensorflow": ("", OLD)}
    assert not [name for name in bench.changed if name.startswith("six")]


def test_scripts_name_the_place_where_the_environment_stands(bench: Bench) -> None:
    bench.install("six==1.0", "numpy==1.9")
    bench.repair(Install((f"tensorflow=={OLD}",)))
    assert bench.staged
    text = (bench.staged.stage / "bin/tf_tool").read_text()
    assert str(bench.staged.stage) not in text
    assert f"{bench.world.target}/bin/python" in text
    # Nothing of uv's own is left beside.
    assert not (bench.staged.stage / ".lock").exists() or (bench.world.target / ".lock").exists()


def test_only_what_the_matrix_names_is_built(bench: Bench) -> None:
    world = bench.world
    source = make_source(world.index.folder, "old-tool", "1.0")
    make_build_tools(world.index.folder, mark=world.folder / "built")
    world.matrix.write_text(matrix_text(source_only_sha=hashlib.sha256(source.read_bytes()).hexdigest()))
    bench.wheel("tensorflow-base", "1.0", "old-tool==1.0")
    bench.install("six==1.0", "numpy==1.9")
    done = bench.repair(Install((f"tensorflow=={OLD}",)))
    assert done == {"tensorflow": ("", OLD), "old-tool": ("", "1.0")}
    assert (world.folder / "built").exists()
    make_source(world.index.folder, "other-tool", "1.0")
    assert bench.refused(Install(("other-tool",))).code == "no-wheel"


def test_what_is_wrong_is_said_once(bench: Bench) -> None:
    bench.install(f"tensorflow=={OLD}", "six==1.0", "numpy==1.9")
    assert bench.refused(Install(("no-such-thing",))).code == "package-not-found"
    assert bench.refused(Install(("numpy<2", "numpy>=2"))).code == "conflict"
    denial = bench.refused(Install((f"tensorflow=={NEW}", "numpy>=2")))
    assert any("NumPy 2 removed" in line for line in denial.why)


@pytest.mark.parametrize(("fault", "code"), [("500", "network"), ("cut", "network"), ("swap", "hash-mismatch")])
def test_a_failing_index_changes_nothing(bench: Bench, fault: str, code: str) -> None:
    bench.install(f"tensorflow=={OLD}", "six==1.0", "numpy==1.9")
    bench.world.index.faults[f"files/tensorflow-{NEW}"] = fault
    with pytest.raises(ToolFailedError) as error:
        bench.repair(Install((f"tensorflow=={NEW}",), alone=True))
    assert error.value.code == code, error.value.why


def test_who_else_keeps_a_record_is_named(bench: Bench) -> None:
    bench.wheel("six", "1.5")
    bench.install(f"tensorflow=={OLD}", "six==1.0", "numpy==2.0")
    replace_bytes(bench.site / "six-1.0.dist-info/INSTALLER", b"conda\n")
    folder = bench.world.target.parent
    (folder / "uv.lock").write_text("version = 1\n")
    (folder / "pyproject.toml").write_text("[project]\nname = 'x'\nversion = '1'\n")
    plan = bench.resolve(Install(("numpy<2", "pandas", "six>1")))
    assert isinstance(plan, PackagePlan)
    said = "\n".join(plan.remarks)
    assert "conda installed six" in said
    assert 'override-dependencies = ["numpy==1.9", "six==1.5"]' in said
    assert f"uv add --project {folder} pandas==1.0" in said
    plan = bench.resolve(Install(("numpy==2.0",), again=True, alone=True))
    assert isinstance(plan, PackagePlan)
    assert plan.remarks == ()


def test_what_came_from_elsewhere_is_left_alone(bench: Bench) -> None:
    """A build of the user's own of the very version that is needed; the index has another one under that number."""
    bench.install(f"tensorflow=={OLD}", "six==1.0")
    make_wheel(bench.world.folder, "numpy", "1.9+mine", {"numpy.py": b"mine = 1\n"})
    bench.install(os.fspath(next(bench.world.folder.glob("numpy-*.whl"))))
    assert bench.repair(Install(("pandas", f"tensorflow=={NEW}"))) == {"pandas": ("", "1.0"), "tensorflow": (OLD, NEW)}


def test_a_prefix_that_forbids_installers_is_left_alone(bench: Bench) -> None:
    """The base environment of conda may carry the mark of PEP 668; the Python of a venv may carry it as well."""
    bench.install("six==1.0", "numpy==1.9")
    (bench.site.parent / "EXTERNALLY-MANAGED").write_text("[externally-managed]\n")
    assert bench.repair(Install(("pandas",))) == {"pandas": ("", "1.0")}
    assert bench.staged
    context = bench.staged.context
    assert context.seen.env
    seen = dataclasses.replace(context.seen, env=dataclasses.replace(context.seen.env, kind="conda"))
    answer = resolve_packages(context.uv, seen, None, [Install(("pandas",))], context.stage.parent, offline=True)
    assert isinstance(answer, Denial)
    assert answer.code == "externally-managed"
