"""The system under test: where its transactions are, what it can do, and how a patient is announced to it.

A base URL means the paths of this project's own server. A TOML file says it for any other:

    name = "..."                                        repository_unique_id = "1.2.3"   (otherwise asked by ITI-18)
    options = ["patient-feed", "any-code"]              assigning_authority = "1.2.3"
    feed = "mllp://host:2575"                           patients = ["P1^^^&1.2.3&ISO"]   (otherwise announced)
    [endpoints]                                         [codes]
    "ITI-18" = "https://host/registry"                  classCode = "CODE^Display^1.2.3"
    registry = "..."   repository = "..."               (for every transaction of that actor that has no line of its own)
"""

from __future__ import annotations

import ssl
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from conformance.acting import Card
from conformance.result import Text
from metadata.hl7 import CX_REMEDY, problem_with_cx
from metadata.vocabulary import TRANSACTION_BY_ACTION
from soap.client import addresses_of_wsdl
from soap.client_errors import ClientError

REGISTRY = ("ITI-42", "ITI-18", "ITI-57", "ITI-61", "ITI-62", "ITI-92")
REPOSITORY = ("ITI-41", "ITI-43", "ITI-86")
#: What a target may be said to do, and what a case may ask for.
OPTIONS = {
    "patient-feed": Text(
        "it refuses patients that were never announced",
        "elle refuse les patients jamais annoncés",
    ),
    "merge": Text(
        "it takes part in merges of patients",
        "elle prend part aux fusions de patients",
    ),
    "any-code": Text(
        "it takes codes of every code system",
        "elle accepte les codes de tout système",
    ),
    "title-query": Text(
        "it answers FindDocumentsByTitle, an extension in use in Germany",
        "elle répond à FindDocumentsByTitle, extension allemande",
    ),
    "ci-sis": Text(
        "its affinity domain is the French one",
        "son domaine d'affinité est le français",
    ),
    "archive": Text(
        "it knows the statuses Archived and Deleted of the French DMP",
        "elle connaît les statuts Archived et Deleted du DMP",
    ),
    "dmp-services": Text(
        "it opens, changes, closes and reactivates records by the messages of the French DMP",
        "elle crée, modifie, ferme et réactive les dossiers par les messages du DMP",
    ),
    "code-lists": Text(
        "its affinity domain closes code lists",
        "son domaine d'affinité ferme des listes de codes",
    ),
    "limits": Text(
        "its affinity domain limits number and size of documents",
        "son domaine d'affinité limite nombre et taille des documents",
    ),
    "limited-metadata": Text(
        "it accepts limited metadata",
        "elle accepte les métadonnées limitées",
    ),
    "no-removal": Text(
        "its affinity domain lets nothing be removed",
        "son domaine d'affinité n'autorise aucune suppression",
    ),
    "link-change": Text(
        "it moves the documents of a local patient when its link changes (ITI-64)",
        "elle déplace les documents d'un patient local quand son rattachement change (ITI-64)",
    ),
    "secure": Text(
        "it asks who is calling: TLS with a card, and an assertion in each message",
        "elle demande qui appelle : TLS avec carte, assertion dans chaque message",
    ),
    "signed": Text(
        "it refuses messages that are not signed (WS-Security); the kit signs each",
        "elle refuse les messages non signés (WS-Security) ; le kit signe chacun",
    ),
    "signed-sets": Text(
        "it refuses submission sets whose signature is wrong",
        "elle refuse les lots de soumission dont la signature est fautive",
    ),
    "signed-sets-warned": Text(
        "it accepts submission sets whose signature is wrong, with a warning",
        "elle accepte avec un avertissement les lots dont la signature est fautive",
    ),
    "signed-sets-only": Text(
        "it refuses submission sets that are not signed",
        "elle refuse les lots de soumission non signés",
    ),
    "issuers": Text(
        "it believes assertions as the file of issuers of docs/conformance-cases.md has it",
        "elle croit les assertions selon le fichier d'émetteurs de docs/conformance-cases.md",
    ),
    "consent": Text(
        "records are read only while a consent policy is acknowledged; the patients named have acknowledged none",
        "les dossiers ne se lisent qu'avec une politique de consentement reconnue ; les patients nommés n'en ont reconnu aucune",
    ),
    "few-results": Text(
        "it answers at most ten objects in full, then XDSTooManyResults",
        "elle répond au plus dix objets complets, puis XDSTooManyResults",
    ),
    "dmp-rights": Text(
        "it asks the matrix of rights of the DMP; the patients named are open in an emergency",
        "elle applique la matrice des droits du DMP ; les patients nommés s'ouvrent en urgence",
    ),
    "tolerant": Text(
        "it takes what real clients send though the standard has it otherwise",
        "elle accepte ce qu'envoient de vrais clients malgré la norme",
    ),
    "documents-apart": Text(
        "documents are removed (ITI-86) only after their metadata",
        "les documents se suppriment (ITI-86) seulement après leurs métadonnées",
    ),
}
#: Those for which somebody has to act.
ACTING_OPTIONS = frozenset(
    {"secure", "signed", "signed-sets", "signed-sets-warned", "signed-sets-only", "dmp-rights", "issuers", "consent"}
)
_KEYS = {
    "name", "options", "feed", "patients", "repository_unique_id", "assigning_authority", "endpoints", "codes", "domain",
}  # fmt: skip
_LISTS, _TABLES = {"options", "patients"}, {"endpoints", "codes"}
_DOMAINS = ("", "ci-sis")
_FRENCH = "ci-sis"
_AUTHORITY = "1.3.6.1.4.1.21367.13.20.1000"
_CARNET_OPTIONS = ("patient-feed", "merge", "any-code", "title-query", "tolerant")


class TargetError(ValueError):
    """A target that cannot be used; the text names file and key."""


@dataclass(frozen=True, slots=True)
class Target:
    """Endpoints by transaction; `patients` are those named by the user, empty when they are to be announced."""

    name: str
    endpoints: Mapping[str, str]
    options: frozenset[str] = frozenset()
    feed: str = ""
    patients: tuple[str, ...] = ()
    repository_unique_id: str = ""
    assigning_authority: str = _AUTHORITY
    codes: Mapping[str, str] = field(default_factory=dict)
    domain: str = ""
    context: ssl.SSLContext | None = None
    card: Card | None = None

    def url(self, transaction: str) -> str:
        """Address of a transaction, empty when the target has none."""
        if transaction in ("ITI-8", "ITI-64"):
            return self.feed if self.feed.startswith("mllp") else ""
        return self.endpoints.get(transaction, "")

    @property
    def signs(self) -> bool:
        """Whether messages to it are signed."""
        return self.card is not None and "signed" in self.options

    @property
    def feed_transaction(self) -> str:
        """ITI-8 or ITI-44, whichever announces patients; empty when neither can."""
        if self.feed:
            return "ITI-8" if self.feed.startswith("mllp") else "ITI-44"
        return "ITI-44" if self.url("ITI-44") else ""


def read_target(text: str, *, feed: str = "", patients: tuple[str, ...] = (), options: tuple[str, ...] = ()) -> Target:
    """The target that a base URL, a WSDL's address (`...?wsdl`) or a file names. Raises TargetError."""
    if text.lower().endswith(("?wsdl", "?singlewsdl")):
        target = _of_wsdl(text)
    elif "://" in text:
        target = _of_base(text)
    else:
        target = _of_file(Path(text))
    known_options(options, "--option")
    feed = _known_feed(feed, "--feed") or target.feed
    endpoints = {**target.endpoints, **({"ITI-44": feed} if feed.startswith("http") else {})}
    chosen = target.options | set(options)
    domain = target.domain or (_FRENCH if _FRENCH in chosen else "")
    if domain == _FRENCH:
        chosen = (chosen | {_FRENCH}) - {"any-code"}  # its lists of codes are closed
    return replace(
        target, endpoints=endpoints, feed=feed, patients=_known_patients(patients, "--patient") or target.patients,
        options=frozenset(chosen), domain=domain,
    )  # fmt: skip


def _of_base(base: str) -> Target:
    root = base.rstrip("/")
    if not root.startswith(("http://", "https://")):
        raise TargetError(f"{base}: expected http://HOST:PORT, https://HOST:PORT, or the name of a file")
    endpoints = {
        **dict.fromkeys(REGISTRY, f"{root}/xds/registry"),
        **dict.fromkeys(REPOSITORY, f"{root}/xds/repository"),
        "ITI-51": f"{root}/xds/iti51",
        "ITI-44": f"{root}/xds/iti44",
        "DMP-patients": f"{root}/dmp/patients",
        "DMP-habilitations": f"{root}/dmp/habilitations",
    }
    return Target(root, endpoints, frozenset(_CARNET_OPTIONS))


def _of_wsdl(address: str) -> Target:
    try:
        found = addresses_of_wsdl(address, 60.0)
    except ClientError as error:
        raise TargetError(str(error)) from None
    endpoints = {TRANSACTION_BY_ACTION[action].code: url for action, url in found.items() if action in TRANSACTION_BY_ACTION}
    return Target(address, endpoints)


def _of_file(path: Path) -> Target:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TargetError(f"{path}: {error.strerror}; --target takes a base URL or a file (docs/conformance.md)") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TargetError(f"{path}: {error}") from None
    unknown = set(data) - _KEYS
    if unknown:
        raise TargetError(f"{path}: {', '.join(sorted(unknown))}: known are {', '.join(sorted(_KEYS))}")
    _known_types(data, path)
    known_options(data.get("options", ()), str(path))
    return Target(
        name=data.get("name", path.stem),
        endpoints=_endpoints(data.get("endpoints", {}), path),
        options=frozenset(data.get("options", ())),
        feed=_known_feed(data.get("feed", ""), f"{path}: feed"),
        patients=_known_patients(tuple(data.get("patients", ())), f"{path}: patients"),
        repository_unique_id=data.get("repository_unique_id", ""),
        assigning_authority=data.get("assigning_authority", _AUTHORITY),
        codes=data.get("codes", {}),
        domain=data.get("domain", ""),
    )


def _endpoints(table: Mapping[str, Any], path: Path) -> dict[str, str]:
    known = {*REGISTRY, *REPOSITORY, "ITI-51", "ITI-44", "DMP-patients", "DMP-habilitations", "registry", "repository"}
    unknown = set(table) - known
    if unknown:
        raise TargetError(f"{path}: [endpoints] {', '.join(sorted(unknown))}: known are {', '.join(sorted(known))}")
    found = dict.fromkeys(REGISTRY, table["registry"]) if "registry" in table else {}
    found |= dict.fromkeys(REPOSITORY, table["repository"]) if "repository" in table else {}
    found |= {name: url for name, url in table.items() if name not in ("registry", "repository")}
    if not found:
        raise TargetError(f"{path}: [endpoints] names no address")
    wrong = [url for url in found.values() if not str(url).startswith(("http://", "https://"))]
    if wrong:
        raise TargetError(f"{path}: [endpoints] {wrong[0]}: expected an http or https address")
    return found


def _known_types(data: Mapping[str, Any], path: Path) -> None:
    for key, value in data.items():
        if key in _LISTS:
            right, kind = isinstance(value, list) and all(isinstance(one, str) for one in value), "a list of texts"
        elif key in _TABLES:
            right, kind = isinstance(value, dict) and all(isinstance(one, str) for one in value.values()), "a table of texts"
        else:
            right, kind = isinstance(value, str), "a text"
        if not right:
            raise TargetError(f"{path}: {key}: expected {kind}, not {value!r}")
    if data.get("domain", "") not in _DOMAINS:
        raise TargetError(f"{path}: domain {data['domain']}: known is ci-sis")


def _known_feed(feed: str, where: str) -> str:
    if feed and not feed.startswith(("mllp://", "http://", "https://")):
        raise TargetError(f"{where} {feed}: expected mllp://HOST:PORT or the http address of ITI-44")
    return feed


def _known_patients(patients: tuple[str, ...], where: str) -> tuple[str, ...]:
    for text in patients:
        problem = problem_with_cx(text, type_code=True)
        if problem:
            raise TargetError(f"{where} {text}: {problem}. {CX_REMEDY}")
    return patients


def known_options(options: Any, where: str) -> None:
    """Raises TargetError for an option that no case knows."""
    unknown = set(options) - set(OPTIONS)
    if unknown:
        raise TargetError(f"{where}: {', '.join(sorted(unknown))}: known are {', '.join(sorted(OPTIONS))}")
