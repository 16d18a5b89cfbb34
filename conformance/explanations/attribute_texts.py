"""The explanations of rules about one attribute each: required, not sent, once, well-formed (`metadata/rules/attribute_rows.py`).

A row is composed of three things that were written once: what the attribute is (`GLOSS`), what the aspect means (`_ASPECTS`), and
for the form what its data type wants and who gets it wrong (`_TYPES`). The examples are made of one right and one wrong value for
each attribute.
"""

# ruff: noqa: E501 - a row of the table is read as a row

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any
from xml.sax.saxutils import escape

from metadata.attributes import ATTRIBUTES, Attribute, Carrier
from metadata.datatypes import DataType
from metadata.rules.attribute_rows import rule_id
from metadata.vocabulary import ObjectKind

#: Keys of a data file that say where an example belongs: see the test of the examples.
PLACES = ("on", "absent", "options", "transaction", "base", "state", "card", "query")
NOWHERE: Mapping[str, Any] = MappingProxyType({})

_ID = {ObjectKind.DOCUMENT_ENTRY: "doc", ObjectKind.SUBMISSION_SET: "ss", ObjectKind.FOLDER: "folder"}
_LONG = "Compte rendu " * 30

#: Attribute -> what it is (English, French), a right value, a wrong value. A code is code^^scheme.
GLOSS: dict[str, tuple[str, str, str, str]] = {
    "classCode": ("the kind of document in broad terms (report, prescription)", "la classe générale du document (compte rendu, ordonnance)", "11^Compte rendu^1.2.250.1.213.1.1.4.1", ""),
    "typeCode": ("the precise kind of document, usually a LOINC code", "le type précis du document, le plus souvent un code LOINC", "34105-7^Discharge report^2.16.840.1.113883.6.1", ""),
    "contentTypeCode": ("the clinical act that led to the submission", "l'acte clinique à l'origine de la soumission", "04^Hospitalisation^1.2.250.1.213.2.2", ""),
    "confidentialityCode": ("who may see the document (N, R, V and codes of the domain)", "qui peut voir le document (N, R, V et codes du domaine)", "N^Normal^2.16.840.1.113883.5.25", ""),
    "formatCode": ("the technical form of the content, by which a consumer chooses its viewer", "la forme technique du contenu, d'après laquelle le lecteur choisit son afficheur", "urn:ihe:pcc:xphr:2007^HL7 CCD^1.3.6.1.4.1.19376.1.2.3", ""),
    "healthcareFacilityTypeCode": ("the kind of place where care was given", "le type d'établissement où les soins ont été donnés", "SA01^Etablissement public^1.2.250.1.71.4.2.4", ""),
    "practiceSettingCode": ("the clinical specialty in which the document arose", "le cadre d'exercice dans lequel le document est né", "ETABLISSEMENT^Etablissement de sante^1.2.250.1.213.1.1.4.9", ""),
    "codeList": ("the codes that say what a Folder is for", "les codes qui disent à quoi sert un classeur (Folder)", "EPISODE^Episode^1.2.250.1.213.9", ""),
    "creationTime": ("when the document's content was made", "la date de création du contenu du document", "20240131101500", "31/01/2024 10:15"),
    "serviceStartTime": ("when the act that is documented began", "le début de l'acte documenté", "20240130080000", "2024-01-30T08:00:00+01:00"),
    "serviceStopTime": ("when the act that is documented ended", "la fin de l'acte documenté", "20240131101500", "2024-01-31T10:15:00Z"),
    "submissionTime": ("when the SubmissionSet was made", "la date de constitution du lot de soumission", "20240131101500", "20240131101500+0100"),
    "lastUpdateTime": ("when the Folder last changed; the registry sets it", "la dernière modification du classeur ; le registre la fixe", "20240131101500", "2024-01-31"),
    "hash": ("the SHA-1 of the document's octets, by which a consumer sees that nothing was changed", "le SHA-1 des octets du document, qui prouve qu'il n'a pas été altéré", "da39a3ee5e6b4b0d3255bfef95601890afd80709", "2jmj7l5rSw0yVb/vlWAYkK/YBwk="),
    "size": ("the number of octets of the document", "le nombre d'octets du document", "100", "100 kB"),
    "homeCommunityId": ("the community that holds the object", "la communauté qui détient l'objet", "urn:oid:1.2.250.1.213.1.4", "1.2.250.1.213.1.4"),
    "languageCode": ("the language of the document", "la langue du document", "fr-FR", "fr_FR"),
    "legalAuthenticator": ("the person who answers for the document's content", "la personne qui répond du contenu du document", "899900063480^MARTIN^ANNE^^^^^^&1.2.250.1.71.4.2.1&ISO", "899900063480^MARTIN^ANNE^^^^^^1.2.250.1.71.4.2.1"),
    "mimeType": ("the media type of the document's octets", "le type de contenu des octets du document", "text/xml", "text/xml; charset=utf-8"),
    "patientId": ("the patient, by the identifier of the affinity domain", "le patient, par l'identifiant du domaine d'affinité", "IPP1001^^^&1.2.250.1.71.4.2.7&ISO", "IPP1001"),
    "sourcePatientId": ("the patient's number in the system that made the document", "le numéro du patient dans le système d'origine", "77^^^&1.2.250.1.99&ISO", "77^^^HOPITAL"),
    "sourcePatientInfo": ("the patient's traits as the source knows them", "les traits du patient tels que la source les connaît", "PID-5|DUPONT^Marie", "DUPONT^Marie^19560527"),
    "repositoryUniqueId": ("the OID of the repository that holds the document", "l'OID de l'entrepôt qui détient le document", "1.2.250.1.213.9", "my-repository"),
    "sourceId": ("the OID of the system that sends", "l'OID du système émetteur", "1.2.250.1.213", "urn:oid:1.2.250.1.213"),
    "uniqueId": ("the id of the object for all times and places", "l'identifiant unique de l'objet, partout et pour toujours", "1.2.250.1.213.2", ""),
    "title": ("the name that a person reads", "le nom lu par une personne", "Discharge report", _LONG),
    "URI": ("the name of a file for the document (XDM, XDR)", "le nom de fichier du document (XDM, XDR)", "report.xml", "compte rendu été.xml"),
    "referenceIdList": ("ids of orders, studies and encounters to which the document belongs", "identifiants de prescriptions, d'examens et de séjours liés au document", "2013001^^^&1.2.3.4&ISO^urn:ihe:iti:xds:2013:accession", "2013001"),
    "documentAvailability": ("whether the document can be retrieved at once", "si le document peut être récupéré immédiatement", "urn:ihe:iti:2010:DocumentAvailability:Online", "Online"),
    "intendedRecipient": ("for whom the submission is meant", "le destinataire voulu de la soumission", "Hospital|^Welby^Marcus", "^Welby^Marcus"),
}
#: The uniqueId by kind: a SubmissionSet and a Folder take an OID only.
_UNIQUE = {
    ObjectKind.DOCUMENT_ENTRY: ("1.2.250.1.213.2", " "),
    ObjectKind.SUBMISSION_SET: ("1.2.250.1.213.1", "1.2.250.1.213.1^77"),
    ObjectKind.FOLDER: ("1.2.250.1.213.3", "urn:oid:1.2.250.1.213.3"),
}

_KIND_FR = {
    ObjectKind.DOCUMENT_ENTRY: "une fiche (DocumentEntry)",
    ObjectKind.SUBMISSION_SET: "un lot de soumission (SubmissionSet)",
    ObjectKind.FOLDER: "un classeur (Folder)",
}

#: Data type -> its name in French, what it is and who gets it wrong (English, French).
_TYPES: dict[DataType, tuple[str, str, str]] = {
    DataType.DTM: (
        "une date HL7 (DTM)",
        "The value comes from a date formatter: DateTime.ToString(\"o\"), toISOString() or xs:dateTime print hyphens, colons and a zone. Convert to UTC and print yyyyMMddHHmmss, nothing behind it. In .NET use ToUniversalTime().ToString(\"yyyyMMddHHmmss\"), in PHP gmdate('YmdHis'), in Java a UTC DateTimeFormatter.",
        "Convertissez en UTC et écrivez yyyyMMddHHmmss, sans rien derrière. La valeur vient d'un formateur de dates : DateTime.ToString(\"o\"), toISOString() ou xs:dateTime impriment tirets, deux-points et fuseau. En .NET : ToUniversalTime().ToString(\"yyyyMMddHHmmss\") ; en PHP : gmdate('YmdHis') ; en Java : un DateTimeFormatter en UTC.",
    ),
    DataType.CX: (
        "un identifiant HL7 (CX)",
        "The number is sent bare, or the authority by its name. Write id^^^&OID&ISO: three circumflexes, then the authority's OID between ampersands. In XML text the ampersand is written &amp;, once: code that escapes twice sends &amp;amp;, code that joins strings sends a bare & and breaks the XML.",
        "Écrivez id^^^&OID&ISO : trois circonflexes, puis l'OID de l'autorité entre esperluettes. Le numéro est envoyé nu, ou l'autorité par son nom. Dans le texte XML l'esperluette s'écrit &amp;, une seule fois : un code qui échappe deux fois envoie &amp;amp;, un code qui colle des chaînes envoie un & nu et casse le XML.",
    ),
    DataType.CXI: (
        "un identifiant de référence (CXi)",
        "Only the number is sent, or the type is missing. Write id^^^&OID&ISO^type; the type (component 5) is a URN such as urn:ihe:iti:xds:2013:accession.",
        "Écrivez id^^^&OID&ISO^type ; le type (composant 5) est une URN comme urn:ihe:iti:xds:2013:accession. Souvent seul le numéro est envoyé, ou le type manque.",
    ),
    DataType.OID: (
        "un OID",
        "A name, a UUID, or an OID with urn:oid: before it. Write digits and dots only. On the wire CDA root^extension forms do not fit here.",
        "Écrivez des chiffres et des points seulement. On trouve un nom, un UUID, ou un OID précédé de urn:oid: ; la forme CDA root^extension n'a pas sa place ici.",
    ),
    DataType.IDENTIFIER: (
        "un identifiant (Identifier)",
        "The value is empty or longer than 256 characters, mostly because a variable was not filled. Send the OID of the document, OID^extension as in a CDA id, or urn:uuid:....",
        "Envoyez l'OID du document, OID^extension comme dans un id CDA, ou urn:uuid:.... La valeur est vide ou dépasse 256 caractères, le plus souvent parce qu'une variable n'a pas été remplie.",
    ),
    DataType.SHA1: (
        "une empreinte SHA-1",
        "The digest is sent in base64 (as XML signatures do) or is a SHA-256. Send SHA-1 in 40 hexadecimal digits, of exactly the octets that travel; or leave hash and size out of ITI-41: the repository computes them.",
        "Envoyez le SHA-1 en 40 chiffres hexadécimaux, calculé sur les octets transmis ; ou ne mettez ni hash ni size dans ITI-41 : l'entrepôt les calcule. L'empreinte est souvent en base64 (comme dans une signature XML) ou en SHA-256.",
    ),
    DataType.INTEGER: (
        "un nombre entier",
        "A formatted number (100 kB, 1,024, 1024.0) is sent. Print the plain integer, independent of the locale.",
        "Imprimez l'entier seul, sans dépendre des paramètres régionaux. On trouve un nombre mis en forme (100 ko, 1 024, 1024.0).",
    ),
    DataType.LANGUAGE: (
        "une étiquette de langue",
        "A locale of the system (fr_FR) or the name of a language is sent. Send a tag of RFC 5646: fr-FR.",
        "Envoyez une étiquette RFC 5646 : fr-FR. On trouve une locale du système (fr_FR) ou le nom d'une langue.",
    ),
    DataType.XCN: (
        "une personne HL7 (XCN)",
        "The authority of the id is a bare OID, or stands in another component. Component 1 is the id, 2 the family name, 3 the given name, 9 the authority between ampersands: id^FAMILY^Given^^^^^^&OID&ISO; without an id ^FAMILY^Given.",
        "Écrivez id^NOM^Prénom^^^^^^&OID&ISO : composant 1 l'identifiant, 2 le nom, 3 le prénom, 9 l'autorité entre esperluettes ; sans identifiant ^NOM^Prénom. L'OID est souvent nu, ou dans un autre composant.",
    ),
    DataType.MIME_TYPE: (
        "un type MIME",
        "The Content-Type of a file server is copied with its charset. Send type/subtype alone.",
        "Envoyez type/sous-type seul. On trouve le Content-Type d'un serveur de fichiers, copié avec son charset.",
    ),
    DataType.URI: (
        "un URI",
        "A file name with blanks or accents. Percent-encode all that is not a character of RFC 3986, as UTF-8.",
        "Encodez en pourcentage (UTF-8) tout ce qui n'est pas un caractère de la RFC 3986. On trouve un nom de fichier avec espaces ou accents.",
    ),
    DataType.FIELD: (
        "un champ PID-n|valeur",
        "One value with everything in it. Each Value holds one field: its name PID-n, a vertical bar, the HL7 field.",
        "Mettez un champ par Value : son nom PID-n, une barre verticale, le champ HL7. On trouve une seule valeur qui contient tout.",
    ),
    DataType.HOME_COMMUNITY_ID: (
        "un identifiant de communauté",
        "The bare OID. A homeCommunityId is the one identifier that is written with urn:oid: before it.",
        "Écrivez urn:oid: devant l'OID : homeCommunityId est le seul identifiant qui s'écrit ainsi. On trouve l'OID nu.",
    ),
    DataType.RECIPIENT: (
        "un destinataire",
        "A person is sent in the place of the organization: the vertical bar before it is missing. Write organization|person|telecommunication, each in its HL7 form: Hospital|^Welby^Marcus, or |^Welby^Marcus.",
        "Écrivez organisation|personne|télécom, chacun dans sa forme HL7 : Hospital|^Welby^Marcus, ou |^Welby^Marcus. Une personne est envoyée à la place de l'organisation : la barre devant elle manque.",
    ),
    DataType.DOCUMENT_AVAILABILITY: (
        "une URN de disponibilité",
        "The last word alone. Write the whole URN.",
        "Écrivez l'URN entière. On trouve le dernier mot seul.",
    ),
    DataType.STRING: (
        "un texte assez court",
        "The text of the document's first line, or comments, lands in the title. Cut it before it is sent, by characters and not by octets.",
        "Coupez le texte avant l'envoi, en caractères et non en octets. Souvent la première ligne du document ou un commentaire arrive dans le titre.",
    ),
}  # fmt: skip

_MISSING = (
    "Without it the object cannot be found, sorted or trusted by others, so the standard demands it of every source.",
    "Sans lui l'objet ne peut être ni trouvé, ni trié, ni jugé fiable : la norme l'exige de toute source.",
    "The element is not written when the source has no value, or stands under another scheme UUID or slot name (slot names are case-sensitive, UUIDs are compared letter by letter). Send it as {place}.",
    "Envoyez-le comme {place}. L'élément n'est pas écrit quand la source n'a pas de valeur, ou il se trouve sous un autre UUID ou un autre nom de slot (la casse des noms compte, les UUID sont comparés lettre à lettre).",
)
_FORBIDDEN = (
    "An On-Demand entry describes a document that does not exist yet: nobody can know this of it.",
    "Une fiche On-Demand décrit un document qui n'existe pas encore : personne ne peut connaître cette valeur.",
    "The code that makes Stable entries is used for On-Demand entries too. Leave the attribute out in ITI-61.",
    "N'envoyez pas l'attribut dans ITI-61. Le code des fiches stables sert aussi pour les fiches On-Demand.",
)
_ONCE = (
    "Where one value is allowed, a second one leaves every reader to choose another; so it is refused, not guessed.",
    "Là où une seule valeur est permise, une deuxième laisserait chaque lecteur choisir : elle est refusée, pas devinée.",
    "The element is written once by a template and once by code, or a list is sent where one value belongs. Send one; put further texts where lists are allowed.",
    "Envoyez-en une seule. L'élément est écrit une fois par un modèle et une fois par le code, ou une liste est envoyée à la place d'une valeur.",
)
_FORM = (
    "Registries compare, sort and search these values as they stand; a value of another form is never found again.",
    "Les registres comparent, trient et cherchent ces valeurs telles quelles ; une valeur d'une autre forme n'est plus jamais retrouvée.",
)


@cache
def _by_rule() -> Mapping[str, tuple[Attribute, int]]:
    kinds = (ObjectKind.DOCUMENT_ENTRY, ObjectKind.SUBMISSION_SET, ObjectKind.FOLDER)
    rows = (a for a in ATTRIBUTES if a.kind in kinds and a.section.rpartition(".")[2].isdigit() and a.name in GLOSS)
    return {rule_id(attribute, aspect): (attribute, aspect) for attribute in rows for aspect in (1, 2, 3, 4)}


def entry_of(id: str) -> Mapping[str, Any]:
    """What a data file would hold for a rule about one attribute; empty for any other rule."""
    found = _by_rule().get(id)
    if found is None:
        return NOWHERE
    attribute, aspect = found
    gloss_en, gloss_fr = GLOSS[attribute.name][:2]
    kind_fr = _KIND_FR[attribute.kind]
    right, wrong = _values(attribute)
    whole = _element(attribute, right)
    entry: dict[str, Any] = {"right": whole, "on": _ID[attribute.kind]}
    if aspect == 1:
        why, why_fr, fix, fix_fr = _MISSING
        statement = f"L'attribut {attribute.name} d'{kind_fr} est obligatoire."
        entry |= {"wrong": f"<!-- {attribute.name} is not there -->", "absent": [f"{attribute.kind.value}.{attribute.name}"]}
    elif aspect == 2:
        why, why_fr, fix, fix_fr = _FORBIDDEN
        statement = f"L'attribut {attribute.name} d'{kind_fr} n'est pas envoyé dans ITI-61."
        entry |= {"wrong": whole, "right": f"<!-- {attribute.name} is not there -->", "transaction": "ITI-61"}
    elif aspect == 3:
        why, why_fr, fix, fix_fr = _ONCE
        statement = f"L'attribut {attribute.name} d'{kind_fr} a une seule valeur."
        entry |= {"wrong": _twice(attribute, right)}
    else:
        why, why_fr = _FORM
        type_fr, fix, fix_fr = _TYPES[attribute.type]
        statement = f"L'attribut {attribute.name} d'{kind_fr} est {type_fr} bien formé." if attribute.name != "title" else \
            f"Le titre d'{kind_fr} ne dépasse pas la longueur permise."  # fmt: skip
        if type_fr.startswith("une "):
            statement = statement.replace("bien formé.", "bien formée.")
        entry |= {"wrong": _element(attribute, wrong)}
    entry |= {
        "fr": statement,
        "why": f"{attribute.name} is {gloss_en}. {why}",
        "why_fr": f"{attribute.name} : {gloss_fr}. {why_fr}",
        "fix": fix.format(place=attribute.place) if aspect == 1 else fix,
        "fix_fr": fix_fr.format(place=attribute.place) if aspect == 1 else fix_fr,
    }
    return entry


def _values(attribute: Attribute) -> tuple[str, str]:
    if attribute.name == "uniqueId":
        return _UNIQUE[attribute.kind]
    return GLOSS[attribute.name][2], GLOSS[attribute.name][3]


def _element(attribute: Attribute, value: str, number: str = "") -> str:
    """The attribute as it stands in a message, with this value."""
    id, name, text = _ID[attribute.kind], attribute.name, escape(value, {'"': "&quot;"})
    if attribute.carrier is Carrier.SLOT:
        return f'<rim:Slot name="{attribute.key}">\n  <rim:ValueList><rim:Value>{text}</rim:Value></rim:ValueList>\n</rim:Slot>'
    if attribute.carrier is Carrier.CLASSIFICATION:
        code, display, scheme = text.split("^")
        return (
            f'<rim:Classification id="{name}{number}" classifiedObject="{id}" nodeRepresentation="{code}"\n'
            f'    classificationScheme="{attribute.key}">\n'
            f'  <rim:Slot name="codingScheme"><rim:ValueList><rim:Value>{scheme}</rim:Value></rim:ValueList></rim:Slot>\n'
            f'  <rim:Name><rim:LocalizedString value="{display}"/></rim:Name>\n</rim:Classification>'
        )
    if attribute.carrier is Carrier.EXTERNAL_IDENTIFIER:
        return (
            f'<rim:ExternalIdentifier id="{name}{number}" registryObject="{id}" value="{text}"\n'
            f'    identificationScheme="{attribute.key}">\n'
            f'  <rim:Name><rim:LocalizedString value="{attribute.identifier_name}"/></rim:Name>\n</rim:ExternalIdentifier>'
        )
    if attribute.carrier is Carrier.NAME:
        return f'<rim:Name><rim:LocalizedString value="{text.strip()}"/></rim:Name>'
    element = "ExtrinsicObject" if attribute.kind is ObjectKind.DOCUMENT_ENTRY else "RegistryPackage"
    written = {Carrier.MIME_TYPE: "mimeType", Carrier.HOME: "home"}[attribute.carrier]
    return f'<rim:{element} id="{id}" {written}="{text}"/>'


def _twice(attribute: Attribute, value: str) -> str:
    if attribute.carrier is Carrier.SLOT:
        value = escape(value)
        two = f"    <rim:Value>{value}</rim:Value>\n    <rim:Value>{value}</rim:Value>"
        return f'<rim:Slot name="{attribute.key}">\n  <rim:ValueList>\n{two}\n  </rim:ValueList>\n</rim:Slot>'
    return f"{_element(attribute, value)}\n{_element(attribute, value, '2')}"
