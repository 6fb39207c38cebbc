"""kill -9 and failing disks at every step of a repair: it ends repaired or as it was, to the byte."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from repair.interference import (
    DONE,
    FAULTS,
    ROLLED_BACK,
    UNTOUCHED,
    counted,
    failing_at,
    in_child,
    killed_at,
    recover,
    repair,
)
from repair.trees import Picture, in_memory, make_before, picture, remove_all, stage_of
from thorough import EVERY_ROW

from provision.model.repair import EntryState
from provision.repair.history.journal import read_history, unfinished


class World:
    """A new environment for each trial, and how it looks before and after."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.prefix = folder / "env"
        self.before: Picture = {}
        self.after: Picture = {}
        self.fresh()
        stage_of(self.prefix, folder / "model")
        self.model = picture(folder / "model")
        self.steps = self._steps()

    def fresh(self) -> None:
        if self.prefix.exists():
            remove_all(self.prefix)
        self.prefix.mkdir()
        make_before(self.prefix)
        self.before = picture(self.prefix)

    def repaired(self) -> bool:
        return without_times(picture(self.prefix)) == without_times(self.model)

    def untouched(self) -> bool:
        return picture(self.prefix) == self.before

    def settled(self) -> None:
        """Nothing is left but the history, which reads, and the environment is as its newest entry says."""
        assert unfinished(self.prefix) is None
        newest = next(iter(read_history(self.prefix)), None)
        if newest is not None and newest.state is EntryState.DONE:
            assert self.repaired()
        else:
            assert self.untouched()
        assert [path.name for path in self.folder.iterdir() if "journal" in path.name] == []

    def _steps(self) -> int:
        file = self.folder / "steps"
        assert in_child(lambda: repair(self.prefix), counted(file)) == DONE
        assert self.repaired()
        count = file.stat().st_size
        file.unlink()
        return count


def without_times(seen: Picture) -> Picture:
    return {path: said[:3] for path, said in seen.items()}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr("provision.backends.transaction._PATIENCE", 0.01)
    with in_memory(tmp_path) as folder:
        yield World(folder)


def _kill(world: World, steps: range) -> None:
    """Kill before each of these steps, and go on; the ends are both met."""
    ends = {True: 0, False: 0}
    for number, step in enumerate(steps):
        world.fresh()
        assert in_child(partial(repair, world.prefix), killed_at(step)) == -signal.SIGKILL
        cut = unfinished(world.prefix)
        assert cut or world.repaired() or world.untouched()
        finish = bool(number % 2)
        assert recover(world.prefix, finish=finish) == DONE
        assert not cut or (world.repaired() if finish else world.untouched())
        world.settled()
        ends[world.repaired()] += 1
        if number % 10 == 0 and world.untouched():
            # Nothing of it stands in the way of the next.
            assert in_child(partial(repair, world.prefix)) == DONE
    assert min(ends.values()) > len(steps) // 5


def test_killed_at_some_steps(world: World) -> None:
    assert world.steps > 300
    _kill(world, range(0, world.steps, 9))


@pytest.mark.e2e
def test_killed_at_every_step(world: World) -> None:
    _kill(world, range(world.steps))


def _kill_again(world: World, moments: int) -> None:
    """Kill a repair at any moment, and what goes on with it up to three times."""
    chance = random.Random(5)  # noqa: S311 - the same moments each time
    again = 0
    for _ in range(moments):
        world.fresh()
        start = partial(repair, world.prefix, better=chance.random() < 0.5)
        in_child(start, killed_at(chance.randrange(world.steps // 3, world.steps)))
        for _ in range(chance.randrange(1, 4)):
            go_on = partial(recover, world.prefix, finish=chance.random() < 0.5)
            again += in_child(go_on, killed_at(chance.randrange(120))) == -signal.SIGKILL
        assert recover(world.prefix, finish=chance.random() < 0.5) == DONE
        world.settled()
    assert again > moments / 2


def test_killed_again_while_going_on(world: World) -> None:
    _kill_again(world, 15)


@pytest.mark.e2e
def test_killed_again_at_a_hundred_moments(world: World) -> None:
    _kill_again(world, 100)


def _fail(world: World, code: int, steps: range) -> None:
    seen = set()
    for step in steps:
        world.fresh()
        ended = in_child(partial(repair, world.prefix), failing_at(step, code))
        seen.add(ended)
        if ended == DONE:
            assert world.repaired()
        elif ended in (ROLLED_BACK, UNTOUCHED):
            assert world.untouched()
        assert recover(world.prefix, finish=False) == DONE
        world.settled()
    assert {ROLLED_BACK, UNTOUCHED} <= seen


@pytest.mark.parametrize("code", FAULTS)
def test_a_step_that_fails_is_walked_back(world: World, code: int) -> None:
    _fail(world, code, range(FAULTS.index(code), world.steps, 40))


@pytest.mark.e2e
@pytest.mark.parametrize("code", FAULTS)
def test_many_steps_that_fail_are_walked_back(world: World, code: int) -> None:
    _fail(world, code, range(FAULTS.index(code), world.steps, 4 if EVERY_ROW else 12))


def _fail_for_good(world: World, code: int, steps: range) -> None:
    for step in steps:
        world.fresh()
        in_child(partial(repair, world.prefix), failing_at(step, code, for_ever=True))
        # The disk is well again.
        assert recover(world.prefix, finish=bool(step & 4)) == DONE
        world.settled()


@pytest.mark.parametrize("code", FAULTS)
def test_a_disk_that_fails_for_good_loses_nothing(world: World, code: int) -> None:
    _fail_for_good(world, code, range(FAULTS.index(code) + 150, world.steps, 50))


@pytest.mark.e2e
@pytest.mark.parametrize("code", FAULTS)
def test_a_disk_that_fails_for_good_at_any_step_loses_nothing(world: World, code: int) -> None:
    _fail_for_good(world, code, range(FAULTS.index(code), world.steps, 4 if EVERY_ROW else 12))
