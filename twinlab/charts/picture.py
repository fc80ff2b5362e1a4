"""The door to vl-convert and Pillow: charts as PNG and SVG, and Vega itself as one script, all without a network."""

import io
import os
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert
from PIL import Image

from twinlab.errors import SpecificationError

_N_COLORS = 128  # a chart needs few colours; this many make a PNG about a tenth of what the full range does


def make_png(spec: Mapping[str, Any], scale: float = 2) -> tuple[bytes, int, int]:
    """A Vega-Lite chart as a small PNG.

    Args:
      spec: the chart, as `alt.Chart.to_dict()` gives it.
      scale: device pixels per pixel of the chart; 2 stays sharp on a high-resolution screen.

    Returns:
      The PNG, and the width and height at which it shall be shown.
    """
    full = vl_convert.vegalite_to_png(dict(spec), vl_version=_vegalite_version(), scale=scale)
    with Image.open(io.BytesIO(full)) as picture:
        width, height = picture.size
        small = io.BytesIO()
        picture.convert("RGB").quantize(_N_COLORS, kmeans=1).save(small, format="PNG", optimize=True)
    return small.getvalue(), round(width / scale), round(height / scale)


def make_svg(spec: Mapping[str, Any]) -> str:
    """A Vega-Lite chart as SVG text."""
    return str(vl_convert.vegalite_to_svg(dict(spec), vl_version=_vegalite_version()))


def save_chart(chart: alt.TopLevelMixin, path: str | Path, scale: float = 2) -> Path:
    """Write a chart to a `.png` or `.svg` file.

    Raises:
      SpecificationError: if the path ends in anything else.
    """
    target = Path(path)
    kind = target.suffix.lower()
    if kind not in (".png", ".svg"):
        raise SpecificationError(f"expected a path that ends in .png or .svg, got {target.name!r}")
    spec = chart.to_dict()
    target.parent.mkdir(parents=True, exist_ok=True)
    if kind == ".png":
        target.write_bytes(make_png(spec, scale)[0])
    else:
        target.write_text(make_svg(spec), encoding="utf-8")
    return target


@cache
def load_vega_module() -> bytes:
    """Vega, Vega-Lite and vega-embed as one JavaScript module that exports `vegaEmbed`.

    Bundling takes seconds, so the result is kept in the user's cache folder, by version. A cache that cannot be read or
    written is no error: the module is then bundled again.
    """
    kept = _cache_folder() / f"vega-lite-{_vegalite_version()}-vl-convert-{version('vl-convert-python')}.js"
    try:
        module = kept.read_bytes()
        if module.endswith(_END):
            return module
    except OSError:
        pass
    source = vl_convert.javascript_bundle(
        "export {vegaEmbed}; export default vegaEmbed;", vl_version=_vegalite_version()
    )
    module = source.encode() + _END
    _keep(kept, module)
    return module


_END = b"\n// end of the module\n"  # tells a whole file from one that was cut off while it was written


def _keep(path: Path, content: bytes) -> None:
    """Write a cache file whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, path)
    except OSError:
        return


def _cache_folder() -> Path:
    """Where this platform keeps what can be made again."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "twinlab"


@cache
def _vegalite_version() -> str:
    """The version of Vega-Lite that Altair writes, as vl-convert names it, or the newest that vl-convert knows."""
    wanted = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    known = vl_convert.get_vegalite_versions()
    return wanted if wanted in known else str(known[-1])
