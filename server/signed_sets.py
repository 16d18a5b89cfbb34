"""What the settings say of signatures over submission sets, and how a source of ours makes one (`carnet submit --sign`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set

from metadata.signature_entry import SIGNS_SET
from repository.content import ContentStore
from repository.index import DocumentIndex, SignatureRecord
from repository.requested import MayRetrieve, NotOpen, all_open, everything
from repository.signed_sets import SignatureCheck, SignedSetOptions, SignedSets
from security.document_signature import FRENCH_FORM, IHE_FORM
from security.refusal import Denied
from security.trust_files import LiveTrust
from server.access import Access
from server.domain import load_domain
from server.relay import RemoteAccess
from server.settings import Settings
from soap.call import Caller


def signed_sets_of(
    settings: Settings, store: ContentStore, index: DocumentIndex, trust: LiveTrust | None,
    told: Callable[[str, SignatureRecord], None] = lambda patient, record: None,
    access: Access | RemoteAccess | None = None, not_open: NotOpen = all_open,
) -> SignedSets:
    """Who looks at the signatures of submissions. Without `trust` no signer is trusted. `told` hears of each. `access` and
    `not_open` say with which stored documents a signature is compared."""
    return SignedSets(
        store, index, signed_set_options(settings), trust.refresh if trust is not None else None,
        told=told, may_know=may_know(access), not_open=not_open,
    )  # fmt: skip


def may_know(access: Access | RemoteAccess | None) -> MayRetrieve:
    """Of which stored documents the signer's submitter may learn: those that he could retrieve now. Who may read nothing of the
    record, or has not its consent, is not refused the submission for that: he learns of none."""
    if access is None:
        return everything

    def known(caller: Caller, unique_ids: Sequence[str]) -> Set[str]:
        try:
            if isinstance(access, Access):
                access.demand_consent(access.acting(caller).grant)
            return access.may_retrieve(caller, unique_ids)
        except Denied:
            return frozenset()

    return known


def signed_set_options(settings: Settings) -> SignedSetOptions:
    """How signatures are judged, and whether every set must have one."""
    domain = load_domain(settings.domain.profile, settings.domain.folder)
    return SignedSetOptions(
        check=SignatureCheck(settings.security.document_signatures),
        required=settings.security.signed_sets,
        form=FRENCH_FORM if SIGNS_SET in domain.options else IHE_FORM,
    )
