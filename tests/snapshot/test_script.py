"""User code that is read: what it says, in which order, and what no file may do to the reader."""

from __future__ import annotations

import json
import os
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provision.errors import UsageError
from provision.model.script import Remark, ScriptFacts
from provision.snapshot import script
from provision.snapshot.script import read_script
from provision.snapshot.script_names import READ_AT
from provision.snapshot.script_source import overlong


def read(tmp_path: Path, text: str, name: str = "train.py") -> tuple[Remark, ...]:
    path = tmp_path / name
    path.write_text(textwrap.dedent(text))
    return read_script(path).remarks


def notebook(*cells: str, language: str = "python") -> str:
    of = [{"cell_type": "code", "source": cell.splitlines(keepends=True), "outputs": []} for cell in cells]
    return json.dumps({"nbformat": 4, "metadata": {"kernelspec": {"language": language}}, "cells": of})


def short(remarks: tuple[Remark, ...]) -> list[tuple[str, int, bool]]:
    return [(item.kind, item.line, item.late) for item in remarks]


HIDING = [
    "import os\nos.environ['CUDA_VISIBLE_DEVICES'] = '-1'\nimport tensorflow as tf\n",
    "import os\nos.environ.update({'CUDA_VISIBLE_DEVICES': ''})\nimport tensorflow\n",
    "import os\nos.environ.update(CUDA_VISIBLE_DEVICES='-1')\nimport tensorflow\n",
    "from os import environ\nenviron['CUDA_VISIBLE_DEVICES'] = str(-1)\nimport tensorflow\n",
    "import os\nos.putenv('CUDA_VISIBLE_DEVICES', '-1')\nimport tensorflow\n",
    "import os\nos.environ.setdefault('CUDA_VISIBLE_DEVICES', '-1')\nimport tensorflow\n",
    "import os\nos.environ |= {'CUDA_VISIBLE_DEVICES': '-1'}\nimport tensorflow\n",
    "import os as o\nNONE = '-1'\nenv = o.environ\nenv['CUDA_VISIBLE_DEVICES'] = NONE\nimport tensorflow\n",
    "import os\nif __name__ == '__main__':\n    os.environ['CUDA_VISIBLE_DEVICES'] = '-1'\n    import tensorflow\n",
    "import os\ndef cpu():\n    os.environ['CUDA_VISIBLE_DEVICES'] = '-1'\ncpu()\nimport tensorflow\n",
    # Imported first, but nobody has asked for GPUs yet: the driver reads it in time.
    "import os\nimport tensorflow as tf\nos.environ['CUDA_VISIBLE_DEVICES'] = '-1'\ntf.constant(1)\n",
    "import os\nos.environ['CUDA_VISIBLE_DEVICES'] = '0'\nos.environ['CUDA_VISIBLE_DEVICES'] = '-1'\nimport tensorflow\n",
]


@pytest.mark.parametrize("text", HIDING)
def test_a_variable_that_hides_in_time(tmp_path: Path, text: str) -> None:
    (item,) = read(tmp_path, text)
    assert (item.kind, item.late, item.fields["certain"]) == ("visible-devices-env", False, "yes")
    assert item.fields["value"] in ("-1", "")
    assert item.text == text.splitlines()[item.line - 1].strip()


@pytest.mark.parametrize(
    ("text", "value", "certain"),
    [
        ("def use(gpu):\n    os.environ['CUDA_VISIBLE_DEVICES'] = gpu\nuse('-1')", "-1", "yes"),
        ("def use(a, gpu='-1'):\n    os.environ['CUDA_VISIBLE_DEVICES'] = gpu\nuse(1)", "-1", "yes"),
        ("def use(a, *, gpu='-1'):\n    os.environ['CUDA_VISIBLE_DEVICES'] = gpu\nuse(1, gpu=args.x)", None, "yes"),
        ("gpu = '-1'\ndef use(gpu):\n    os.environ['CUDA_VISIBLE_DEVICES'] = gpu", None, "function"),
        (
            "p.add_argument('-g', '--use-gpu', default=-1)\nos.environ['CUDA_VISIBLE_DEVICES'] = str(a.use_gpu)",
            "-1",
            "default",
        ),
        ("flags.DEFINE_string('gpu', '', 'x')\nos.environ.update(CUDA_VISIBLE_DEVICES=FLAGS.gpu)", "", "default"),
        ("x = 1\nos.environ['CUDA_VISIBLE_DEVICES'] = f'-{x}'", "-1", "yes"),
        ("os.environ['CUDA_VISIBLE_' + 'DEVICES'] = '-' + '1'", "-1", "yes"),
        ("E = os.environ\nE['CUDA_VISIBLE_DEVICES'] = '0'\nE['CUDA_VISIBLE_DEVICES'] = '-1'", "-1", "yes"),
        # Which of the two it is nobody knows.
        ("gpu = '0'\nif a:\n    gpu = '-1'\nos.environ['CUDA_VISIBLE_DEVICES'] = gpu", None, "yes"),
        ("for gpu in ['-1']:\n    os.environ['CUDA_VISIBLE_DEVICES'] = gpu", None, "yes"),
    ],
)
def test_where_a_value_comes_from(tmp_path: Path, text: str, value: str | None, certain: str) -> None:
    (item,) = read(tmp_path, f"import os\n{text}\nimport tensorflow\n")
    assert (item.fields.get("value"), item.fields["certain"]) == (value, certain)


def test_a_value_that_may_be_overridden_is_no_longer_sure(tmp_path: Path) -> None:
    text = "import os\nE = os.environ\nE['CUDA_VISIBLE_DEVICES'] = '-1'\nif a:\n    E['CUDA_VISIBLE_DEVICES'] = '0'\n"
    first, second = read(tmp_path, f"{text}import tensorflow\n")
    assert (first.fields["value"], first.fields["certain"]) == ("-1", "branch")
    assert (second.fields["value"], second.fields["certain"]) == ("0", "branch")


def test_a_value_that_is_not_known_is_not_guessed(tmp_path: Path) -> None:
    (item,) = read(tmp_path, "import os, sys\nos.environ['CUDA_VISIBLE_DEVICES'] = sys.argv[1]\nimport tensorflow\n")
    assert "value" not in item.fields


@pytest.mark.parametrize(
    ("text", "certain"),
    [
        ("import os\nif os.name == 'x':\n    os.environ['CUDA_VISIBLE_DEVICES'] = '-1'\nimport tensorflow\n", "branch"),
        ("import os\ndef cpu():\n    os.environ['CUDA_VISIBLE_DEVICES'] = '-1'\nimport tensorflow\n", "function"),
    ],
)
def test_what_may_not_run_is_marked(tmp_path: Path, text: str, certain: str) -> None:
    assert [item.fields["certain"] for item in read(tmp_path, text)] == [certain]


def test_what_never_runs_or_is_taken_back_is_left_out(tmp_path: Path) -> None:
    assert (
        read(tmp_path, "import os\nif False:\n    os.environ['CUDA_VISIBLE_DEVICES'] = '-1'\nimport tensorflow\n") == ()
    )
    taken = (
        "import os\nos.environ['CUDA_VISIBLE_DEVICES'] = '-1'\ndel os.environ['CUDA_VISIBLE_DEVICES']\nimport keras\n"
    )
    assert read(tmp_path, taken) == ()


@pytest.mark.parametrize(
    ("before", "variable", "after"),
    [
        ("import tensorflow as tf\ntf.config.list_physical_devices('GPU')", "CUDA_VISIBLE_DEVICES", "2"),
        ("import tensorflow as tf\ntf.test.is_gpu_available()", "CUDA_VISIBLE_DEVICES", "2"),
        ("import torch, tensorflow\ntorch.cuda.is_available()", "CUDA_VISIBLE_DEVICES", "2"),
        ("from tensorflow.python.client import device_lib\ndevice_lib.list_local_devices()", "CUDA_DEVICE_ORDER", "2"),
        ("import tensorflow as tf\nx = tf.constant(1)", "TF_FORCE_GPU_ALLOW_GROWTH", "2"),
        ("import tensorflow", "TF_CPP_MIN_LOG_LEVEL", "1"),
        ("from keras.layers import Dense\npass", "TF_CPP_MIN_LOG_LEVEL", "1"),
        ("tf = __import__('tensorflow')\ntf.zeros((2, 2))", "TF_GPU_ALLOCATOR", "2"),
        ("import tensorflow\npass", "LD_LIBRARY_PATH", None),
    ],
)
def test_a_variable_that_is_set_after_it_was_read(
    tmp_path: Path, before: str, variable: str, after: str | None
) -> None:
    remarks = read(tmp_path, f"import os\n{before}\nos.environ['{variable}'] = '1'\n")
    (item,) = [item for item in remarks if item.kind != "other-framework"]
    assert item.late
    assert item.fields.get("after_line") == (str(int(after) + 1) if after else None)
    assert item.fields["moment"] == ("process" if after is None else item.fields["moment"])


def test_in_time_means_no_remark(tmp_path: Path) -> None:
    lines = [f"os.environ[{name!r}] = '1'" for name in READ_AT if READ_AT[name] and name != "CUDA_VISIBLE_DEVICES"]
    assert read(tmp_path, "\n".join(["import os", *lines, "import tensorflow as tf", "tf.constant(1)"])) == ()
    # A launcher sets what the loader reads for its children.
    child = "import os, subprocess\nimport tensorflow\nos.environ['LD_LIBRARY_PATH'] = '/x'\nsubprocess.run(['y'])\n"
    assert read(tmp_path, child) == ()
    assert read(tmp_path, "import os\nos.environ['LD_LIBRARY_PATH'] = '/x'\n") == ()


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("import tensorflow as tf\nwith tf.device('/CPU:0'):\n    m = tf.keras.Sequential()\n    m.fit(1)\n", "whole"),
        (
            "from tensorflow import device as d\nimport keras\nm = 1\nwith d('cpu'):\n    keras.Model().fit(m)\n",
            "whole",
        ),
        ("import tensorflow.compat.v1 as tf\nwith tf.device('/job:a/device:CPU:0'):\n    tf.matmul(1, 2)\n", "whole"),
        ("import tensorflow as tf\ndef run():\n    tf.matmul(1, 2)\nwith tf.device('CPU:0'):\n    run()\n", "whole"),
        ("import tensorflow as tf\ntf.device('/cpu:0').__enter__()\ntf.matmul(1, 2)\n", "whole"),
        ("import tensorflow as tf\ns = tf.distribute.OneDeviceStrategy('/cpu:0')\n", "whole"),
        (
            (
                "import tensorflow as tf\nwith tf.device('/CPU:0'):\n    d = tf.data.Dataset.range(3)\n"
                "x = tf.matmul(1, 2)\ny = tf.zeros(3)\nm.fit(d)\n"
            ),
            "part",
        ),
        # Both are measured: nothing keeps this program from the GPU.
        (
            "import tensorflow as tf\nwith tf.device('/CPU:0'):\n    m.fit(1)\nwith tf.device('/GPU:0'):\n    m.fit(1)\n",
            "part",
        ),
    ],
)
def test_how_much_stands_on_the_cpu(tmp_path: Path, text: str, share: str) -> None:
    (item,) = read(tmp_path, text)
    assert (item.kind, item.fields["share"]) == ("cpu-device", share)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tf.config.set_visible_devices([], 'GPU')", [("visible-devices-call", 2, False)]),
        (
            "tf.config.experimental.set_visible_devices(devices=[], device_type='GPU')",
            [("visible-devices-call", 2, False)],
        ),
        (
            "c = tf.config.list_physical_devices('CPU')\ntf.config.set_visible_devices(c)",
            [("visible-devices-call", 3, False)],
        ),
        ("c = tf.config.list_physical_devices('CPU')\ntf.config.set_visible_devices(c, 'CPU')", []),
        ("g = tf.config.list_physical_devices('GPU')\ntf.config.set_visible_devices(g[0], 'GPU')", []),
        ("x = tf.ones(3)\ntf.config.set_visible_devices([], 'GPU')", [("visible-devices-call", 3, True)]),
        ("c = tf.compat.v1.ConfigProto(device_count={'GPU': 0})", [("session-without-gpu", 2, False)]),
        ("c = tf.ConfigProto()\nc.device_count['GPU'] = 0", [("session-without-gpu", 3, False)]),
        ("c = tf.ConfigProto(device_count={'GPU': 1})", []),
        ("o = tf.GPUOptions(per_process_gpu_memory_fraction=0.3)", [("memory-limit", 2, False)]),
        ("with tf.device('/GPU:3'):\n    tf.ones(3)", [("gpu-device", 2, False)]),
        ("with tf.device('/GPU:0'):\n    tf.ones(3)", []),
        ("from tensorflow.keras.utils import multi_gpu_model\nmulti_gpu_model(1)", [("removed-api", 3, False)]),
    ],
)
def test_devices_and_sessions(tmp_path: Path, text: str, expected: list[tuple[str, int, bool]]) -> None:
    assert short(read(tmp_path, f"import tensorflow as tf\n{text}\n")) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # As TensorFlow's guide has it.
        (
            (
                "gpus = tf.config.list_physical_devices('GPU')\nif gpus:\n    try:\n        for gpu in gpus:\n"
                "            tf.config.experimental.set_memory_growth(gpu, True)\n    except RuntimeError as e:\n        print(e)"
            ),
            [],
        ),
        ("[tf.config.experimental.set_memory_growth(g, True) for g in tf.config.list_physical_devices('GPU')]", []),
        (
            "g = tf.config.list_physical_devices('GPU')\ntf.config.experimental.set_memory_growth(g[0], True)",
            [("growth-unequal", 3, False)],
        ),
        (
            (
                "g = tf.config.list_physical_devices('GPU')\ntf.config.set_visible_devices(g[0], 'GPU')\n"
                "tf.config.experimental.set_memory_growth(g[0], True)"
            ),
            [],
        ),
        (
            (
                "x = tf.random.normal((2, 2))\nfor g in tf.config.list_physical_devices('GPU'):\n"
                "    tf.config.experimental.set_memory_growth(g, True)"
            ),
            [("growth-late", 4, True)],
        ),
        (
            "g = tf.config.list_physical_devices('GPU')\nx = tf.ones(3)\ntf.config.experimental.set_memory_growth(g[0], False)",
            [],
        ),
        (
            (
                "g = tf.config.list_physical_devices('GPU')\n"
                "tf.config.set_logical_device_configuration(g[0], [tf.config.LogicalDeviceConfiguration(memory_limit=1024)])\n"
                "tf.config.experimental.set_memory_growth(g[0], True)"
            ),
            [("growth-with-limit", 4, False)],
        ),
        (
            "c = tf.compat.v1.ConfigProto()\ns = tf.compat.v1.Session(config=c)\nc.gpu_options.allow_growth = True",
            [("growth-late", 4, True)],
        ),
        ("c = tf.compat.v1.ConfigProto()\nc.gpu_options.allow_growth = True\ns = tf.compat.v1.Session(config=c)", []),
        # Operations of TensorFlow 1 only build a graph.
        (
            (
                "x = tf.constant(1)\ng = tf.config.list_physical_devices('GPU')\n"
                "tf.config.experimental.set_memory_growth(g, True)\ns = tf.Session()"
            ),
            [],
        ),
    ],
)
def test_memory_growth(tmp_path: Path, text: str, expected: list[tuple[str, int, bool]]) -> None:
    assert short(read(tmp_path, f"import tensorflow as tf\n{text}\n")) == expected


def test_order_goes_by_execution_not_by_lines(tmp_path: Path) -> None:
    text = """
        import tensorflow as tf
        class Trainer:
            def __init__(self):
                self.start()
            def start(self):
                for gpu in tf.config.list_physical_devices("GPU"):
                    tf.config.experimental.set_memory_growth(gpu, True)
        def main():
            x = tf.constant(1.0)
            Trainer()
        main()
    """
    (item,) = read(tmp_path, text)
    assert (item.kind, item.late, item.fields["after"]) == ("growth-late", True, "x = tf.constant(1.0)")
    assert (
        read(tmp_path, text.replace("            x = tf.constant(1.0)\n            Trainer()", "            Trainer()"))
        == ()
    )


def test_notebooks_run_cell_by_cell(tmp_path: Path) -> None:
    remarks = read(
        tmp_path,
        notebook(
            "%pip install tensorflow\n%env CUDA_VISIBLE_DEVICES=-1\n!export LD_LIBRARY_PATH=/usr/lib64",
            "%%bash\nexport CUDA_VISIBLE_DEVICES=0",
            "%%time\nimport tensorflow as tf\nfiles = !ls\ntf.constant?\nif files:\n    !ls\nx = tf.constant(1)",
            "this is no Python",
            "tf.config.set_visible_devices([], 'GPU')",
        ),
        "a.ipynb",
    )
    assert [(item.kind, item.fields["cell"], item.line, item.late) for item in remarks] == [
        ("visible-devices-env", "1", 2, False),
        ("variable-late", "1", 3, True),
        ("variable-late", "2", 2, True),
        ("unparsable", "4", 1, False),
        ("visible-devices-call", "5", 1, True),
    ]
    assert remarks[0].fields["value"] == "-1"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"cells": 3}', '{"cells": [1, null, {"cell_type": "code"}]}', "tensorflow"]
)
def test_odd_notebooks(tmp_path: Path, text: str) -> None:
    assert all(item.kind == "unparsable" for item in read(tmp_path, text, "a.ipynb"))
    assert read(tmp_path, notebook("%env CUDA_VISIBLE_DEVICES=-1", language="R"), "r.ipynb") == ()


def test_python_2_is_read_all_the_same(tmp_path: Path) -> None:
    text = "import os\nprint 'hello'\nos.environ['CUDA_VISIBLE_DEVICES'] = '-1'\nimport tensorflow as tf\n"
    assert short(read(tmp_path, text)) == [("visible-devices-env", 3, False)]
    worse = read(tmp_path, text + "exec 'x' in y\nwith tf.device('/cpu:0'):\n    pass\n")
    assert [(item.kind, item.line) for item in worse] == [
        ("unparsable", 2),
        ("visible-devices-env", 3),
        ("cpu-device", 6),
    ]
    assert {item.fields.get("certain") for item in worse[1:]} == {"text"}


HOSTILE = {
    "null": b"import tensorflow\x00",
    "binary": bytes(range(256)) * 100 + b"tensorflow",
    "utf16": "import tensorflow".encode("utf-16"),
    "unknown-coding": b"# -*- coding: no-such -*-\nimport tensorflow\n",
    "bom": "\ufeffimport os\nos.environ['CUDA_VISIBLE_DEVICES'] = '-1'\nimport tensorflow\n".encode(),
    "attributes": b"import tensorflow\n" + b"a" + b".b" * 200_000,
    "sums": b"import tensorflow\n" + b"+".join([b"1"] * 200_000),
    "brackets": b"import tensorflow\n" + b"(" * 50_000,
    "elif": b"import tensorflow\nif a:\n pass\n" + b"elif b:\n pass\n" * 1200,
    "nested": b"import tensorflow\n" + b"".join(b" " * level + b"if a:\n" for level in range(90)) + b" " * 90 + b"pass",
    "not": b"import tensorflow\n" + b"not " * 100_000 + b"1",
    "functions": b"import tensorflow\n" + b"".join(b"def f%d(): f%d()\n" % (n, n + 1) for n in range(3000)) + b"f0()\n",
    "rings": b"import tensorflow\ndef a(): b()\ndef b(): a()\na()\n",
    "line": b"x = 'tensorflow" + b"a" * 1_500_000 + b"'",
    "large": b"import tensorflow\n" * 200_000,
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_files_end(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.py"
    path.write_bytes(HOSTILE[name])
    facts = read_script(path)
    assert all(item.kind in ("unparsable", "visible-devices-env") for item in facts.remarks)
    assert all(len(item.text) <= 300 for item in facts.remarks)


def test_statements_that_older_parsers_do_not_survive_are_told_from_long_files() -> None:
    for name in ("attributes", "sums", "brackets", "not"):
        assert overlong(HOSTILE[name]), name
    for name in ("large", "functions", "line", "elif", "binary", "null"):
        assert not overlong(HOSTILE[name]), name


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    pipe, ring = tmp_path / "pipe.py", tmp_path / "ring.py"
    os.mkfifo(pipe)
    ring.symlink_to(ring)
    for path in (pipe, ring, tmp_path / "none.py", Path("/dev/zero"), tmp_path / ("x" * 5000)):
        with pytest.raises(UsageError) as refused:
            read_script(path)
        assert refused.value.code == "script-not-readable"


def test_a_folder(tmp_path: Path) -> None:
    hiding = "import os\nos.environ['CUDA_VISIBLE_DEVICES'] = '-1'\nimport tensorflow\n"
    for name in ("a.py", "deep/er/b.py", ".hidden/c.py", "venv/lib/d.py", "node_modules/e.py", "f.txt", "n.pyw"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(hiding)
    (tmp_path / "venv/pyvenv.cfg").touch()
    (tmp_path / "deep/up").symlink_to(tmp_path)
    (tmp_path / "ring.py").symlink_to(tmp_path / "ring.py")
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.py")
    facts = read_script(tmp_path)
    assert (facts.files, [item.file for item in facts.remarks]) == (3, ["a.py", "n.pyw", "deep/er/b.py"])


def test_too_much_is_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "MAX_FILES", 3)
    for number in range(5):
        (tmp_path / f"{number}.py").write_text("pass\n")
    facts = read_script(tmp_path)
    assert (facts.files, [item.kind for item in facts.remarks]) == (3, ["left-out"])


WORDS = st.sampled_from(
    [
        "import os", "import tensorflow as tf", "from tensorflow import device", "os.environ['CUDA_VISIBLE_DEVICES'] = '-1'",
        "with tf.device('/CPU:0'):", "    x = 1", "    tf.constant(1)", "tf.config.set_visible_devices([], 'GPU')", "def f():",
        "f()", "    f()", "if x:", "elif y:", "else:", "try:", "except Exception:", "for g in tf.config.list_physical_devices():",
        "    tf.config.experimental.set_memory_growth(g, True)", "class A:", "    def m(self):", "        self.m()", "a = A()",
        "a.m()", "!ls", "%env CUDA_VISIBLE_DEVICES", "print 'x'", "lambda: f()", "x = tf = os", "del os", "match x:", "\t", "\x00",
    ]
)  # fmt: skip


def whole(facts: ScriptFacts, lines: int) -> None:
    for item in facts.remarks:
        assert 1 <= item.line <= lines + 1
        assert item.kind


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(WORDS, max_size=25), name=st.sampled_from(["x.py", "x.ipynb"]))
def test_any_order_of_lines_is_read(tmp_path: Path, lines: list[str], name: str) -> None:
    path = tmp_path / name
    plain = name.endswith(".py")
    path.write_text("\n".join(["# tensorflow", *lines]) if plain else notebook("\n".join(lines), "tensorflow"))
    whole(read_script(path), len(lines) + 1)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.one_of(st.binary(max_size=400), st.text(max_size=400).map(lambda text: text.encode("utf-8", "replace"))))
def test_any_bytes_are_read(tmp_path: Path, data: bytes) -> None:
    for name in ("x.py", "x.ipynb"):
        path = tmp_path / name
        path.write_bytes(b"# tensorflow\n" * name.endswith("py") + data)
        facts: Any = read_script(path)
        assert facts.files == 1
