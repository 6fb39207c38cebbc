from __future__ import annotations

import shutil
import subprocess

import pytest

from provision.repair.steps.scripts import without

NAME = "CUDA_VISIBLE_DEVICES"

TAKEN_OUT = (
    ("activate", f"a\nexport {NAME}=-1\nb\n", "a\nb\n"),
    ("activate", f'{NAME}="" ; export {NAME}\n', ""),
    ("activate", f"{NAME}=0 # mine\n", ""),
    ("x.sh", f"declare -gx {NAME}='0,1'\n", ""),
    ("x.sh", f'export {NAME}="${{OLD:-1}}"\n', ""),
    ("x.sh", f"if true; then\n    export {NAME}=1\nfi\n", "if true; then\n    :\nfi\n"),
    ("x.sh", f"hide() {{\n\texport {NAME}=1\n}}\n", "hide() {\n\t:\n}\n"),
    ("x.sh", f"case $A in\n  x)\n    {NAME}=1\n  ;;\nesac\n", "case $A in\n  x)\n    :\n  ;;\nesac\n"),
    ("activate.csh", f"setenv {NAME} -1\nrehash\n", "rehash\n"),
    ("activate.fish", f"set -gx {NAME} ''\nset -gx OTHER 1\n", "set -gx OTHER 1\n"),
    ("x.fish", f"set --global --export {NAME} 1\n", ""),
    ("x.fish", f"if true\n    set -gx {NAME} 1\nend\n", "if true\nend\n"),
    ("state", f'{{"version": 1, "env_vars": {{"{NAME}": "-1", "A": "b"}}}}', '{"version": 1, "env_vars": {"A": "b"}}'),
    ("mine.json", f'{{\n  "{NAME}": "",\n  "A": "b"\n}}\n', '{\n  "A": "b"\n}\n'),
    ("mine.pth", f"../src\nimport os; os.environ['{NAME}'] = '-1'\n", "../src\n"),
    ("sitecustomize.py", f"import os\nos.environ['{NAME}'] = '-1'\nA = 1\n", "import os\npass\nA = 1\n"),
    (
        "sitecustomize.py",
        f'import os\nif True:\n    os.environ.setdefault("{NAME}", "")\n',
        "import os\nif True:\n    pass\n",
    ),
)

LEFT = (
    ("activate", f"{NAME}=-1 python train.py\n"),
    ("activate", f"export {NAME}=-1 OTHER=1\n"),
    ("activate", f"true && export {NAME}=-1\n"),
    ("activate", f"echo \\\nexport {NAME}=1\n"),
    ("activate", f"export {NAME}=$(nvidia-smi -L | wc -l)\n"),
    ("activate", f"export MY_{NAME}=1\nexport {NAME}_TOO=1\n# export {NAME}=1\nunset {NAME}\n"),
    ("activate", f'export {NAME}="1\n2"\n'),
    ("x.fish", f"set -e {NAME}\nset -q {NAME}\nset -ge {NAME}\nset --erase {NAME}\n"),
    ("activate.csh", f"unsetenv {NAME}\n"),
    ("state", "not json"),
    ("state", '{"env_vars": {"A": "b"}}'),
    ("mine.pth", f"import os, mine; os.environ['{NAME}'] = '-1'\n"),
    ("sitecustomize.py", f"import os; os.environ['{NAME}'] = compute()\n"),
    ("sitecustomize.py", f"import os\nos.environ['{NAME}'] = '1'; more()\n"),
)


@pytest.mark.parametrize(("name", "text", "rest"), TAKEN_OUT)
def test_what_only_sets_a_variable_is_taken_out(name: str, text: str, rest: str) -> None:
    assert without(name, text, NAME) == rest
    shell = shutil.which("bash")
    if name.endswith((".sh", "activate")) and shell:
        assert subprocess.run([shell, "-n"], input=rest, text=True, check=False).returncode == 0


@pytest.mark.parametrize(("name", "text"), LEFT)
def test_what_does_more_is_left(name: str, text: str) -> None:
    assert without(name, text, NAME) is None
