"""Does the wheel hold what the checkout's packages hold?  `python tests/house/wheel.py WHEEL ROOT`

Compares the wheel with the tracked files of every package in setup.cfg, both ways: schemas, WSDL and dictionaries included,
tests and benchmarks not.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path, PurePosixPath


def packages(root: Path) -> set[str]:
    """Folders of the packages that setup.cfg lists."""
    config = ConfigParser()
    config.read(root / "setup.cfg")
    return {name.replace(".", "/") for name in config["options"]["packages"].split()}


def tracked(root: Path) -> set[str]:
    done = subprocess.run(["git", "-C", str(root), "ls-files", "-z"], capture_output=True, text=True, check=True, timeout=300)
    return {name for name in done.stdout.split("\0") if name}


def expected(root: Path) -> set[str]:
    """The tracked files below a package, of any kind."""
    tops = {name.split("/")[0] for name in packages(root)}
    return {name for name in tracked(root) if PurePosixPath(name).parts[0] in tops and "/" in name}


def held(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name and not name.endswith("/")}


def main(wheel: Path, root: Path) -> int:
    wanted, there = expected(root), held(wheel)
    for name in sorted(wanted - there):
        print(f"missing in the wheel: {name} (setup.cfg: packages or package_data)")
    for name in sorted(there - wanted):
        print(f"not tracked, yet in the wheel: {name}")
    print(f"{wheel.name}: {len(there)} files, {wheel.stat().st_size / 1024:.0f} kB")
    return 0 if wanted == there else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
