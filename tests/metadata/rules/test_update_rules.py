"""Right updates break no rule, and what the decoding of an update says (ITI TF-2: 3.57.4.1.2, 3.57.4.1.3)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rules_message import APPROVED, DOCUMENT, DYNAMIC, FOLDER, HAS_MEMBER, IHE_2007, SNAPSHOT, TRANSFORMED
from update_cases import ARCHIVED, ITI_57, ITI_92, LINK, archiving, base, only, slot, status, submitted, with_folder
from update_cases import linked as link_them

from metadata import schemes
from metadata.rules.rule import Finding
from metadata.rules.table import RULES, check
from metadata.rules.update_registered import LAST, settled
from metadata.update import operations_of, version_number
from metadata.vocabulary import ErrorCode, Severity, Transaction

RIGHT = {
    "a new version": slot("ss-doc", "AssociationPropagation", "yes"),
    "without propagation": slot("ss-doc", "AssociationPropagation", "no"),
    "a document and its Folder": lambda m: (with_folder(m), link_them(m)),
    "a document is deprecated": only(status(DOCUMENT)),
    "a Folder is deprecated": only(status(FOLDER)),
    "an association is deprecated": only(status(LINK)),
    "a new version is deprecated": status("doc"),
    "a document is archived": only(archiving, status(DOCUMENT, APPROVED, ARCHIVED)),
    "an addendum": only(submitted(IHE_2007 + "APND", DYNAMIC, DOCUMENT)),
    "a document enters a Folder": only(submitted(HAS_MEMBER, FOLDER, TRANSFORMED)),
    "a snapshot": only(submitted(SNAPSHOT, DOCUMENT, DYNAMIC)),
    "an association that is deprecated at once": only(submitted(IHE_2007 + "signs", DYNAMIC, DOCUMENT), status("link")),
    "to a new version": submitted(IHE_2007 + "signs", DYNAMIC, "doc"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_update_breaks_no_rule(name: str) -> None:
    message = base()
    RIGHT[name](message)
    assert [f.text() for f in check(message.context())] == []


def test_a_right_restricted_update_breaks_no_rule() -> None:
    for word in ("", "yes"):
        message = base(ITI_92)
        if word:
            message.slot("ss-doc", "AssociationPropagation", word)
        message.slot("doc", "serviceStopTime", "20240201")
        assert [f.text() for f in check(message.context())] == []


@pytest.mark.parametrize("transaction", [ITI_57, ITI_92], ids=lambda t: t.code)
def test_an_on_demand_entry_owes_what_its_source_owes(transaction: Transaction) -> None:
    message = base(transaction)
    message.change("doc", lid=DYNAMIC, objectType=schemes.ON_DEMAND)
    message.identifier("doc", schemes.DE_UNIQUE_ID, value="1.2.3.4")
    for name in ("creationTime", "hash", "size", "legalAuthenticator"):
        message.slot("doc", name)
    assert [f.text() for f in check(message.context())] == []
    message.slot("doc", "languageCode")
    assert {f.rule for f in check(message.context())} == {"DE-113"}


def test_the_operations_of_a_message() -> None:
    message = base()
    with_folder(message)
    status(LINK)(message)
    submitted(IHE_2007 + "APND", DYNAMIC, DOCUMENT)(message)
    found = operations_of(message.submission())
    assert [u.entity.entryUUID for u in found.updates] == ["doc", "folder"]
    assert [u.previousVersion for u in found.updates] == [1, 1] and all(u.propagates for u in found.updates)
    assert [s.entryUUID for s in found.statuses] == ["status"]
    assert [link.entryUUID for link in found.links] == ["link"] and found.unmatched == ()


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1), ("12", 12), ("007", 7), ("0", None), ("-1", None), ("", None), ("1.0", None), ("١", None), ("9" * 10, None)],
)
def test_a_version_is_a_positive_integer(text: str, number: int | None) -> None:
    assert version_number(text) == number


def test_a_version_error_gives_way_to_any_other() -> None:
    last = frozenset(row.id for row in RULES if row.tags >= LAST)
    version = Finding("UPD-104", ErrorCode.XDSMetadataVersionError, "late")
    other = Finding("UPD-102", ErrorCode.XDSMetadataIdentifierError, "other")
    warning = replace(other, severity=Severity.WARNING)
    assert last == {"UPD-104"}
    assert settled([version, other], last) == [other]
    assert settled([version, warning], last) == [version, warning]
