"""Public data sets fetched from where they are kept, into a cache, checked by content."""

import hashlib
import os
import shutil
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from twinlab.errors import DataContractError, SpecificationError
from twinlab.roles import Progress, report_nothing

_CHUNK_BYTES: Final = 1 << 18
_TIMEOUT_SECONDS: Final = 30
_MAX_ARCHIVE_BYTES: Final = 200 << 20
_MAX_EXTRACTED_BYTES: Final = 2 << 30


@dataclass(frozen=True)
class Source:
    """Where a data set is kept and how to know that it is the right one.

    Attributes:
      name: what to ask for.
      base_url: folder of the archives; replaced in tests.
      archives: zip files.
      sha256: of files that must be among those extracted, by content, whatever their folder; label -> hex digits.
      citation: whom to thank, and the licence.
    """

    name: str
    base_url: str
    archives: tuple[str, ...]
    sha256: dict[str, str]
    citation: str


FITBIT: Final = Source(
    name="fitbit",
    base_url="https://zenodo.org/records/53894/files",
    archives=("mturkfitbit_export_3.12.16-4.11.16.zip", "mturkfitbit_export_4.12.16-5.12.16.zip"),
    sha256={
        "March-April hourlyCalories_merged.csv": "e3ff873082ded281489f75c9272d4dfac4f80373ccbe78b96a61b2a6a05942b7",
        "March-April hourlyIntensities_merged.csv": "8f0a042dd7528f5e9b51a1f6b05973b8f509d437a429008908c085149d20f429",
        "March-April hourlySteps_merged.csv": "2ae1552ec0ee7521cf002649097ba2abc9e9cc4c6e59e01c396723e98d4c6be0",
        "March-April weightLogInfo_merged.csv": "14e94cca34d0101df9a35fa839ad97a3b551cd6dfce88b30552ab6d2c0601247",
        "March-April dailyActivity_merged.csv": "40c6c90a0e40e8987d5297dfb6d7789030e8358944289fc14d1227a77c58966d",
        "April-May dailyActivity_merged.csv": "0fa994faa255a4424d69703135c43c52ecf68b65c86f9b990550d392f1c3298e",
        "April-May hourlyCalories_merged.csv": "6b5f05341cdb83e56a28368ef7143cb91c638e2e68a1acbe53c59131ac0713c6",
        "April-May hourlyIntensities_merged.csv": "ea1ee2667079815bd173de73d26dd2d3c5eafd8e7e63e841ba0e4269ebb3ca51",
        "April-May hourlySteps_merged.csv": "f4dc8f9e7e7c3713bb34b9f03609c2897525a5f77bf95f245d8689dbccf6b6f6",
        "April-May sleepDay_merged.csv": "1f8a6fe0e885c499c006d18191daff6f74cccd697be7eb1c4721d930e6bad3b7",
        "April-May weightLogInfo_merged.csv": "a216dd42bf85fb397eaed8870d65c6943cdfb03a5caf6eb6b2a85d8a3dac8af1",
    },
    citation=(
        "Furberg, R., Brinton, J., Keating, M., & Ortiz, A. (2016). Crowd-sourced Fitbit datasets "
        "03.12.2016-05.12.2016 [Data set]. Zenodo. https://doi.org/10.5281/zenodo.53894 (CC BY 4.0)"
    ),
)
SOURCES: Final = {FITBIT.name: FITBIT}


def fetch(
    name: str,
    destination: str | Path | None = None,
    progress: Progress = report_nothing,
    source: Source | None = None,
) -> Path:
    """Download a public data set, unless it is there already.

    The files are checked by content and moved into place when all are right, so a broken connection never leaves half a
    data set. Archives that arrived whole are kept meanwhile, so that a second try downloads only the rest.

    Args:
      name: "fitbit": hourly steps, energy and intensity of 35 real people, March to May 2016; see the citation in
        `SOURCES["fitbit"]`. Public.
      destination: folder to make; by default in the cache of the platform, or of the variable TWINLAB_CACHE.
      progress: told about kilobytes.
      source: where to look; for mirrors and tests.

    Returns:
      The folder: `load_fitbit` reads it, and so does `FitbitCohort(path=...)`.

    Raises:
      SpecificationError: if there is no data set of that name.
      DataContractError: if it cannot be reached, is not what was published, or the destination holds something else.
    """
    if source is None:
        if name not in SOURCES:
            raise SpecificationError(f"name: expected one of {', '.join(SOURCES)}, got {name!r}")
        source = SOURCES[name]
    folder = Path(destination).expanduser() if destination is not None else find_cache() / source.name
    if folder.is_dir() and any(folder.iterdir()):
        missing = list_missing(folder, source)
        if not missing:
            return folder
        raise DataContractError(
            f"{folder}: expected an empty folder or the whole data set {source.name!r}, but {len(missing)} of "
            f"{len(source.sha256)} files are missing or altered ({missing[0]} ...); remove the folder and fetch again"
        )
    parts = folder.with_name(folder.name + ".parts")
    parts.mkdir(parents=True, exist_ok=True)
    archives = [_download(source, archive, parts, progress) for archive in source.archives]
    with tempfile.TemporaryDirectory(dir=parts) as scratch:
        for archive in archives:
            _extract(archive, Path(scratch) / archive.stem)
        missing = list_missing(Path(scratch), source)
        if missing:
            for archive in archives:
                archive.unlink()
            raise DataContractError(
                f"{source.name}: {len(missing)} of {len(source.sha256)} files are not what was published "
                f"({missing[0]} ...): the download was altered or the record has changed. Nothing was kept. "
                + _tell_by_hand(source, folder)
            )
        if folder.is_dir():
            folder.rmdir()
        whole = Path(scratch) / "whole"
        whole.mkdir()
        for archive in archives:
            (Path(scratch) / archive.stem).rename(whole / archive.stem)
        whole.rename(folder)
    shutil.rmtree(parts, ignore_errors=True)
    return folder


def find_cache() -> Path:
    """Where downloads are kept: TWINLAB_CACHE, or the platform's folder for caches."""
    if chosen := os.environ.get("TWINLAB_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "twinlab"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "twinlab"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "twinlab"


def list_missing(folder: Path, source: Source) -> list[str]:
    """Labels of the files whose content is nowhere in a folder."""
    found = {_hash(file) for file in folder.rglob("*.csv") if file.is_file()}
    return [label for label, digest in source.sha256.items() if digest not in found]


def _hash(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _download(source: Source, archive: str, parts: Path, progress: Progress) -> Path:
    """One archive, whole or not at all."""
    target = parts / archive
    if target.is_file():
        return target
    partial = target.with_suffix(".part")
    url = f"{source.base_url}/{archive}"
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as reply, partial.open("wb") as stream:
            expected = int(reply.headers.get("Content-Length") or 0)
            done = 0
            while chunk := reply.read(_CHUNK_BYTES):
                stream.write(chunk)
                done += len(chunk)
                if done > _MAX_ARCHIVE_BYTES:
                    raise DataContractError(f"{archive}: larger than {_MAX_ARCHIVE_BYTES >> 20} MB; {url} is not it")
                progress(f"download {archive}", done >> 10, max(expected, done) >> 10)
            if done < expected:
                raise OSError(f"the connection ended after {done} of {expected} bytes")
    except (OSError, ValueError, urllib.error.URLError) as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, DataContractError):
            raise
        reason = getattr(error, "reason", None) or error
        raise DataContractError(
            f"{archive}: {url} could not be fetched ({reason}). Is there a network? Try again; what has arrived whole "
            "is kept. " + _tell_by_hand(source, parts.with_name(parts.name.removesuffix(".parts")))
        ) from None
    partial.rename(target)
    return target


def _tell_by_hand(source: Source, folder: Path) -> str:
    """What to do without this function."""
    return (
        f"By hand: download {' and '.join(source.archives)} from {source.base_url.removesuffix('/files')} on a machine "
        f"with a network and unpack both into {folder}"
    )


def _extract(archive: Path, folder: Path) -> None:
    """Unpack CSV files alone, each below the folder whatever its stored name says."""
    try:
        with zipfile.ZipFile(archive) as bundle:
            members = [item for item in bundle.infolist() if item.filename.lower().endswith(".csv")]
            if sum(item.file_size for item in members) > _MAX_EXTRACTED_BYTES:
                raise DataContractError(f"{archive.name}: expands to more than {_MAX_EXTRACTED_BYTES >> 30} GB")
            for item in members:
                inside = PurePosixPath(item.filename.replace("\\", "/"))
                if inside.is_absolute() or ".." in inside.parts or ":" in item.filename:
                    raise DataContractError(f"{archive.name}: holds a file that would be written outside its folder")
                target = folder.joinpath(*inside.parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                with bundle.open(item) as packed, target.open("wb") as stream:
                    shutil.copyfileobj(packed, stream)
    # the last three are what zipfile raises for a cut file, an unknown compression and a password
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError, RuntimeError):
        archive.unlink()
        raise DataContractError(
            f"{archive.name}: expected a zip file, got something else; it was removed. Fetch again"
        ) from None
