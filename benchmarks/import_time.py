"""What `import twinlab` costs: seconds beyond a bare interpreter, and heavy libraries it loads."""

import argparse
import json
import statistics
import subprocess
import sys
import time

HEAVY = (
    "torch",
    "pandas",
    "numpy",
    "scipy",
    "altair",
    "opacus",
    "flwr",
    "tenseal",
    "opendp",
    "papermill",
    "ipywidgets",
)


def measure_start(code: str) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--quick", action="store_true", help="11 starts (the default)")
    mode.add_argument("--full", action="store_true", help="51 starts")
    n_starts = 51 if parser.parse_args().full else 11
    bare, ours = [], []
    for _ in range(n_starts):  # taking turns, so that a busy moment hits both
        bare.append(measure_start("pass"))
        ours.append(measure_start("import twinlab"))
    bare_seconds, our_seconds = statistics.median(bare), statistics.median(ours)
    code = f"import sys, twinlab; print([name for name in {HEAVY!r} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    print(f"bare interpreter {bare_seconds:.3f} s, with twinlab {our_seconds:.3f} s; loads {loaded}")
    values = {"import_seconds": our_seconds - bare_seconds, "heavy_modules": loaded.count("'") // 2}
    print(json.dumps({"benchmark": "import_time", "values": values, "context": {"n_starts": n_starts}}))


if __name__ == "__main__":
    main()
