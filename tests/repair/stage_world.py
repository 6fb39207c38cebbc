"""Steps carried out on copies of real small environments, as repair's workflow does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from create import small_world
from create.world import World

from provision import matrix
from provision.backends.uv import Uv
from provision.model.created import Denial
from provision.model.environment import RECORD_FOLDER
from provision.model.progress import Silent
from provision.model.remedy import Step
from provision.repair.files.patch import REPAIRS
from provision.repair.stage import Carried, StageContext, build_stage, carry_out, untouched
from provision.snapshot.interpreter import ask
from provision.snapshot.snapshot import Wanted, take
from provision.system import System


@dataclass(frozen=True)
class Staged:
    """An environment with its copy."""

    system: System
    context: StageContext
    before: dict[str, str]
    left_out: tuple[str, ...] = ()

    @property
    def stage(self) -> Path:
        return self.context.stage

    def carry_out(self, *steps: Step) -> Carried:
        """Carry steps out, and see that the environment did not change."""
        carried = self.answer(*steps)
        assert isinstance(carried, Carried), carried
        return carried

    def answer(self, *steps: Step) -> Carried | Denial:
        carried = carry_out(self.system, steps, self.context)
        assert tree(self.context.prefix) == self.before
        return carried

    @property
    def changed(self) -> tuple[str, ...]:
        """Every path that differs between the environment and its copy, byte code aside."""
        now = tree(self.stage)
        names = {name for name in self.before.keys() | now.keys() if self.before.get(name) != now.get(name)}
        return tuple(sorted(name for name in names if "__pycache__" not in name))


def tree(prefix: Path) -> dict[str, str]:
    found = small_world.snapshot(prefix)
    return {name: text for name, text in found.items() if not name.startswith(f"{RECORD_FOLDER}/{REPAIRS}")}


def staged(
    prefix: Path,
    environ: dict[str, str],
    matrix_file: Path,
    *,
    offline: bool = False,
    steps: Sequence[Step] | None = None,
) -> Staged:
    """Look at an environment and copy it into its own folder of repairs."""
    system = System(environ=environ)
    known = matrix.load(matrix_file)
    snapshot = take(system, Wanted(environment=lambda: ask(system, str(prefix))), lambda: known)
    assert snapshot.environment is not None
    stage = prefix / RECORD_FOLDER / REPAIRS / "0a1b2c3d" / "stage"
    stage.parent.mkdir(parents=True, exist_ok=True)
    before = tree(prefix)
    left_out = build_stage(prefix, stage, () if steps is None else untouched(prefix, steps))
    uv = Uv(system, offline=offline)
    context = StageContext(prefix, stage, snapshot.environment, snapshot, known, uv, Silent(), offline)
    return Staged(system, context, before, left_out)


def of_world(world: World, *, offline: bool = False, steps: Sequence[Step] | None = None) -> Staged:
    """Copy the environment of a small world."""
    return staged(world.target, world.environ, world.matrix, offline=offline, steps=steps)


def rewrite(path: Path, content: str | bytes) -> None:
    """Replace a file, which may be a hard link into a cache; its mode stays."""
    mode = path.stat().st_mode if path.exists() else 0o644
    path.unlink(missing_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)


def lines(path: Path) -> Sequence[str]:
    return path.read_text(encoding="utf-8").splitlines()
