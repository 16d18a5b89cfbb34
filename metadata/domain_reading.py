"""The content of a domain file becomes a `Domain`, or an error that names every wrong key and what is accepted there.

The form of the file is described in `docs/affinity-domain.md`. Nothing is read here: the content comes as Python values (TOML,
JSON), or as the root element of a `codes.xml` of the NIST XDS Toolkit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from lxml import etree

from metadata.domain import CodeKey, CodeSet, Domain, ListedCode, Listing
from metadata.rules import table
from metadata.rules.attribute_rows import LONG_TITLE, TYPED_PATIENT_ID
from metadata.rules.french import CI_SIS
from metadata.rules.limited import ACCEPT_LIMITED_METADATA
from metadata.rules.table import Policy
from metadata.scalars import is_oid
from metadata.signature_entry import SIGNS_SET
from metadata.update import ARCHIVE

#: The attributes that may have a list.
ATTRIBUTES = (
    "classCode", "typeCode", "formatCode", "confidentialityCode", "eventCodeList", "healthcareFacilityTypeCode",
    "practiceSettingCode", "contentTypeCode", "codeList", "documentation", "mimeType", "languageCode", "authorSpecialty",
)  # fmt: skip
#: Attributes whose codes have no scheme.
_PLAIN = frozenset({"mimeType", "languageCode"})
OPTIONS = (CI_SIS, TYPED_PATIENT_ID, LONG_TITLE, ACCEPT_LIMITED_METADATA, ARCHIVE, SIGNS_SET)
ROLES = ("patient", "professional", "structure")
LIMITS = ("documentSize", "documents")
_KEYS = ("name", "title", "options", "rules", "settings", "limits", "authorities", "codes", "classes")
_GROUP = ("scheme", "name", "list", "mark", "codes")
_CODE = ("code", "display", "from", "until", "replacedBy", "mark")
_CLASSES = ("typeScheme", "classScheme", "mark", "classes")
_POLICIES = {policy.value: policy for policy in Policy}
_LISTINGS = {listing.value: listing for listing in Listing}
_NIST = {"folderCodeList": "codeList", "associationDocumentation": "documentation"}


class DomainError(Exception):
    """A domain file that cannot be used: a line for each thing that is wrong, with file, key and what is accepted."""


class _Reader:
    """One pass over the content of one file; collects what is wrong."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[str] = []

    def refuse(self, key: str, value: object, accepted: str) -> None:
        self.problems.append(f"{self.file}: {key} = {value!r} is not accepted; accepted: {accepted}")

    def table(self, content: Mapping[str, Any], key: str, where: str = "") -> dict[str, Any]:
        value = content.get(key, {})
        if isinstance(value, dict):
            return value
        self.refuse(where or key, value, "a table")
        return {}

    def items(self, value: Any, where: str) -> list[dict[str, Any]]:
        if isinstance(value, list) and all(isinstance(one, dict) for one in value):
            return value
        self.refuse(where, value, "a list of tables")
        return []

    def text(self, content: Mapping[str, Any], key: str, where: str, *, needed: bool = False) -> str:
        value = content.get(key, "")
        if isinstance(value, date):  # TOML has dates of its own
            return value.isoformat()
        if not isinstance(value, str) or (needed and not value):
            self.refuse(f"{where}.{key}" if where else key, value, "text")
            return ""
        return value

    def known(self, names: Iterable[str], accepted: Iterable[str], where: str) -> None:
        listed = tuple(accepted)
        for name in names:
            if name not in listed:
                self.problems.append(f"{self.file}: {where + '.' if where else ''}{name}: there is no such key; "
                                     f"accepted: {', '.join(listed)}")  # fmt: skip

    # ----------------------------------------------------------------------------------------------------------- parts

    def policies(self, content: Mapping[str, Any]) -> dict[str, Policy]:
        chosen = {}
        for id, word in self.table(content, "rules").items():
            try:
                table.rule(id)
            except KeyError:
                self.problems.append(f"{self.file}: rules.{id}: there is no such rule; accepted: the ids of docs/rules.md")
            if not isinstance(word, str) or word not in _POLICIES:
                self.refuse(f"rules.{id}", word, ", ".join(_POLICIES))
            else:
                chosen[id] = _POLICIES[word]
        return chosen

    def options(self, content: Mapping[str, Any]) -> frozenset[str]:
        value = content.get("options", [])
        if not isinstance(value, list) or not all(one in OPTIONS for one in value):
            self.refuse("options", value, f"a list of {', '.join(OPTIONS)}")
            return frozenset()
        return frozenset(value)

    def limits(self, content: Mapping[str, Any]) -> dict[str, int]:
        values = self.table(content, "limits")
        self.known(values, LIMITS, "limits")
        for name, value in values.items():
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                self.refuse(f"limits.{name}", value, "a whole number above 0")
        return {name: value for name, value in values.items() if isinstance(value, int)}

    def authorities(self, content: Mapping[str, Any]) -> dict[str, dict[str, str]]:
        roles = self.table(content, "authorities")
        self.known(roles, ROLES, "authorities")
        found = {}
        for role in roles:
            found[role] = self.table(roles, role, f"authorities.{role}")
            for oid, kind in found[role].items():
                if not is_oid(oid) or not isinstance(kind, str):
                    self.refuse(f"authorities.{role}.{oid}", kind, "an OID in quotes, and the HL7 type of its ids as text")
        return found

    def sets(self, content: Mapping[str, Any]) -> dict[str, CodeSet]:
        attributes = self.table(content, "codes")
        self.known(attributes, ATTRIBUTES, "codes")
        return {name: self.code_set(name, self.items(groups, f"codes.{name}")) for name, groups in attributes.items()}

    def code_set(self, attribute: str, groups: list[dict[str, Any]]) -> CodeSet:
        schemes: dict[str, Listing] = {}
        codes: dict[CodeKey, ListedCode] = {}
        for number, group in enumerate(groups, 1):
            where = f"codes.{attribute}[{number}]"
            self.known(group, _GROUP, where)
            scheme = self.text(group, "scheme", where, needed=attribute not in _PLAIN)
            word = group.get("list", Listing.COMPLETE.value)
            if not isinstance(word, str) or word not in _LISTINGS:
                self.refuse(f"{where}.list", word, ", ".join(_LISTINGS))
                continue
            if scheme in schemes:
                self.refuse(f"{where}.scheme", scheme, "a code system that has no other list for this attribute")
            schemes[scheme] = _LISTINGS[word]
            for one in self.codes(group, where, scheme):
                if (one.code, scheme) in codes:
                    self.refuse(f"{where}.codes", one.code, "each code once")
                codes[one.code, scheme] = one
        return CodeSet(schemes, codes)

    def codes(self, group: Mapping[str, Any], where: str, scheme: str) -> list[ListedCode]:
        found = []
        for number, item in enumerate(self.items(group.get("codes", []), f"{where}.codes"), 1):
            here = f"{where}.codes[{number}]"
            self.known(item, _CODE, here)
            first, last = (self.day(item, key, here) for key in ("from", "until"))
            if first and last and first > last:
                self.refuse(f"{here}.until", last, f"a day not before {first}")
            code = self.text(item, "code", here, needed=True)
            display, successor = (self.text(item, key, here) for key in ("display", "replacedBy"))
            found.append(ListedCode(code, scheme, display, first, last, successor))
        return found

    def day(self, item: Mapping[str, Any], key: str, where: str) -> str:
        text = self.text(item, key, where)
        if not text:
            return ""
        try:
            if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
                return date.fromisoformat(text).isoformat()
        except ValueError:
            pass  # right digits, no day of the calendar
        self.refuse(f"{where}.{key}", text, "a day, YYYY-MM-DD")
        return ""

    def classes(self, content: Mapping[str, Any]) -> dict[CodeKey, CodeKey]:
        found: dict[CodeKey, CodeKey] = {}
        for number, group in enumerate(self.items(content.get("classes", []), "classes"), 1):
            where = f"classes[{number}]"
            self.known(group, _CLASSES, where)
            of, to = (self.text(group, key, where, needed=True) for key in ("typeScheme", "classScheme"))
            for code, value in self.table(group, "classes", f"{where}.classes").items():
                if not isinstance(value, str):
                    self.refuse(f"{where}.classes.{code}", value, "the code of a class, as text")
                found[code, of] = (str(value), to)
        return found


def read_domain(content: Mapping[str, Any], file: str) -> Domain:
    """The domain of this content. Raises DomainError with everything that is wrong."""
    reader = _Reader(file)
    reader.known(content, _KEYS, "")
    domain = Domain(
        name=reader.text(content, "name", "", needed=True),
        title=reader.text(content, "title", ""),
        sets=reader.sets(content),
        classes=reader.classes(content),
        assigning=reader.authorities(content),
        limits=reader.limits(content),
        policies=reader.policies(content),
        options=reader.options(content),
        settings=reader.table(content, "settings"),
    )
    if reader.problems:
        raise DomainError("\n".join(reader.problems))
    return domain


def read_nist_codes(root: etree._Element, name: str, file: str) -> Domain:
    """The lists of a `codes.xml` as the NIST XDS Toolkit has it, each complete. Raises DomainError."""
    if root.tag != "Codes":
        raise DomainError(f"{file}: the root element is {root.tag}; accepted: Codes")
    groups: dict[str, dict[str, list[dict[str, str]]]] = {}
    for kind in root.iterfind("CodeType"):
        attribute = _NIST.get(kind.get("name", ""), kind.get("name", ""))
        schemes = groups.setdefault(attribute, {})
        for item in kind.iterfind("Code"):
            codes = schemes.setdefault(item.get("codingScheme", "") if attribute not in _PLAIN else "", [])
            codes.append({"code": item.get("code", ""), "display": item.get("display", "")})
    lists = {
        name: [{"scheme": scheme, "codes": list({c["code"]: c for c in codes}.values())} for scheme, codes in schemes.items()]
        for name, schemes in groups.items()
    }
    return read_domain({"name": name, "title": f"Lists of {file}", "codes": lists}, file)
