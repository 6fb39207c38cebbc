"""A check of the CPU made by hand: the code of TensorFlow's, without anything that it would do."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from provision.audit.contents.guard import INITIALISER

AVX = (1, 2, 3, 5, 6, 12)
"""What releases check, by TensorFlow's numbers."""
AVX2_FMA = (*AVX, 14, 15)
_LINES = """\
.text
.type guard_one, @function
guard_one: ret
.size guard_one, .-guard_one
.type guard_two, @function
guard_two: ret
.size guard_two, .-guard_two
.type {name}, @function
{name}:
  push %rbp
{checks}
  pop %rbp
  ret
.size {name}, {size}
.section .rodata
{texts}
.text
"""


def guard_source(
    folder: Path,
    *numbers: int,
    named: tuple[str, ...] = (),
    strangers: tuple[int, ...] = (),
    size: str = ".-{name}",
    name: str = INITIALISER.decode(),
) -> str:
    """Return the path of C for the compiler of a library: a function that checks sets by their numbers.

    Args:
        folder: where it is written.
        numbers: of the sets.
        named: texts that the function loads, as GCC has the names of the sets.
        strangers: numbers with which another function is called.
        size: what the symbol table says of it.
        name: of the function.
    """
    if platform.machine() != "x86_64":
        pytest.skip("the check is code for x86-64")
    lines = [f"  lea guard_text_{place}(%rip), %rsi" for place in range(len(named))]
    lines += [f"  .byte 0xbf\n  .long {number}\n  call guard_one" for number in numbers]
    lines += [f"  .byte 0xbf\n  .long {number}\n  call guard_two" for number in strangers]
    texts = "\n".join(f'guard_text_{place}: .asciz "{text}"' for place, text in enumerate(named))
    code = _LINES.format(name=name, checks="\n".join(lines), texts=texts, size=size.format(name=name))
    escaped = code.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    file = folder / "guard.c"
    file.write_text(f'__asm__("{escaped}");\n')
    return str(file)
