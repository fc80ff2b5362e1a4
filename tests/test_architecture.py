"""The rules of the house. Each rule is run on the project and on a planted violation that it must find."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import twinlab

ROOT = Path(__file__).resolve().parents[1]

VOCABULARY = {
    *(
        "choice",
        "learn_choice",
        "experiment",
        "signals",
        "roles",
        "release",
        "threat",
        "finding",
        "budget",
        "ledger",
        "chain",
        "fleet",
        "errors",
    ),
}
STAGES = {"cohorts", "twins", "protection", "attacks", "evaluation", "governance", "charts"}
FACES = {"widgets", "commands", "course", "__main__"}
#: Imported in at most one module each, so that replacing a library touches one file.
ONE_DOOR = {
    *("opacus", "flwr", "tenseal", "mpyc", "opendp", "dp_accounting", "ray", "mbi"),
    *("papermill", "nbconvert", "vl_convert", "PIL", "anywidget"),
}
JUNK_DRAWERS = {"utils", "util", "common", "helpers", "core", "base", "misc"}
MODULE_LINES, FUNCTION_LINES, CELL_LINES, NOTEBOOK_LINES = 400, 60, 15, 90
HEAVY = ("torch", "pandas", "numpy", "altair", "opacus", "flwr", "tenseal", "papermill", "ipywidgets", "anywidget")


def list_modules(root: Path) -> Iterator[tuple[Path, tuple[str, ...], ast.Module]]:
    """Each module of the package: path, dotted parts below twinlab, syntax tree."""
    for path in sorted((root / "twinlab").rglob("*.py")):
        parts = path.relative_to(root / "twinlab").with_suffix("").parts
        yield path, parts, ast.parse(path.read_text(encoding="utf-8"))


def list_imports(tree: ast.AST, parts: tuple[str, ...] = (), *, typing_too: bool = True) -> Iterator[str]:
    """Dotted names that a module imports; `from a import b` gives `a.b`, `import a.b` gives `a` too, which it names."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test) and not typing_too:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
            yield from (alias.name.split(".")[0] for alias in node.names if "." in alias.name and not alias.asname)
        elif isinstance(node, ast.ImportFrom):
            package = parts[: -node.level] if node.level else ()
            home = ".".join((*(("twinlab", *package) if node.level else ()), *filter(None, [node.module])))
            yield from (f"{home}.{alias.name}" for alias in node.names)
        else:
            yield from list_imports(node, parts, typing_too=typing_too)


def may_import(parts: tuple[str, ...], target: tuple[str, ...]) -> bool:
    """Whether a module of the package may import another; no target is the package whole, which leads everywhere."""
    head = parts[0]
    if not target:
        return head in FACES
    to = target[0]
    if head in VOCABULARY:
        return to in VOCABULARY
    if head == "protection" and to == "protection":
        return len(target) > 1 and len(parts) > 1 and parts[1] == target[1]
    if head in STAGES:
        return to in VOCABULARY or to == head
    if head == "pipeline":
        return to in VOCABULARY | STAGES | {"pipeline"}
    if head in FACES:
        return to in VOCABULARY | {"pipeline", "charts"} or to == head
    return False


def find_forbidden_imports(root: Path) -> list[str]:
    faults = []
    for path, parts, tree in list_modules(root):
        if parts == ("__init__",):
            continue  # it only names where public names live
        for name in list_imports(tree, parts):
            package, *target = name.split(".")
            if package == "twinlab" and not may_import(parts, tuple(target)):
                faults.append(f"{path.relative_to(root)} imports {name}")
    return faults


def find_second_doors(root: Path) -> list[str]:
    doors: dict[str, set[str]] = {}
    for path, parts, tree in list_modules(root):
        for name in list_imports(tree, parts):
            library = name.split(".")[0]
            if library in ONE_DOOR:
                doors.setdefault(library, set()).add(str(path.relative_to(root)))
    return [f"{library}: {', '.join(sorted(paths))}" for library, paths in doors.items() if len(paths) > 1]


def find_cycles(root: Path) -> list[str]:
    graph: dict[str, set[str]] = {}
    modules = {".".join(("twinlab", *parts)).removesuffix(".__init__") for _, parts, _ in list_modules(root)}
    for _, parts, tree in list_modules(root):
        own = ".".join(("twinlab", *parts)).removesuffix(".__init__")
        graph[own] = set()
        for name in list_imports(tree, parts, typing_too=False):
            target = name if name in modules else name.rpartition(".")[0]
            if target in modules and target not in {own, "twinlab"}:
                graph[own].add(target)
    found: list[str] = []
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        if module in trail:
            found.append(" -> ".join((*trail[trail.index(module) :], module)))
        elif module not in done:
            for target in sorted(graph[module]):
                visit(target, (*trail, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())
    return found


def find_long_code(root: Path) -> list[str]:
    faults = []
    for path, _, tree in list_modules(root):
        name = path.relative_to(root)
        n_lines = len(path.read_text(encoding="utf-8").splitlines())
        if n_lines > MODULE_LINES:
            faults.append(f"{name}: {n_lines} lines")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                n_lines = node.end_lineno - node.lineno + 1 - count_docstring_lines(node)
                if n_lines > FUNCTION_LINES:
                    faults.append(f"{name}:{node.lineno} {node.name}: {n_lines} lines")
    return faults


def count_docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """A function is not made long by saying what it does."""
    first = node.body[0]
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return (first.end_lineno or first.lineno) - first.lineno + 1 if is_docstring else 0


def find_star_imports(root: Path) -> list[str]:
    return [
        str(path.relative_to(root))
        for path, parts, tree in list_modules(root)
        if any(name.endswith(".*") for name in list_imports(tree, parts))
    ]


def find_junk_drawers(root: Path) -> list[str]:
    return [
        str(path.relative_to(root))
        for path, parts, _ in list_modules(root)
        if JUNK_DRAWERS & set(parts) or any(part.endswith(("_v2", "_v3")) for part in parts)
    ]


def find_global_randomness(root: Path) -> list[str]:
    """Global generators: a seed set there reaches everything, protective noise included."""
    forbidden = {"manual_seed", "seed"}
    faults = []
    for path, _, tree in list_modules(root):
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            owner = ast.unparse(node.func.value)
            is_global = owner in {"torch", "torch.random", "np.random", "numpy.random", "random", "torch.cuda"}
            if is_global and (node.func.attr in forbidden or owner in {"np.random", "numpy.random", "random"}):
                allowed = {"default_rng", "Generator", "SeedSequence", "Philox", "PCG64", "SystemRandom"}
                if node.func.attr not in allowed:
                    faults.append(f"{path.relative_to(root)}:{node.lineno} {owner}.{node.func.attr}")
    return faults


def find_bad_notebooks(root: Path) -> list[str]:
    faults = []
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        if notebook["metadata"].get("kernelspec", {}).get("name") != "python3":
            faults.append(f"{path.name}: kernelspec is not python3")
        n_lines = n_parameters = 0
        for number, cell in enumerate(notebook["cells"]):
            if cell["cell_type"] != "code":
                continue
            source = "".join(cell["source"])
            tags = cell.get("metadata", {}).get("tags", [])
            lines = [line for line in source.splitlines() if line.strip()]
            n_lines += len(lines)
            n_parameters += "parameters" in tags
            faults += [f"{path.name} cell {number}: {fault}" for fault in find_cell_faults(cell, source, tags, lines)]
        if n_lines > NOTEBOOK_LINES:
            faults.append(f"{path.name}: {n_lines} code lines")
        if n_parameters != 1:
            faults.append(f"{path.name}: {n_parameters} parameters cells")
    return faults


def find_cell_faults(cell: dict, source: str, tags: list[str], lines: list[str]) -> Iterator[str]:
    if cell.get("outputs") or cell.get("execution_count"):
        yield "has outputs"
    if len(lines) > CELL_LINES:
        yield f"{len(lines)} lines"
    if any(line.lstrip().startswith(("!", "%")) for line in lines):
        yield "has a shell or magic line"
        return
    tree = ast.parse(source)
    if "exercise" not in tags and any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in ast.walk(tree)
    ):
        yield "defines something"
    if any(name.endswith(".*") for name in list_imports(tree)):
        yield "has a star import"
    if "parameters" in tags:
        # papermill drops a parameter whose trailing comment holds an equals sign
        for line in lines:
            if line.partition("#")[2].count("="):
                yield "a parameter's comment has an equals sign"
        if any(not isinstance(node, ast.AnnAssign) for node in tree.body):
            yield "a parameter has no type"


def find_map_faults(root: Path) -> list[str]:
    """The map in the README names the package's files and folders, no more and no fewer."""
    readme = (root / "README.md").read_text(encoding="utf-8")
    block = readme.partition("<!-- map -->")[2].partition("<!-- /map -->")[0]
    named = set()
    for line in block.splitlines():
        words = line.split()
        if words and (words[0].endswith((".py", "/"))) and line.startswith("  "):
            named.add(words[0].rstrip("/"))
    there = {
        path.name
        for path in (root / "twinlab").iterdir()
        if (path.suffix == ".py" or (path.is_dir() and any(path.rglob("*.py")))) and path.name != "__pycache__"
    }
    return [f"README does not name {name}" for name in sorted(there - named)] + [
        f"README names {name}, which is not there" for name in sorted(named - there)
    ]


RULES: dict[str, tuple[Callable[[Path], list[str]], dict[str, str]]] = {
    "vocabulary imports only vocabulary": (
        find_forbidden_imports,
        {"twinlab/errors.py": "from twinlab.cohorts import x\n", "twinlab/cohorts/__init__.py": ""},
    ),
    "a stage imports no other stage": (
        find_forbidden_imports,
        {"twinlab/twins/a.py": "import twinlab.cohorts.b\n", "twinlab/cohorts/b.py": ""},
    ),
    "a relative import hides nothing": (
        find_forbidden_imports,
        {"twinlab/twins/a.py": "from ..cohorts import b\n", "twinlab/cohorts/b.py": ""},
    ),
    "a stage does not import the package whole": (
        find_forbidden_imports,
        {"twinlab/twins/a.py": "import twinlab as tl\n"},
    ),
    "a stage imports no public name": (find_forbidden_imports, {"twinlab/twins/a.py": "from twinlab import run\n"}),
    "a module brings no stage the package": (
        find_forbidden_imports,
        {"twinlab/twins/a.py": "import twinlab.errors\n", "twinlab/errors.py": ""},
    ),
    "techniques do not import each other": (
        find_forbidden_imports,
        {
            "twinlab/protection/joint/a.py": "from twinlab.protection.federated import b\n",
            "twinlab/protection/federated/b.py": "",
        },
    ),
    "faces reach stages through the pipeline": (
        find_forbidden_imports,
        {"twinlab/widgets/a.py": "from twinlab.twins import b\n", "twinlab/twins/b.py": ""},
    ),
    "one library, one door": (
        find_second_doors,
        {"twinlab/protection/a.py": "import opacus\n", "twinlab/protection/b.py": "from opacus import accountants\n"},
    ),
    "no import cycles": (
        find_cycles,
        {"twinlab/a.py": "from twinlab import b\n", "twinlab/b.py": "from twinlab.a import x\n"},
    ),
    "modules are short": (find_long_code, {"twinlab/a.py": "x = 1\n" * 401}),
    "functions are short": (find_long_code, {"twinlab/a.py": "def f():\n" + "    x = 1\n" * 60}),
    "no star imports": (find_star_imports, {"twinlab/a.py": "from os import *\n"}),
    "no junk drawers": (find_junk_drawers, {"twinlab/cohorts/utils.py": ""}),
    "no numpy global": (find_global_randomness, {"twinlab/a.py": "import numpy as np\nnp.random.normal(3)\n"}),
    "no torch global": (find_global_randomness, {"twinlab/a.py": "import torch\ntorch.manual_seed(3)\n"}),
    "the README's map equals the tree": (
        find_map_faults,
        {"README.md": "<!-- map -->\n  gone.py   x\n<!-- /map -->\n", "twinlab/a.py": ""},
    ),
}


def write_notebook(source: str, *, tags: tuple[str, ...] = (), outputs: tuple = (), kernel: str = "python3") -> str:
    parameters = {
        "cell_type": "code",
        "metadata": {"tags": ["parameters"]},
        "outputs": [],
        "execution_count": None,
        "source": "epsilon: float = 1.0  # budget",
    }
    cell = {
        "cell_type": "code",
        "metadata": {"tags": list(tags)},
        "outputs": list(outputs),
        "execution_count": None,
        "source": source,
    }
    return json.dumps({"metadata": {"kernelspec": {"name": kernel}}, "cells": [parameters, cell]})


for _name, _notebook in {
    "cells are short": write_notebook("x = 1\n" * 16),
    "notebooks define nothing": write_notebook("def f():\n    return 1\n"),
    "notebooks have no star import": write_notebook("from os import *"),
    "notebooks have no shell cell": write_notebook("!pip install x"),
    "notebooks carry no outputs": write_notebook("x", outputs=({"output_type": "stream"},)),
    "notebooks name the plain kernel": write_notebook("x", kernel="my-env"),
    "notebooks have one parameters cell": write_notebook("y: int = 1", tags=("parameters",)),
    "parameters have types": write_notebook("y = 1", tags=("parameters",)),
    "parameter comments have no equals sign": write_notebook("y: int = 1  # a=b", tags=("parameters",)),
}.items():
    RULES[_name] = (find_bad_notebooks, {"notebooks/00_x.ipynb": _notebook})


@pytest.mark.parametrize("rule", RULES)
def test_the_project_keeps_the_rule(rule):
    find, _ = RULES[rule]
    assert find(ROOT) == []


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_finds_a_planted_violation(rule, tmp_path):
    find, planted = RULES[rule]
    for name, text in planted.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert find(tmp_path) != []


def test_no_public_name_equals_the_name_of_a_module_that_would_hide_it():
    modules = {path.stem for path in (ROOT / "twinlab").glob("*.py")}
    folders = {path.name for path in (ROOT / "twinlab").iterdir() if path.is_dir()}
    for name in twinlab.__all__:
        home = twinlab._HOMES[name]
        assert name not in modules, f"importing twinlab.{name} would hide the public {name}"
        assert name not in folders or home == f"twinlab.{name}"


def test_public_names_are_listed_once_for_people_and_once_for_editors():
    tree = ast.parse((ROOT / "twinlab/__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    editors = {alias.asname or alias.name for node in block.body for alias in node.names}  # type: ignore[attr-defined]
    assert editors == set(twinlab.__all__) == set(twinlab._HOMES)
    for name in twinlab.__all__:
        assert getattr(twinlab, name) is not None


def run_python(code: str, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)


def test_importing_twinlab_loads_nothing_heavy(tmp_path):
    done = run_python(f"import sys, twinlab; print([m for m in {HEAVY!r} if m in sys.modules])", tmp_path)
    assert done.stdout.strip() == "[]", done.stderr


def test_importing_every_module_does_no_work(tmp_path):
    """No files, no threads, no logging handlers, no global torch seed and no chart renderer, on import."""
    names = [".".join(("twinlab", *parts)).removesuffix(".__init__") for _, parts, _ in list_modules(ROOT)]
    names = [name for name in names if not name.endswith("__main__")]
    code = (
        "import importlib, logging, os, sys, threading\n"
        "import torch, altair, numpy, pandas, opacus\n"  # what libraries do on import is theirs
        "before = (torch.initial_seed(), altair.renderers.active, len(logging.root.handlers), torch.get_num_threads(),"
        " torch.get_default_dtype(), str(numpy.random.get_state()[1][:5]))\n"
        f"[importlib.import_module(name) for name in {names!r}]\n"
        "after = (torch.initial_seed(), altair.renderers.active, len(logging.root.handlers), torch.get_num_threads(),"
        " torch.get_default_dtype(), str(numpy.random.get_state()[1][:5]))\n"
        "assert before == after, (before, after)\n"
        "ours = [t.name for t in threading.enumerate() if 'twinlab' in t.name.lower()]\n"
        "assert not ours, ours\n"
        f"print(sorted(p for p in os.listdir({str(tmp_path)!r}) if p not in ('.config', '.cache')))\n"
    )
    done = run_python(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_a_side_effect_on_import_would_be_seen(tmp_path):
    done = run_python("import torch; before = torch.initial_seed(); torch.manual_seed(1); "
                      "assert before == torch.initial_seed()", tmp_path)  # fmt: skip
    assert "AssertionError" in done.stderr
