"""ITI-92 Restricted Update Document Set: new versions of DocumentEntries, in what is not fixed of them (ITI TF-2: 3.92).

It is an update whose rules allow less (`metadata/rules/update_restricted.py`).
"""

from __future__ import annotations

from metadata.vocabulary import Transaction
from registry.iti57 import UpdateDocumentSet


class RestrictedUpdateDocumentSet(UpdateDocumentSet):
    """The Update Responder of the RMU profile, for the DocumentEntries of this registry."""

    transaction = Transaction.ITI_92
