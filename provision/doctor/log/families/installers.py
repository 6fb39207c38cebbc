"""Messages of pip, uv, poetry and conda."""

from __future__ import annotations

from provision.doctor.log.family import Family, family

# only from the start of a word, and of bounded length: a hostile line must not cost the square of its length
_PACKAGE = r"(?<![\w.\-])(?P<package>[A-Za-z][\w.\-]{0,60})"

FAMILIES: tuple[Family, ...] = (
    # resolvers
    family(
        "no-version",
        r"Could not find a version that satisfies the requirement "
        r"(?P<package>[A-Za-z][\w.\-]*)(?P<wanted>[^\n(]{0,120}?)"
        r" ?\(from (?P<by>tf-nightly|tensorflow)[^\n)]*\) \(from versions: ?(?P<versions>[^)\n]*)",
        "could not find a version",
        kind="pip",
    ),
    family(
        "no-version",
        r"Could not find a version that satisfies the requirement "
        r"(?P<package>[A-Za-z][\w.\-]*)(?P<wanted>[^\n(]{0,120}?)"
        r" ?\(from versions: ?(?P<versions>[^)\n]*)",
        "could not find a version",
        kind="pip",
    ),
    family(
        "no-distribution",
        rf"No matching distribution found for {_PACKAGE}(?P<wanted>[^\s(]{{0,60}})",
        "no matching distribution",
        kind="pip",
    ),
    family("no-distribution", rf"Unable to find installation candidates for {_PACKAGE}", "candidates for", kind="pip"),
    family(
        "wheel-refused",
        r"(?<![\w.])(?P<package>[\w.]{1,60})-[\w.!+]{1,40}-(?P<tag>(?:cp|"
        r"py)\d{1,4}[\w.\-]{0,60})\.whl is not a supported wheel",
        "supported wheel",
        kind="pip",
    ),
    family(
        "requires-python",
        rf"(?:Package|ERROR: Package)? ?'?{_PACKAGE}'? requires a different Python: (?P<found>[\d.]+) "
        rf"not in '(?P<needs>[^'\n]+)'",
        "different python",
        kind="pip",
    ),
    family(
        "requires-python",
        r"Ignored the following versions that require a different python version",
        "different python version",
        kind="pip",
    ),
    family(
        "stub-package",
        r"The \"?tensorflow-gpu\"? package has been removed|tensorflow-gpu[^\n]{0,60}has been removed|"
        r"tensorflow[-_]gpu-2\.1[2-9][\w.]*\.tar\.gz",
        "has been removed|.tar.gz",
        kind="pip",
    ),
    family(
        "conflict",
        rf"{_PACKAGE} (?P<of>[\w.+!]+) (?:requires|has requirement) "
        rf"(?P<needs>[A-Za-z][^,\n]{{0,80}}?(?:,[<>=!~][^,\n]{{0,30}}){{0,6}}), but you(?:'ll)? have "
        r"(?P<found>[A-Za-z][\w.\-]* [\w.+!]+)",
        "but you",
        kind="pip",
    ),
    family(
        "depends",
        rf"{_PACKAGE}(?:\[[\w,\-]+\])?(?:==| )(?P<of>\d[\w.+!]*) depends on "
        rf"(?P<needs>[A-Za-z][\w.\-]*)(?P<range>[^\n]{{0,60}})",
        "depends on",
        kind="pip",
    ),
    family(
        "unresolvable",
        r"because these package versions have conflicting dependencies|ResolutionImpossible|"
        r"requirements are unsatisfiable|incompatible versions in the resolved dependencies:\s*\n"
        r"\s*(?P<needs>[A-Za-z][\w.\-]*)",
        "conflicting dependencies|resolutionimpossible|unsatisfiable|incompatible versions",
        kind="pip",
    ),
    family(
        "uv-wheel-tags",
        rf"{_PACKAGE}(?:\[[\w,\-]+\])?(?P<wanted>[=<>~!][^\s]{{0,60}})? has no wheels with a matching "
        rf"(?P<what>Python (?:implementation|version|ABI)|platform)[^\n]{{0,30}}tag",
        "no wheels",
        kind="uv",
    ),
    family(
        "uv-wheel-tags",
        rf"(?:wheels|hint)[^\n]{{0,80}} for `?{_PACKAGE}`?[^\n]{{0,80}} (?:with the following|Python "
        rf"ABI|Python version|platform) (?:tags?|tag)",
        "wheels",
        kind="uv",
    ),
    family(
        "uv-wheel-tags",
        rf"{_PACKAGE}(?P<wanted>[=<>~!][^\s]{{0,60}})? is unusable because no wheels are available with a matching "
        rf"(?P<what>Python (?:implementation|version|ABI)|platform)",
        "is unusable",
        kind="uv",
    ),
    family(
        "uv-wheel-tags",
        rf"distribution `?{_PACKAGE}(?P<wanted>[=<>~!][^\s`]{{0,60}})?[^\n]{{0,80}}can't be installed because "
        rf"it doesn't have a source "
        r"distribution or wheel for (?P<what>the current platform)",
        "can't be installed",
        kind="uv",
    ),
    family(
        "uv-unsatisfiable",
        rf"(?:No solution found when resolving|because there (?:is|are) no versions? of {_PACKAGE})",
        "no solution|no version",
        kind="uv",
    ),
    family(
        "poetry-python",
        rf"{_PACKAGE} requires Python (?P<needs>[<>=~!][^\n,;]*(?:,\s?[<>=~!][^\n;]*)?),? so it will not "
        rf"be (?:satisfied|installable)",
        "requires python",
        kind="pip",
    ),
    family(
        "conda-missing",
        r"PackagesNotFoundError|(?:nothing provides|following packages are not available)",
        "packagesnotfound|nothing provides|not available from",
        kind="conda",
    ),
    family("conda-no-cuda", r"nothing provides __cuda|\b__cuda\b[^\n]{0,60}missing", "__cuda", kind="conda"),
    family(
        "conda-unsatisfiable",
        r"(?:LibMamba)?UnsatisfiableError|incompatible with the existing python installation|is not "
        r"installable because|pin-\d on|package conflicts",
        "unsatisfiable|incompatible|not installable|conflicts",
        kind="conda",
    ),
    family(
        "conda-python",
        r"Specifications:\s+(?:- )?(?P<package>tensorflow[\w\-]*)[^\n]*-> ?python",
        "specifications",
        kind="conda",
    ),
    family(
        "conda-python",
        r"(?P<package>tensorflow[\w\-]*)[^\n]{0,80} would require[\s\u2502\u2514\u251c\u2500|`\-]+"
        r"python [^\n]{0,60}, which (?:conflicts with|does not exist)",
        "would require",
        kind="conda",
    ),
    family(
        "cpu-build",
        r"\b(?P<package>tensorflow(?:-base)?)\s+(?P<version>\d[\w.]*)\s+(?P<build>(?:eigen|mkl|cpu)_\w+)",
        "eigen_|mkl_|cpu_",
        kind="conda",
    ),
    family(
        "listed-package",
        r"(?:^|\n)[\x20\t]*(?P<package>tensorflow(?:[-_](?:cpu|gpu|intel|macos|rocm|metal|directml\w*))?|"
        r"tf[-_]nightly(?:[-_]\w+)?|protobuf|numpy|keras)(?:==|\s{1,30})(?P<version>\d+\.\d+[\w.]*)",
        "tensorflow==|tensorflow   |tensorflow-cpu|tensorflow-gpu|tensorflow-intel|tensorflow_cpu|"
        "tensorflow_gpu|tf-nightly|tf_nightly|tensorflow 1|tensorflow 2",
        kind="pip",
    ),
)
"""Rows of package managers."""
