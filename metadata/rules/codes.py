"""Codes and MIME types within the affinity domain's lists (ITI TF-2: 3.42.4.1.3.3.3, 3.42.4.1.3.3.4).

Only code and scheme count; display names are never compared. Where `Context.codes` is None nothing is judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from metadata.attributes import BY_NAME
from metadata.model import Association, Code, DocumentEntry, Folder, SubmissionSet
from metadata.rules.declare import rule
from metadata.rules.rule import Context, Fault, Rule
from metadata.vocabulary import ObjectKind

_CODED: tuple[tuple[str, ObjectKind, type, str], ...] = (
    ("CODE-001", ObjectKind.DOCUMENT_ENTRY, DocumentEntry, "classCode"),
    ("CODE-002", ObjectKind.DOCUMENT_ENTRY, DocumentEntry, "typeCode"),
    ("CODE-003", ObjectKind.DOCUMENT_ENTRY, DocumentEntry, "formatCode"),
    ("CODE-004", ObjectKind.DOCUMENT_ENTRY, DocumentEntry, "confidentialityCode"),
    ("CODE-005", ObjectKind.DOCUMENT_ENTRY, DocumentEntry, "eventCodeList"),
    ("CODE-006", ObjectKind.DOCUMENT_ENTRY, DocumentEntry, "healthcareFacilityTypeCode"),
    ("CODE-007", ObjectKind.DOCUMENT_ENTRY, DocumentEntry, "practiceSettingCode"),
    ("CODE-008", ObjectKind.SUBMISSION_SET, SubmissionSet, "contentTypeCode"),
    ("CODE-009", ObjectKind.FOLDER, Folder, "codeList"),
    ("CODE-010", ObjectKind.ASSOCIATION, Association, "documentation"),
)


def _code_rule(id: str, kind: ObjectKind, of: type, attribute: str) -> Rule:
    def judge(context: Context, entity: Any) -> Iterator[Fault]:
        codes = context.codes
        sent = getattr(entity, attribute) if codes else None
        if not codes or not sent:
            return
        for code in sent if isinstance(sent, tuple) else (sent,):
            # A code without its parts is OBJ-016 or OBJ-017.
            if code.code and code.scheme and not codes.allows(attribute, code.code, code.scheme):
                yield _refused(context, attribute, code, entity.raw.line)

    article = "an" if kind is ObjectKind.ASSOCIATION else "a"
    judge.__doc__ = f"The {attribute} of {article} {kind.value} is in the affinity domain's list, by code and scheme."
    return rule(id, f"ITI TF-2: 3.42.4.1.3.3.3; {BY_NAME[kind, attribute].section}", of)(judge)


def _refused(context: Context, attribute: str, code: Code, line: int | None) -> Fault:
    shown = f"{code.code}^^{code.scheme}"
    message = f"the code is not in the affinity domain's list for {attribute}"
    return Fault(message, attribute, shown, _nearest(context, attribute, code.code, code.scheme), line=line)


def _nearest(context: Context, attribute: str, code: str, scheme: str) -> str:
    near = context.codes.nearest(attribute, code, scheme) if context.codes else ()
    listed = f"Nearest in the list: {', '.join(near)}." if near else "Nothing in the list resembles it."
    return f"{listed} The domain's administrator can add a code."


@rule("CODE-011", "ITI TF-2: 3.42.4.1.3.3.4", DocumentEntry)
def mime_type_listed(context: Context, entry: DocumentEntry) -> Iterator[Fault]:
    """The mimeType of a DocumentEntry is in the affinity domain's list."""
    sent = entry.mimeType
    if context.codes and sent and not context.codes.allows("mimeType", sent, ""):
        message = "the mimeType is not in the affinity domain's list"
        yield Fault(message, "mimeType", sent, _nearest(context, "mimeType", sent, ""), line=entry.raw.line)


RULES = (*(_code_rule(*row) for row in _CODED), mime_type_listed)
