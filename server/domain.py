"""The affinity domain in force: a file that ships (`schemas/codes/`) or one of the operator's folder, read once a process.

A domain is named by `domain.profile`; `NAME.toml` and `NAME.json` have the form of `docs/affinity-domain.md`, `NAME.xml` is a
`codes.xml` of the NIST XDS Toolkit. A folder of the operator's (`domain.folder`) is looked into first.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import schemas
from metadata.domain import Domain
from metadata.domain_reading import DomainError, read_domain, read_nist_codes
from schemas.parse import parse
from schemas.problems import ParseError

SHIPPED = Path(schemas.__file__).parent / "codes"
DEFAULT = "ihe"
_FORMS = (".toml", ".json", ".xml")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def load_domain(profile: str = DEFAULT, folder: str = "") -> Domain:
    """The domain called `profile`. Raises DomainError: there is no such file, or what is wrong in it, line by line."""
    folders = [Path(folder), SHIPPED] if folder else [SHIPPED]
    if folder and not folders[0].is_dir():
        raise DomainError(f"domain.folder = {folder!r} is no folder; accepted: the path of a folder of domain files")
    if _NAME.fullmatch(profile):
        for path in (place / f"{profile}{form}" for place in folders for form in _FORMS):
            if path.is_file():
                return _read(path, path.stat().st_mtime_ns)
    names = ", ".join(sorted({path.stem for place in folders for path in _files(place)}))
    raise DomainError(f"domain.profile = {profile!r}: there is no such domain; accepted: {names}")


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.suffix in _FORMS)


@lru_cache(maxsize=8)
def _read(path: Path, changed: int) -> Domain:
    """The domain of this file as it stood at `changed`."""
    try:
        data = path.read_bytes()
        if path.suffix == ".xml":
            return read_nist_codes(parse(data, what=path.name), path.stem, str(path))
        content = tomllib.loads(data.decode()) if path.suffix == ".toml" else json.loads(data)
    except ParseError as error:
        raise DomainError(f"{path}: cannot be read: {error}") from None
    except (OSError, ValueError) as error:  # not UTF-8, no TOML, no JSON
        raise DomainError(f"{path}: cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise DomainError(f"{path}: holds {type(content).__name__}; accepted: an object with the keys of a domain")
    return read_domain(content, str(path))
