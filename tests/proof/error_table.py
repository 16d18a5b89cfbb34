"""ITI TF-3: Table 4.2.4.1-2 for ITI-41, 42, 18 and 43, typed from the standard, and the codes that nothing brings about here."""

from __future__ import annotations

import re
from collections.abc import Iterator

P, R, SQ, RS = "ITI-41", "ITI-42", "ITI-18", "ITI-43"
TABLE: dict[str, tuple[str, ...]] = {
    "DocumentQueued": (P,),
    "InvalidDocumentContent": (P,),
    "PartialAppendContentNotProcessed": (P,),
    "PartialFolderContentNotProcessed": (P,),
    "PartialRelationshipContentNotProcessed": (P,),
    "PartialReplaceContentNotProcessed": (P,),
    "PartialTransformNotProcessed": (P,),
    "PartialTransformReplaceNotProcessed": (P,),
    "UnresolvedReferenceException": (P, R),
    "XDSDocumentUniqueIdError": (RS,),
    "XDSDuplicateUniqueIdInRegistry": (P, R),
    "XDSExtraMetadataNotSaved": (P, R),
    "XDSMissingDocument": (P,),
    "XDSMissingDocumentMetadata": (P,),
    "XDSMissingHomeCommunityId": (SQ, RS),
    "XDSNonIdenticalHash": (P, R),
    "XDSNonIdenticalSize": (P, R),
    "XDSPatientIdDoesNotMatch": (P, R),
    "XDSRegistryBusy": (P, R, SQ),
    "XDSRepositoryBusy": (P, RS),
    "XDSRegistryDeprecatedDocumentError": (P, R),
    "XDSRegistryDuplicateUniqueIdInMessage": (P, R),
    "XDSRepositoryDuplicateUniqueIdInMessage": (P, R),
    "XDSRegistryError": (P, R, SQ),
    "XDSRepositoryError": (P, RS),
    "XDSRegistryMetadataError": (P, R),
    "XDSRepositoryMetadataError": (P, R),
    "XDSRegistryNotAvailable": (P,),
    "XDSRegistryOutOfResources": (P, R, SQ),
    "XDSRepositoryOutOfResources": (P, RS),
    "XDSReplaceFailed": (P, R),
    "XDSResultNotSinglePatient": (SQ, RS),
    "XDSStoredQueryMissingParam": (SQ,),
    "XDSStoredQueryParamNumber": (SQ,),
    "XDSTooManyResults": (SQ, RS),
    "XDSUnavailableCommunity": (SQ, RS),
    "XDSUnknownCommunity": (SQ, RS),
    "XDSUnknownPatientId": (SQ, P, R),
    "XDSUnknownRepositoryId": (RS,),
    "XDSUnknownStoredQuery": (SQ,),
}

_RECIPIENT = "an XDR Document Recipient says it of semantics that it does not process; a registry processes all of them"
_GATEWAY = "an XCA gateway says it; a registry accepts and ignores @home (ITI TF-2: 3.18.4.1.3)"
_ONCE = "the registry finds it and says XDSRegistryDuplicateUniqueIdInMessage, in one process as apart"
_LAST = "a last resort for what no other code tells; every cause that a message can have is told by a better one"
NEVER: dict[tuple[str, str], str] = {
    ("DocumentQueued", P): "an XDR Document Recipient says it when a person must match the patient; nothing is queued here",
    ("InvalidDocumentContent", P): "documents are opaque octets to a repository (ITI TF-1: 10.1.2.2)",
    **{(code, P): _RECIPIENT for code in TABLE if code.startswith("Partial")},
    ("XDSExtraMetadataNotSaved", P): "extra metadata is saved and returned",
    ("XDSExtraMetadataNotSaved", R): "extra metadata is saved and returned",
    ("XDSMissingHomeCommunityId", SQ): _GATEWAY,
    ("XDSMissingHomeCommunityId", RS): _GATEWAY,
    ("XDSUnavailableCommunity", SQ): _GATEWAY,
    ("XDSUnavailableCommunity", RS): _GATEWAY,
    ("XDSUnknownCommunity", SQ): _GATEWAY,
    ("XDSUnknownCommunity", RS): _GATEWAY,
    ("XDSRepositoryDuplicateUniqueIdInMessage", P): _ONCE,
    ("XDSRepositoryDuplicateUniqueIdInMessage", R): "a repository's code",
    ("XDSRepositoryMetadataError", R): "a repository's code",
    ("XDSReplaceFailed", P): "withdrawn by the standard",
    ("XDSReplaceFailed", R): "withdrawn by the standard",
    ("XDSResultNotSinglePatient", RS): "documents of several patients may be retrieved at once: each was named by the caller",
    ("XDSUnknownPatientId", SQ): "the affinity domain's choice; an unknown patient is answered with an empty list",
    ("XDSRepositoryError", P): _LAST,
    ("XDSRegistryBusy", P): "relayed from a registry that is elsewhere; in one process the repository's own code says it",
    ("XDSRegistryOutOfResources", P): "the disk would have to fill during the run; the durability tests do that",
    ("XDSRegistryOutOfResources", R): "the disk would have to fill during the run; the durability tests do that",
    ("XDSRegistryOutOfResources", SQ): "a query needs no room",
    ("XDSRepositoryOutOfResources", RS): "a retrieval needs no room",
}


def read_table(facts: str) -> Iterator[tuple[str, set[str]]]:
    words = {"P": P, "R": R, "SQ": SQ, "RS": RS}
    table = facts.partition("### Error-code table")[2].partition("\n---")[0]
    for row in table.splitlines():
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        codes = cells[0].split(" / ")
        where = {"as Busy": "P,R,SQ / P,RS"}.get(cells[2], cells[2]) if len(cells) == 4 else ""
        columns = where.split(" / ") if len(where.split(" / ")) == len(codes) else [where] * len(codes)
        for code, column in zip(codes, columns, strict=True):
            column = re.sub(r"\(([^)]*)\)", lambda m: ",P" if "may P" in m[1] else "", column)
            found = {words[word] for word in re.findall(r"\w+", column) if word in words}
            if found:
                yield code.replace("...", codes[0].removeprefix("XDSRegistry")), found
