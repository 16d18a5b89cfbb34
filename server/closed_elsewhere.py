"""Which records are closed, where the registry is another server: its refusal of a stored query tells."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from metadata.datatypes import canonical_cx
from metadata.query_table import FIND_FOLDERS
from metadata.vocabulary import AvailabilityStatus
from soap.body.adhoc_query import OBJECT_REF
from soap.client import Client
from soap.client_errors import ClientError

LOG = logging.getLogger(__name__)

#: The rule by which `registry/iti18.py` refuses to read a closed record; it ends the codeContext of the error.
REFUSED_BY = "[SQ-CLOSED,"
_APPROVED = f"('{AvailabilityStatus.APPROVED.urn}')"


class ClosedElsewhere:
    """`repository.iti43.NotOpen` of a registry that is asked. One short query a patient, FindFolders for references.

    A registry that does not answer, or that knows of no closed records, hides nothing: what is stored is given out.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def __call__(self, patient_ids: Iterable[str]) -> dict[str, str]:
        """Those whose record is closed or destroyed, with that word."""
        asked = {cx: self._word(canonical_cx(cx)) for cx in patient_ids}
        return {cx: word for cx, word in asked.items() if word}

    def _word(self, cx: str) -> str:
        slots = [("$XDSFolderPatientId", ["'" + cx.replace("'", "''") + "'"]), ("$XDSFolderStatus", [_APPROVED])]
        try:
            errors = self._client.query(FIND_FOLDERS.id, slots, OBJECT_REF).errors
        except ClientError as error:
            LOG.warning("whether a record is closed could not be asked: %s", error)
            return ""
        texts = [error.code_context for error in errors if REFUSED_BY in error.code_context]
        if not texts:
            return ""
        return "destroyed" if any(" is destroyed" in text for text in texts) else "closed"
