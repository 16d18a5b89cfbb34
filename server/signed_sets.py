"""What the settings say of signatures over submission sets, and how a source of ours makes one (`carnet submit --sign`)."""

from __future__ import annotations

from collections.abc import Callable

from metadata.signature_entry import SIGNS_SET
from repository.content import ContentStore
from repository.index import DocumentIndex, SignatureRecord
from repository.signed_sets import SignatureCheck, SignedSetOptions, SignedSets
from security.document_signature import FRENCH_FORM, IHE_FORM
from security.trust_files import LiveTrust
from server.domain import load_domain
from server.settings import Settings


def signed_sets_of(
    settings: Settings, store: ContentStore, index: DocumentIndex, trust: LiveTrust | None,
    told: Callable[[str, SignatureRecord], None] = lambda patient, record: None,
) -> SignedSets:
    """Who looks at the signatures of submissions. Without `trust` no signer is trusted. `told` hears of each."""
    return SignedSets(store, index, signed_set_options(settings), trust.refresh if trust is not None else None, told=told)


def signed_set_options(settings: Settings) -> SignedSetOptions:
    """How signatures are judged, and whether every set must have one."""
    domain = load_domain(settings.domain.profile, settings.domain.folder)
    return SignedSetOptions(
        check=SignatureCheck(settings.security.document_signatures),
        required=settings.security.signed_sets,
        form=FRENCH_FORM if SIGNS_SET in domain.options else IHE_FORM,
    )
