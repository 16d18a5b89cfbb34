"""Codes and MIME types within the affinity domain's lists (ITI TF-2: 3.42.4.1.3.3.3, 3.42.4.1.3.3.4).

Only code and scheme count; display names are never compared. Where `Context.codes` is None nothing is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from metadata.attributes import BY_NAME
from metadata.model import Association, Code, DocumentEntry, Folder, Submission, SubmissionSet
from metadata.rules.declare import rule
from metadata.rules.rule import Context, Fault, Rule
from metadata.vocabulary import ObjectKind, Severity

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


@rule("CODE-012", "ITI TF-2: 3.42.4.1.3.3.3", Submission, severity=Severity.WARNING)
def code_known(context: Context, submission: Submission) -> Iterator[Fault]:
    """Where the affinity domain's list of a code system is not complete, a code is among those that it holds."""
    codes = context.codes
    if not codes:
        return
    for _, kind, _, attribute in _CODED:
        for entity in _OF_KIND[kind](submission):
            sent = getattr(entity, attribute)
            for code in sent if isinstance(sent, tuple) else (sent,) if sent else ():
                if code.code and code.scheme and not codes.knows(attribute, code.code, code.scheme):
                    yield _unknown(context, attribute, f"{code.code}^^{code.scheme}", (code.code, code.scheme), entity)
    for entry in submission.documentEntries:
        if entry.mimeType and not codes.knows("mimeType", entry.mimeType, ""):
            yield _unknown(context, "mimeType", entry.mimeType, (entry.mimeType, ""), entry)


_OF_KIND: dict[ObjectKind, Callable[[Submission], Iterable[Any]]] = {
    ObjectKind.DOCUMENT_ENTRY: lambda submission: submission.documentEntries,
    ObjectKind.SUBMISSION_SET: lambda submission: submission.submissionSets,
    ObjectKind.FOLDER: lambda submission: submission.folders,
    ObjectKind.ASSOCIATION: lambda submission: submission.associations,
}


def _unknown(context: Context, attribute: str, shown: str, code: tuple[str, str], entity: Any) -> Fault:
    message = f"the affinity domain's list for {attribute} is not complete, and the code is not among those that it holds"
    return Fault(message, attribute, shown, _nearest(context, attribute, *code), entity.entryUUID, entity.raw.line)


RULES = (*(_code_rule(*row) for row in _CODED), mime_type_listed, code_known)
