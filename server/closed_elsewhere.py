"""Which records are closed, where the registry is another server: its refusal of a stored query tells."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from metadata.datatypes import canonical_cx
from metadata.query_table import FIND_FOLDERS
from metadata.vocabulary import AvailabilityStatus, ErrorCode, ResponseStatus
from server.relay import no_answer
from soap.body.adhoc_query import OBJECT_REF
from soap.client import Client
from soap.client_errors import ClientError

LOG = logging.getLogger(__name__)

#: The rule by which `registry/iti18.py` refuses to read a closed record; it ends the codeContext of the error.
REFUSED_BY = "[SQ-CLOSED,"
#: Of a patient whom the registry does not know no record is closed.
_UNKNOWN = ErrorCode.XDSUnknownPatientId
_APPROVED = f"('{AvailabilityStatus.APPROVED.urn}')"


class ClosedElsewhere:
    """`repository.requested.NotOpen` of a registry that is asked. One short query a patient, FindFolders for references.

    A registry that does not answer, or that knows of no closed records, hides nothing: what is stored is given out. Where rights
    are asked (`demanded`) nothing is, until it answers.
    """

    def __init__(self, client: Client, *, demanded: bool = False) -> None:
        self._client = client
        self._demanded = demanded

    def __call__(self, patient_ids: Iterable[str]) -> dict[str, str]:
        """Those whose record is closed or destroyed, with that word. Raises Refused without an answer that is demanded."""
        asked = {cx: self._word(canonical_cx(cx)) for cx in patient_ids}
        return {cx: word for cx, word in asked.items() if word}

    def _word(self, cx: str) -> str:
        slots = [("$XDSFolderPatientId", ["'" + cx.replace("'", "''") + "'"]), ("$XDSFolderStatus", [_APPROVED])]
        try:
            answer = self._client.query(FIND_FOLDERS.id, slots, OBJECT_REF)
        except ClientError as error:
            if self._demanded:
                raise no_answer(str(error)) from error
            LOG.warning("whether a record is closed could not be asked: %s", error)
            return ""
        texts = [error.code_context for error in answer.errors if REFUSED_BY in error.code_context]
        if not texts:
            others = [f"{error.error_code}: {error.code_context}" for error in answer.errors if error.error_code != _UNKNOWN]
            if others and self._demanded and answer.response.status is not ResponseStatus.SUCCESS:
                raise no_answer(", ".join(others))
            return ""
        return "destroyed" if any(" is destroyed" in text for text in texts) else "closed"
