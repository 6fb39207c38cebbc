"""What fits together: uv's resolver is asked about what changes, and what stays takes part by its demands."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from provision.backends.record import read_locked
from provision.backends.source_only import locked_exceptions, overrides
from provision.backends.uv import Sources, Target, Uv, failed
from provision.backends.uv_pylock import preferences, read_compiled
from provision.model.created import Denial
from provision.model.environment_facts import EnvironmentFacts, Package
from provision.model.lock import Locked, normalised
from provision.model.matrix import Row, SourceOnly
from provision.probes.environment import TENSORFLOW_DISTRIBUTIONS
from provision.repair.packages.denial import between, explain
from provision.repair.packages.limits import Limit, is_version, limits, named, needed_by, newly_broken, unmet

_ROUNDS = 4
"""How often packages that would break are taken into account and the resolver is asked again."""

Answer = tuple[Locked, ...]


@dataclass(frozen=True)
class Resolver:
    """The resolver for one environment.

    Attributes:
        uv: the engine.
        seen: the environment.
        own: what is installed in it.
        row: of the release that will be there afterwards, None where the matrix has none.
        scratch: folder for files that uv reads and writes.
        offline: ask no index, only what is remembered of it.
    """

    uv: Uv
    seen: EnvironmentFacts
    own: Mapping[str, Package]
    row: Row | None
    scratch: Path
    offline: bool

    @property
    def versions(self) -> Mapping[str, str]:
        """Normalised name to version of what is installed."""
        return {name: item.version for name, item in self.own.items()}

    @property
    def exceptions(self) -> tuple[SourceOnly, ...]:
        """What the release demands and has no wheel."""
        return self.row.source_only if self.row else ()

    @property
    def target(self) -> Target:
        """The environment's own Python."""
        return Target(str(self.seen.env.python) if self.seen.env else f"{self.seen.path}/bin/python")

    def whole(self, roots: Sequence[str], changing: Collection[str]) -> Answer | Denial:
        """Resolve requirements with all that they need, in rounds until nothing that stays would break.

        Args:
            roots: requirements.
            changing: names that do not stay as they are, whatever comes out.
        """
        by = [item for name, item in self.own.items() if name not in needed_by(named(roots), self.own) | {*changing}]
        answer = self._fitting(roots, by, changing)
        for _ in range(_ROUNDS):
            if isinstance(answer, Denial):
                return answer
            fresh = {item.name: item.version for item in answer}
            kept = {name: version for name, version in self.versions.items() if name not in changing}
            changed = {*changing, *(name for name in fresh if fresh[name] != self.versions.get(name))}
            broken = newly_broken(self.own, self.versions, {**kept, **fresh}, changed | fresh.keys())
            more = [item for item in broken if item not in by]
            if not more:
                break
            by += more
            answer = self._fitting(roots, by, changing)
        return answer

    def alone(self, roots: Sequence[str], changing: Collection[str], known: Sequence[Locked] = ()) -> Answer | Denial:
        """Fix requirements without what they need; the environment's own lock knows the hashes of its packages.

        Args:
            roots: requirements.
            changing: names that do not stay as they are.
            known: what is fixed already.
        """
        locked = {item.requirement: item for item in self._own_lock()}
        locked |= {item.requirement: item for item in (*known, *locked_exceptions(self.exceptions))}
        there = tuple(locked[text] for text in map(_plain, roots) if text in locked)
        names = {item.name for item in there}
        left = [text for text in roots if normalised(Requirement(text).name) not in names]
        if not left:
            return there
        stay = [item for name, item in self.own.items() if name not in {*changing, *named(roots)}]
        answer = self._fitting(left, stay, changing, dependencies=False)
        return answer if isinstance(answer, Denial) else (*there, *answer)

    def _fitting(
        self, roots: Sequence[str], by: Sequence[Package], changing: Collection[str], *, dependencies: bool = True
    ) -> Answer | Denial:
        """Ask with every demand of what stays, else with those alone that are met as things are."""
        held = limits(by, self.versions)
        fixed = (
            *(Limit("conda", text, holds=False) for text in self._fixed("conda", changing)),
            *(Limit("its own source", text, holds=False) for text in self._fixed("", changing)),
        )
        answer = self._ask(roots, (*held, *fixed), dependencies=dependencies)
        if isinstance(answer, Denial) and any(not limit.holds for limit in (*held, *fixed)):
            held = tuple(limit for limit in held if limit.holds)
            answer = self._ask(roots, held, dependencies=dependencies)
        if not isinstance(answer, Denial):
            return answer
        # Without those that stay there may be an answer: what they say against it is what is in the way.
        free = self._ask(roots, (), dependencies=dependencies)
        if isinstance(free, Denial):
            return free
        return between(roots, unmet(held, free), answer, self.row, self.seen)

    def _fixed(self, installer: str, changing: Collection[str]) -> list[str]:
        """Return what conda brought, or what came from no index, at its version: uv should leave that alone."""
        return [
            f"{item.name}=={item.version}"
            for item in self.own.values()
            if item.name not in changing and is_version(item.version)
            if (item.installer == installer if installer else item.origin)
        ]

    def _ask(self, roots: Sequence[str], held: Sequence[Limit], *, dependencies: bool = True) -> Answer | Denial:
        """Ask uv once: what it remembers first, then the index; raises ToolFailedError."""
        ours = [constraint.requirement for constraint in self.row.constraints] if self.row else []
        # What comes back as it is was at odds with others before, or was not.
        there = {f"{name}=={version}" for name, version in self.versions.items()}
        same = {name for root in roots if _plain(root) in there for name in named([root])}
        lines = [
            text
            for text in dict.fromkeys([*ours, *(limit.requirement for limit in held)])
            if not same.intersection(named([text]))
        ]
        limiting = _written(self.scratch / "constraints.txt", "".join(f"{line}\n" for line in lines))
        unresolved = {normalised(item.name) for item in self.exceptions}
        overriding = _written(self.scratch / "overrides.txt", overrides(self.exceptions)) if unresolved else None
        text = "".join(f"{line}\n" for line in roots if normalised(Requirement(line).name) not in unresolved)
        output = self.scratch / "pylock.toml"
        for remembered in (True,) if self.offline else (True, False):
            _written(output, preferences(self._keep(named(roots))))
            done = self.uv.lock(
                text,
                self.target,
                Sources(),
                overriding,
                output,
                dependencies=dependencies,
                constraints=limiting,
                offline=remembered,
            )
            if done.ok:
                found = read_compiled(output.read_text(encoding="utf-8")).locked
                return (*found, *locked_exceptions(self._demanded({*named(roots), *(item.name for item in found)})))
        denial = explain(done.stderr, roots, self.row, self.seen)
        if denial is None:
            raise failed(done, "resolving")
        return denial

    def _keep(self, roots: Sequence[str]) -> tuple[Locked, ...]:
        """Return the versions that stay where they fit: of what is asked for the lock's, else what is installed."""
        locked = {item.name: item.version for item in self._own_lock()}
        keep = {**locked, **self.versions, **{name: locked[name] for name in roots if name in locked}}
        return tuple(Locked(name, version, ()) for name, version in sorted(keep.items()) if is_version(version))

    def _demanded(self, names: Collection[str]) -> tuple[SourceOnly, ...]:
        """Return what uv was told to leave out and is needed: asked for, or the release that demands it takes part."""
        release = any(name in names for name in TENSORFLOW_DISTRIBUTIONS)
        return tuple(item for item in self.exceptions if release or normalised(item.name) in names)

    def _own_lock(self) -> tuple[Locked, ...]:
        return read_locked(Path(str(self.seen.env.prefix))) if self.seen.env else ()


def _plain(text: str) -> str:
    """Return ``name==version`` with a normalised name, extras left out."""
    requirement = Requirement(text)
    return f"{normalised(requirement.name)}{requirement.specifier}"


def _written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path
