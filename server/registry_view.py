"""The registry as the repository's store check and collector see it: in this database, or elsewhere by ITI-18."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set

from metadata.vocabulary import ResponseStatus
from registry.documents import RegisteredDocuments
from repository.verify import RegisteredDocument
from soap.client import Client

#: GetDocuments (ITI TF-2: 3.18.4.1.2.4).
GET_DOCUMENTS = "urn:uuid:5c4f972b-d56b-40ac-a5fc-c8ca9b40b9d4"
#: uniqueIds asked at once.
ASKED = 100


class LocalView:
    """`repository.verify.RegistryView` over the registry's tables."""

    def __init__(self, documents: RegisteredDocuments) -> None:
        self._documents = documents

    def documents(self) -> Iterator[Sequence[RegisteredDocument]]:
        for page in self._documents.pages():
            yield [RegisteredDocument(one.uniqueId, one.hash, one.size) for one in page]

    def registered(self, unique_ids: Sequence[str]) -> Mapping[str, Set[str]]:
        return self._documents.hashes(unique_ids)


class RemoteView:
    """The same of a registry elsewhere, which can be asked about documents and not for all of them."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def documents(self) -> Iterator[Sequence[RegisteredDocument]]:
        """No stored query asks for a repository's documents: none are compared from this side."""
        return iter(())

    def registered(self, unique_ids: Sequence[str]) -> Mapping[str, Set[str]]:
        """Raises `soap.client_errors.ClientError` without an answer: an unanswered question must not look like a no."""
        found: dict[str, set[str]] = {}
        for start in range(0, len(unique_ids), ASKED):
            # One rim:Value each: the schema allows a Value 256 characters (ebRIM 3.0: LongName).
            asked = ["('" + one.replace("'", "''") + "')" for one in unique_ids[start : start + ASKED]]
            answer = self._client.query(GET_DOCUMENTS, [("$XDSDocumentEntryUniqueId", asked)])
            if answer.response.status is not ResponseStatus.SUCCESS:
                raise ConnectionError("the registry refused to say which documents it knows: " + str(answer.errors))
            for entry in answer.objects.documentEntries:
                if entry.uniqueId:
                    found.setdefault(entry.uniqueId, set()).add((entry.hash or "").lower())
        return found
