"""From a file, its CDA header, the JSON beside it and the options of the command line to one `Description`.

Each source overrules the one before: what can be told from the file itself, the CDA header, `FILE.json`, the options. What is
missing in the end is reported as a whole, each attribute with the option that gives it.
"""

from __future__ import annotations

import dataclasses
import json
import mimetypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from metadata.model import Author, Code
from metadata.scalars import problem_with_dtm
from server.cda import HeaderError, is_cda, read_header
from server.codes import SUFFICIENT, class_of
from server.description import Description, attributes_from_json, new_oid, utc_time
from server.sample_cda import CONFIDENTIALITY_OID

F = TypeVar("F", bound=Callable[..., Any])

#: So many octets at the start of a file tell whether it is CDA.
LOOKED_AT = 64 * 1024
LANGUAGE = "fr-FR"
NORMAL = Code("N", CONFIDENTIALITY_OID, "Normal")


class CodeType(click.ParamType[Code]):
    """`code^display name^code system`, as HL7 writes coded elements; the display name may be empty."""

    name = "code^display^system"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Code:
        if isinstance(value, Code):
            return value
        parts = str(value).split("^")
        if len(parts) != 3 or not parts[0] or not parts[2]:
            self.fail(f"'{value}' is no code: write code^display name^code system, as in '10^Report^1.2.250.1.213.1.1.4.1'")
        return Code(parts[0], parts[2], parts[1] or parts[0])


class TimeType(click.ParamType[str]):
    """A DTM in UTC, any precision."""

    name = "YYYYMMDDhhmmss"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).replace("-", "").replace(":", "").replace("T", "").replace(" ", "").removesuffix("Z")
        problem = problem_with_dtm(text)
        if problem:
            self.fail(f"'{value}': {problem}; write YYYY[MM[DD[hh[mm[ss]]]]] in UTC, such as 20240131 or 2024-01-31T10:15:00")
        return text


@dataclass(frozen=True, slots=True)
class Option:
    """One attribute that an option gives. `many`: it may be repeated, every value counts."""

    flag: str
    attribute: str
    help: str
    type: click.ParamType[Any] = click.STRING
    many: bool = False

    @property
    def parameter(self) -> str:
        """Name of the keyword argument."""
        return "a_" + self.attribute


_CODE, _TIME = CodeType(), TimeType()
OPTIONS = (
    Option("--patient", "patientId", "The patient: ID^^^&OID&ISO."),
    Option("--title", "title", "Title of the document."),
    Option("--class", "classCode", "Class of document.", _CODE),
    Option("--type", "typeCode", "Type of document.", _CODE),
    Option("--format", "formatCode", "Format of the document.", _CODE),
    Option("--facility", "healthcareFacilityTypeCode", "Kind of facility.", _CODE),
    Option("--practice", "practiceSettingCode", "Practice setting.", _CODE),
    Option("--confidentiality", "confidentialityCode", "Confidentiality (default N).", _CODE, many=True),
    Option("--event", "eventCodeList", "Act or finding that is documented.", _CODE, many=True),
    Option("--language", "languageCode", f"Language (default {LANGUAGE})."),
    Option("--mime-type", "mimeType", "Media type (default: by the file's name)."),
    Option("--created", "creationTime", "When it was written, UTC (default: the file's time).", _TIME),
    Option("--start", "serviceStartTime", "Begin of what is documented, UTC.", _TIME),
    Option("--stop", "serviceStopTime", "End of what is documented, UTC.", _TIME),
    Option("--legal-authenticator", "legalAuthenticator", "Who answers for it, as XCN."),
    Option("--source-patient", "sourcePatientId", "The patient's id at the source (default: as --patient)."),
    Option("--patient-info", "sourcePatientInfo", "A PID field: 'PID-5|DOE^Jane'.", many=True),
    Option("--reference", "referenceIdList", "A reference id, as CXi.", many=True),
    Option("--comments", "comments", "Free text."),
    Option("--unique-id", "uniqueId", "uniqueId of the document (default: a new OID)."),
)
AUTHOR_OPTIONS = (
    Option("--author", "authorPerson", "Author, as XCN: ID^FAMILY^GIVEN.", many=True),
    Option("--institution", "authorInstitution", "The author's structure, as XON.", many=True),
    Option("--role", "authorRole", "The author's role.", many=True),
    Option("--specialty", "authorSpecialty", "The author's specialty.", many=True),
)


def takes_metadata(function: F) -> F:
    """Gives a command every option of OPTIONS and AUTHOR_OPTIONS."""
    for option in reversed((*OPTIONS, *AUTHOR_OPTIONS)):
        decorate = click.option(option.flag, option.parameter, type=option.type, multiple=option.many, help=option.help)
        function = decorate(function)
    return function


def given_attributes(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the options of the command line say."""
    attributes = {o.attribute: given[o.parameter] for o in OPTIONS if given.get(o.parameter)}
    author = {o.attribute: tuple(given[o.parameter]) for o in AUTHOR_OPTIONS if given.get(o.parameter)}
    if author:
        attributes["author"] = (Author(**author),)
    return attributes


@dataclass(frozen=True, slots=True)
class Read:
    """What is known of one file: its description or what keeps it from one, and the uniqueIds that it replaces."""

    path: Path
    description: Description | None
    problems: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()


def read_file(path: Path, given: Mapping[str, Any], dmp: bool = False) -> Read:
    """Puts the description of a file together; all problems at once. `dmp`: see `read_header`."""
    problems: list[str] = []
    attributes: dict[str, Any] = {}
    replaces: tuple[str, ...] = ()
    try:
        if not path.stat().st_size:
            return Read(path, None, (f"{path}: the file is empty; an empty document is not sent",))
        attributes = _from_file(path)
        with path.open("rb") as file:
            if is_cda(file.read(LOOKED_AT)):
                file.seek(0)
                header = read_header(file, dmp)
                attributes.update(header.attributes)
                replaces = header.replaces
        attributes.update(_beside(path))
    except OSError as error:
        return Read(path, None, (f"{path}: cannot be read: {error.strerror}",))
    except HeaderError as error:
        problems.append(f"{path}: {error}")
    except ValueError as error:
        problems.append(f"{path}.json: {error}")
    attributes.update(given)
    attributes.setdefault("sourcePatientId", attributes.get("patientId", ""))
    if "classCode" not in attributes and class_of(attributes.get("typeCode")):
        attributes["classCode"] = class_of(attributes["typeCode"])
    problems += [f"{path}: {problem}" for problem in _missing(attributes)]
    return Read(path, None if problems else Description(**attributes), tuple(problems), replaces)


def _from_file(path: Path) -> dict[str, Any]:
    media_type, encoding = mimetypes.guess_type(path.name)
    media_type = "text/xml" if media_type == "application/xml" else media_type
    return {
        "uniqueId": new_oid(),
        "title": path.stem,
        "mimeType": (None if encoding else media_type) or "application/octet-stream",
        "creationTime": utc_time(datetime.fromtimestamp(path.stat().st_mtime, UTC)),
        "languageCode": LANGUAGE,
        "confidentialityCode": (NORMAL,),
        "formatCode": SUFFICIENT,
    }


def _beside(path: Path) -> dict[str, Any]:
    """FILE.json, as `carnet sample` writes it, when it is there."""
    beside = path.with_name(path.name + ".json")
    if not beside.is_file():
        return {}
    data = json.loads(beside.read_text(encoding="utf-8"))
    if not isinstance(data, dict):
        raise ValueError("an object with the document's attributes is expected")
    return attributes_from_json(data)


def _missing(attributes: Mapping[str, Any]) -> list[str]:
    flags = {option.attribute: option for option in OPTIONS}
    problems = []
    for field in dataclasses.fields(Description):
        required = field.default is dataclasses.MISSING
        if required and not attributes.get(field.name) and field.name != "sourcePatientId":
            option = flags[field.name]
            shown = f" {option.type.name}" if option.type is _CODE else ""
            problems.append(f"{field.name} is not known; give {option.flag}{shown}")
    return problems
