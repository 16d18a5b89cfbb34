"""Questions to a registry as a Document Consumer asks them: through the handler of ITI-18, answers read by the real codec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lxml import etree

from metadata.ebrim import parse_response_objects
from metadata.model import Association, DocumentEntry, Folder, Submission
from metadata.query_table import QUERIES
from metadata.vocabulary import Transaction
from registry.codes import CodeBook
from registry.iti18 import QueryOptions, RegistryStoredQuery
from registry.search import Search
from soap.body.adhoc_query import build_adhoc_query
from soap.call import Call
from storage.database import Database

_IDS = {query.name: query.id for query in QUERIES}
_RIM = "{urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0}"
BOTH = "('urn:oasis:names:tc:ebxml-regrep:StatusType:Approved','urn:oasis:names:tc:ebxml-regrep:StatusType:Deprecated')"

Slots = Mapping[str, str | Sequence[str]] | Sequence[tuple[str, Sequence[str]]]


def request(name: str, slots: Slots, return_type: str = "LeafClass", transaction: Transaction = Transaction.ITI_18) -> Call:
    """The call of a query by its name; values are written as given."""
    pairs = slots.items() if isinstance(slots, Mapping) else slots
    written = [(slot, [values] if isinstance(values, str) else list(values)) for slot, values in pairs]
    body = etree.fromstring(build_adhoc_query(_IDS.get(name, name), written, return_type))
    return Call(transaction, body)


class Consumer:
    """Asks one registry."""

    def __init__(self, database: Database, options: QueryOptions | None = None) -> None:
        self.handler = RegistryStoredQuery(database, Search(database, CodeBook()), options)

    def octets(self, name: str, slots: Slots, return_type: str = "LeafClass") -> bytes:
        answer = self.handler(request(name, slots, return_type))
        return b"".join(piece for piece in answer.payload if isinstance(piece, bytes))

    def ask(self, name: str, slots: Slots) -> Submission:
        """The objects of a LeafClass answer."""
        return parse_response_objects(self._list(name, slots, "LeafClass"))

    def refs(self, name: str, slots: Slots) -> list[str]:
        """The ids of an ObjectRef answer."""
        return [child.get("id", "") for child in self._list(name, slots, "ObjectRef")]

    def _list(self, name: str, slots: Slots, return_type: str) -> etree._Element:
        found = etree.fromstring(self.octets(name, slots, return_type)).find(f"{_RIM}RegistryObjectList")
        assert found is not None
        return found

    # -------------------------------------------------------------------------------------------------- common questions

    def everything(self, patient: str) -> Submission:
        statuses = {f"$XDS{kind}Status": BOTH for kind in ("DocumentEntry", "SubmissionSet", "Folder")}
        return self.ask("GetAll", {"$patientId": f"'{patient}'", **statuses, "$MetadataLevel": "2"})

    def entry(self, uuid: str) -> DocumentEntry:
        (one,) = self.ask("GetDocuments", {"$XDSDocumentEntryEntryUUID": f"('{uuid}')", "$MetadataLevel": "2"}).documentEntries
        return one

    def folder(self, uuid: str) -> Folder:
        (one,) = self.ask("GetFolders", {"$XDSFolderEntryUUID": f"('{uuid}')"}).folders
        return one

    def links(self, *uuids: str) -> tuple[Association, ...]:
        asked = ",".join(f"'{uuid}'" for uuid in uuids)
        return tuple(self.ask("GetAssociations", {"$uuid": f"({asked})", "$MetadataLevel": "2"}).associations)
