"""The pages of ``docs/doctor/``: one for each cause, made from its row of the table, and their index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from provision.model.doctor import Category, Cause, Effect

FOLDER = "docs/doctor"
_EFFECTS: Mapping[Effect, str] = {
    Effect.STOPS: "TensorFlow does not import, or the program dies",
    Effect.CPU: "TensorFlow runs on the CPU",
    Effect.DEGRADES: "the GPU is used, and something fails or is slow later on",
    Effect.NONE: "none",
}
TITLES: Mapping[Category, str] = {
    Category.DRIVER: "Driver",
    Category.GPU: "GPU",
    Category.PYTHON: "Python",
    Category.PACKAGES: "Packages",
    Category.CUDA: "CUDA libraries",
    Category.CUDNN: "cuDNN",
    Category.XLA: "XLA tools",
    Category.VARIABLES: "Variables",
    Category.CONTAINER: "Container and WSL",
    Category.RESOURCES: "Resources",
    Category.CODE: "Code",
}


def page_path(code: str) -> str:
    """Return the page of a cause, from the root of the repository."""
    return f"{FOLDER}/{code}.md"


def page(cause: Cause) -> str:
    """Return the page of one cause."""
    from provision.repair.planning.remedies import INSTEAD, REPAIRED  # noqa: PLC0415 - doctor's reports have no use for it

    repaired = f"`repair` {REPAIRED[cause.code]}" if cause.repairable else f"no; printed is {INSTEAD[cause.code]}"
    return "\n".join(
        [
            f"# {cause.title}",
            "",
            f"`{cause.code}`",
            "",
            cause.explanation,
            "",
            "| | |",
            "|---|---|",
            f"| where | {TITLES[cause.category]} |",
            f"| effect | {_EFFECTS[cause.effect]} |",
            f"| can be repaired | {repaired} |",
            "",
            "Look for it alone, with the values of your machine and the exact commands:",
            "",
            "```",
            f"tfgpu-provision doctor ENV --only {cause.code}",
            "```",
        ]
    )


def index(causes: Iterable[Cause]) -> str:
    """Return the index of the pages; the causes come in its order."""
    return "\n".join(_index(causes))


def _index(causes: Iterable[Cause]) -> Iterator[str]:
    yield "# What doctor can find"
    yield ""
    yield "Made from the table of causes; a test keeps these pages in step. How to use it: [doctor](../doctor.md)."
    last: Category | None = None
    for cause in causes:
        if cause.category is not last:
            yield from ("", f"## {TITLES[cause.category]}", "", "| code | what it is | effect |", "|---|---|---|")
            last = cause.category
        yield f"| [`{cause.code}`]({cause.code}.md) | {cause.title} | {_EFFECTS[cause.effect]} |"
