"""Settings become the options of each room. What one setting cannot say alone is refused here, by file and key."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

from metadata.domain import Domain
from metadata.domain_reading import DomainError
from metadata.rules import table as rules
from metadata.rules.attribute_rows import TYPED_PATIENT_ID
from metadata.rules.removal import RemovalPolicy
from metadata.rules.table import Policy
from registry.iti18 import QueryOptions
from registry.iti42 import RegisterOptions
from registry.iti62 import RemovalOptions
from registry.search import SearchOptions
from repository.content import StoreOptions
from repository.iti41 import RepositoryOptions
from repository.iti86 import RemoveOptions
from server.domain import load_domain
from server.settings import SettingError, Settings
from soap.limits import Limits
from soap.wire import Do, Wire

E = TypeVar("E", bound=Enum)


def store_options(settings: Settings) -> StoreOptions:
    """The content store's."""
    return StoreOptions(inline_limit=settings.store.small_document, headroom=settings.store.headroom)


def search_options(settings: Settings) -> SearchOptions:
    """The stored queries'."""
    return SearchOptions(leaf_class=settings.limits.query_results, object_ref=settings.limits.query_references)


def query_options(settings: Settings) -> QueryOptions:
    """How stored queries are answered."""
    return QueryOptions(
        extensions=settings.domain.title_query and settings.domain.wire != "strict",
        typed_patient_ids=TYPED_PATIENT_ID in domain_of(settings).options,
    )


def removal_options(settings: Settings) -> RemovalOptions:
    """What removing metadata means."""
    return RemovalOptions(RemovalPolicy(settings.domain.removal))


def remove_options(settings: Settings) -> RemoveOptions:
    """What removing documents means."""
    return RemoveOptions(RemovalPolicy(settings.domain.removal), settings.domain.remove_registered)


def register_options(settings: Settings) -> RegisterOptions:
    """How the registry judges."""
    domain = domain_of(settings)
    return RegisterOptions(
        open_domain=settings.domain.patients == "open",
        policies=policies(settings),
        codes=domain if domain.judges else None,
        options=domain.options,
    )


def repository_options(settings: Settings, unique_id: str) -> RepositoryOptions:
    """The repository's, under the name `unique_id`."""
    return RepositoryOptions(
        repository_unique_id=unique_id,
        home_community_id=settings.role.home_community_id,
        check_before=settings.store.check_before,
        retrieve_documents=settings.limits.retrieve_documents,
        policies=policies(settings),
        options=domain_of(settings).options,
    )


def limits_of(settings: Settings) -> Limits:
    """What one message may cost."""
    limits = settings.limits
    return Limits(
        root=limits.root_part,
        depth=limits.depth,
        elements=limits.elements,
        attributes=limits.attributes,
        inline=limits.inline_base64,
        memory=settings.store.small_document,
        memory_total=limits.memory,
        part=limits.document,
        total=limits.body,
        parts=limits.parts,
        part_header=limits.part_header,
        part_header_lines=limits.part_header_lines,
        expansion=limits.expansion,
        receive_seconds=limits.receive_seconds,
        working=limits.working,
        working_wait=limits.working_wait,
    )


def wire_of(settings: Settings) -> Wire:
    """The profile by which quirks are judged. Raises SettingError for a row that does not exist or cannot be changed."""
    rows = _pairs(settings, "domain.wire_rows", Do)
    try:
        return Wire(strict=settings.domain.wire == "strict", overrides=rows)
    except ValueError as error:
        raise SettingError(f"{settings.origins.get('domain.wire_rows')}: domain.wire_rows: {error}") from None


def policies(settings: Settings) -> dict[str, Policy]:
    """The affinity domain's changes to single rules, then the operator's. Raises SettingError for a rule that does not exist."""
    chosen = _pairs(settings, "domain.rules", Policy)
    for id in chosen:
        try:
            rules.rule(id)
        except KeyError:
            known = ", ".join(row.id for row in rules.RULES)
            raise SettingError(
                f"{settings.origins.get('domain.rules')}: domain.rules: there is no rule {id}; rules are {known}"
            ) from None
    return {**domain_of(settings).policies, **chosen}


def domain_of(settings: Settings) -> Domain:
    """The affinity domain in force. Raises SettingError for a file that has become unreadable since the settings were read."""
    try:
        return load_domain(settings.domain.profile, settings.domain.folder)
    except DomainError as error:
        raise SettingError(str(error)) from None


def _pairs(settings: Settings, key: str, words: type[E]) -> dict[str, E]:
    """`A=word, B=word` as a mapping."""
    pairs: dict[str, E] = {}
    accepted: Mapping[str, E] = {str(one.value): one for one in words}
    for pair in filter(None, (piece.strip() for piece in settings.value(key).split(","))):
        name, _, word = (side.strip() for side in pair.partition("="))
        if word not in accepted:
            raise SettingError(
                f"{settings.origins.get(key)}: {key}: {pair!r} is not accepted; accepted: ID=WORD, WORD: {', '.join(accepted)}"
            )
        pairs[name] = accepted[word]
    return pairs
