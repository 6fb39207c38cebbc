"""Messages of Python when a program imports TensorFlow."""

from __future__ import annotations

from provision.doctor.log.family import Family, family

FAMILIES: tuple[Family, ...] = (
    family(
        "protobuf",
        r"Descriptors (?:cannot|should)(?: not)? be created directly",
        "descriptors cannot|descriptors should",
        kind="python",
    ),
    family(
        "protobuf",
        r"cannot import name '?(?P<name>builder|runtime_version|symbol_database|service_reflection|"
        r"_message|descriptor)'? from '?google\.protobuf",
        "google.protobuf",
        kind="python",
    ),
    family("protobuf", r"Detected (?:incompatible|mismatched) Protobuf Gencode/Runtime", "gencode", kind="python"),
    family(
        "protobuf",
        r"'MessageFactory' object has no attribute 'GetPrototype'|google\.protobuf[^\n]{0,60}has no "
        r"attribute|google\.protobuf[^\n]{0,40}has no attribute '_internal_create_key'",
        "getprototype|google.protobuf",
        kind="python",
    ),
    family(
        "protobuf",
        r"got an unexpected keyword argument '(?:serialized_options|serialized_pb|create_key|syntax|file)'",
        "serialized_|create_key|'syntax'|'file'",
        kind="python",
    ),
    family(
        "protobuf",
        r"version [\d.]+ of the Protocol Buffer runtime library|Protocol Buffer(?: runtime)? "
        r"library[^\n]{0,60}(?:version|older)|Couldn't (?:build proto file into|parse file content "
        r"into?) descriptor pool|RepeatedCompositeContainer' object has no attribute",
        "protocol buffer|descriptor pool|repeatedcomposite",
        kind="python",
    ),
    family(
        "protobuf", r"No module named '?google\.protobuf'?|No module named '?google'?(?=\s|$)", "named", kind="python"
    ),
    family(
        "numpy",
        r"module compiled against A[PB]I version (?P<built>0x[0-9a-f]+) but this version of numpy is "
        r"(?P<found>0x[0-9a-f]+)",
        "compiled against",
        kind="python",
    ),
    family(
        "numpy",
        r"compiled using NumPy 1\.x cannot be run in|numpy\.(?:dtype|ufunc|ndarray) size changed|_ARRAY_API not found",
        "numpy|_array_api",
        kind="python",
    ),
    family(
        "numpy", r"numpy\.core\.(?:_?multiarray(?:_umath)?|umath) failed to import", "failed to import", kind="python"
    ),
    family(
        "numpy",
        r"module 'numpy' has no attribute '(?P<name>object|bool|float|int|complex|str|typeDict|"
        r"unicode_|string_|complex_|float_)'|`np\.\w+_?` was removed in the NumPy 2",
        "numpy",
        kind="python",
    ),
    family(
        "keras",
        r"Your currently installed version of Keras is Keras 3|Keras 3[^\n]{0,60}not (?:yet "
        r")?supported|requires? (?:the )?(?:backwards-compatible )?`?tf[-_]keras`?",
        "keras",
        kind="python",
    ),
    family(
        "keras",
        r"cannot import name '(?P<name>dtensor|LayerNormalization|get_config|tf_utils|"
        r"BatchNormalization)' from '(?:tensorflow|keras)|No module named '(?:keras\.(?:engine|src|"
        r"saving|utils|layers)[\w.]*|tensorflow\.keras[\w.]*|tf_keras)'(?!; '\w+' is not a package)|"
        r"module 'keras' has no attribute '|module 'keras(?:_core)?\.[\w.]+' has no attribute|module "
        r"'tensorflow\.compat\.v2\.__internal__[\w.]*' has no attribute|"
        r"tensorflow\.python\.keras[\w.]* has no attribute",
        "keras|dtensor|__internal__",
        kind="python",
    ),
    family(
        "typing-extensions",
        r"cannot import name '(?P<name>\w+)' from (?:partially initialized module )?'typing_extensions'",
        "typing_extensions",
        kind="python",
    ),
    family("no-tensorflow", r"No module named '?tensorflow'?(?![\w.])", "named", kind="python"),
    family(
        "no-tensorflow-part",
        r"No module named '?(?P<name>tensorflow\.[\w.]+|_pywrap_tensorflow\w*)'?",
        "module named",
        kind="python",
    ),
    family(
        "shadow",
        r"'tensorflow' is not a package|partially initialized module 'tensorflow'",
        "not a package|partially initialized",
        kind="python",
    ),
    family(
        "tensorflow-empty", r"module '?tensorflow'? has no attribute '?(?P<name>\w+)", "has no attribute", kind="python"
    ),
    family("local-file", r"File \"(?P<file>[^\"\n]*[/\\]tensorflow\.py)\"", "tensorflow.py", kind="python"),
    family(
        "illegal-instruction",
        r"(?<!an\s)\bIllegal (?:hardware )?instruction\b(?! (?:Parameter|Encoding|was))|\bSIGILL\b|0xC000001D|"
        r"\(exit(?: code)? 132\)|exit code 132\b",
        "illegal instruction|illegal hardware|sigill|c000001d|132",
        kind="python",
    ),
    family(
        "illegal-instruction",
        r"compiled to use (?P<what>[\w.]+) instructions, but these aren't available on your machine",
        "instructions, but|aren't available",
        kind="tensorflow",
    ),
    family("segfault", r"Segmentation fault|\bSIGSEGV\b|0xC0000005", "segmentation|sigsegv|c0000005", kind="python"),
    family(
        "no-space",
        r"No space left on device|Disk quota exceeded|\[Errno 28\]",
        "space left|quota|errno 28",
        kind="python",
    ),
    family("traceback", r"Traceback \(most recent call last\)", "traceback", kind="python"),
    family(
        "python-version",
        r"\bPython(?:\s?version)?[ :=v]{1,4}(?P<version>[23]\.\d+)(?:\.\d+)?\b",
        "python",
        kind="python",
    ),
    family("python-version", r"[/\\]python(?P<version>[23]\.\d+)[/\\]", "python", kind="python"),
    family("python-32-bit", r"32 bit \(Intel\)|\bwin32\.whl|\bcp\d+-win32\b", "32 bit|win32", kind="python"),
)
"""Rows of Python."""
