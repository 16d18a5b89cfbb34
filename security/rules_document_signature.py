"""Rules of signed submission sets: the detached XAdES block of ITI TF-3: 5.5 and its French form.

Applied by `document_signature_block.py` (form), `document_signature.py` (what is signed, by whom) and
`repository/signed_sets.py`. A broken one is a finding in the RegistryResponse: an error or a warning, as the operator wants it.
"""

from __future__ import annotations

from security.refusal import TrustRule

_BLOCK = "ITI TF-3: 5.5.2"
_DETACHED = "ITI TF-3: 5.5.3"
_XADES = "ETSI TS 101 903: 7.2"

UNSIGNED = TrustRule(
    "DSG-001",
    "Where sets have to be signed, a submission carries a signature",
    "Là où les lots doivent être signés, une soumission porte une signature",
    "the submission carries no signature",
    "le lot n'est pas signé",
    "add a detached signature as a document of the set",
    "ajoutez une signature détachée parmi les documents du lot",
    _DETACHED,
)
UNREADABLE = TrustRule(
    "DSG-002",
    "A signature is one XML document of bounded size whose root is ds:Signature",
    "Une signature est un document XML de taille bornée dont la racine est ds:Signature",
    "the signature cannot be read: {problem}",
    "la signature est illisible : {problem}",
    "send the ds:Signature itself as the document",
    "envoyez la ds:Signature elle-même comme document",
    _BLOCK,
    "InvalidSecurity",
)
FORM = TrustRule(
    "DSG-003",
    "ds:Signature holds SignedInfo, SignatureValue, KeyInfo and Objects, each Id once, and no second signature",
    "ds:Signature porte SignedInfo, SignatureValue, KeyInfo et des Object, chaque Id une fois, sans seconde signature",
    "the signature has another form: {problem}",
    "la signature a une autre forme : {problem}",
    "send one signature as XML Signature and XAdES describe it",
    "envoyez une seule signature, telle que XML Signature et XAdES la décrivent",
    _BLOCK,
    "InvalidSecurity",
)
ALGORITHM = TrustRule(
    "DSG-004",
    "Signature, digest and canonicalisation methods are those of the affinity domain",
    "Les méthodes de signature, d'empreinte et de canonisation sont celles du domaine",
    "the algorithm {algorithm} is not accepted here",
    "l'algorithme {algorithm} n'est pas accepté ici",
    "use one of {accepted}",
    "utilisez l'un de {accepted}",
    _BLOCK,
    "UnsupportedAlgorithm",
)
URI = TrustRule(
    "DSG-005",
    "A Reference names a part of the signature (#id) or a uniqueId (urn:oid:, urn:uuid:); nothing else is ever opened",
    "Une Reference désigne une partie de la signature (#id) ou un uniqueId (urn:oid:, urn:uuid:) ; rien d'autre n'est ouvert",
    "the Reference {uri} cannot be followed",
    "la Reference {uri} ne peut être suivie",
    "reference documents by their uniqueId",
    "référencez les documents par leur uniqueId",
    _DETACHED,
    "InvalidSecurity",
)
TRANSFORM = TrustRule(
    "DSG-006",
    "A Reference has no Transform, or one canonicalisation",
    "Une Reference n'a aucun Transform, ou une seule canonisation",
    "the Reference {uri} has the transforms {transforms}",
    "la Reference {uri} a les transformations {transforms}",
    "digest the octets of the document as they are sent, or their canonical form",
    "calculez l'empreinte des octets du document tels qu'envoyés, ou de leur forme canonique",
    _DETACHED,
    "InvalidSecurity",
)
PROPERTIES = TrustRule(
    "DSG-007",
    "SignedInfo references the xades:SignedProperties of this signature, with their Type",
    "SignedInfo référence les xades:SignedProperties de cette signature, avec leur Type",
    "the SignedProperties are not signed: {problem}",
    "les SignedProperties ne sont pas signées : {problem}",
    "reference them by their Id with Type {type}",
    "référencez-les par leur Id avec le Type {type}",
    _XADES,
    "InvalidSecurity",
)
VALUE = TrustRule(
    "DSG-008",
    "SignatureValue fits SignedInfo and the key of the signer's certificate",
    "SignatureValue correspond à SignedInfo et à la clé du certificat du signataire",
    "the signature value is wrong",
    "la valeur de signature est fausse",
    "sign again; nothing may change SignedInfo afterwards",
    "signez de nouveau ; rien ne doit modifier SignedInfo ensuite",
    _BLOCK,
    "FailedCheck",
)
INNER = TrustRule(
    "DSG-009",
    "The digest of each part of the signature is that of its Reference",
    "L'empreinte de chaque partie de la signature est celle de sa Reference",
    "the part {uri} of the signature is not what was signed",
    "la partie {uri} de la signature n'est pas celle qui a été signée",
    "sign again; a signature must not be indented or rewritten after it was made",
    "signez de nouveau ; une signature ne doit être ni indentée ni réécrite une fois faite",
    _BLOCK,
    "FailedCheck",
)
CERTIFICATE = TrustRule(
    "DSG-010",
    "KeyInfo holds the signer's certificate, and xades:SigningCertificate its digest",
    "KeyInfo porte le certificat du signataire, et xades:SigningCertificate son empreinte",
    "the signer's certificate is not certain: {problem}",
    "le certificat du signataire n'est pas certain : {problem}",
    "put the certificate into X509Data and its digest into SigningCertificate",
    "mettez le certificat dans X509Data et son empreinte dans SigningCertificate",
    _XADES,
    "InvalidSecurityToken",
)
TIME = TrustRule(
    "DSG-011",
    "xades:SigningTime is given, is not in the future, and lies within a day of the set's submissionTime",
    "xades:SigningTime est donné, n'est pas dans le futur, et se situe à moins d'un jour du submissionTime du lot",
    "the SigningTime {time} is not plausible: {problem}",
    "le SigningTime {time} n'est pas plausible : {problem}",
    "set the clock, and sign when the set is made",
    "réglez l'horloge, et signez quand le lot est fait",
    _XADES,
    "FailedCheck",
)
UNTRUSTED = TrustRule(
    "DSG-012",
    "The signer's certificate is trusted at SigningTime, not revoked, and made for non-repudiation",
    "Le certificat du signataire est reconnu à SigningTime, non révoqué, et fait pour la non-répudiation",
    "the signer is not trusted: {reason_en}",
    "le signataire n'est pas reconnu : {reason_fr}",
    "sign with a signature certificate of an accepted authority",
    "signez avec un certificat de signature d'une autorité acceptée",
    _BLOCK,
)
SIGNER = TrustRule(
    "DSG-013",
    "The signer is an author or legalAuthenticator of the set, or a structure of an author",
    "Le signataire est un auteur ou le legalAuthenticator du lot, ou une structure d'un auteur",
    "the signer {signer} is neither author, legalAuthenticator nor structure of what is signed",
    "le signataire {signer} n'est ni auteur, ni legalAuthenticator, ni structure de ce qui est signé",
    "let an author or their structure sign, and name them by the id of their certificate",
    "faites signer un auteur ou sa structure, désigné par l'identifiant de son certificat",
    _DETACHED,
)
DIGEST = TrustRule(
    "DSG-014",
    "The digest of each signed document is that of the document as received",
    "L'empreinte de chaque document signé est celle du document reçu",
    "the document {document} is not what was signed",
    "le document {document} n'est pas celui qui a été signé",
    "sign the octets that are sent",
    "signez les octets qui sont envoyés",
    _DETACHED,
    "FailedCheck",
)
MISSING = TrustRule(
    "DSG-015",
    "A signed set lists every document of the submission but the signatures",
    "Un lot signé liste tous les documents de la soumission sauf les signatures",
    "the document {document} of the submission is not signed",
    "le document {document} de la soumission n'est pas signé",
    "list all documents of the set in the manifest",
    "listez tous les documents du lot dans le manifeste",
    _DETACHED,
    "FailedCheck",
)
EXTRA = TrustRule(
    "DSG-016",
    "What is signed is there: in the submission, or, where a single document is signed, stored here before",
    "Ce qui est signé est là : dans la soumission, ou, pour un document seul, déjà conservé ici",
    "the signed document {document} is not part of what is submitted",
    "le document signé {document} ne fait pas partie de la soumission",
    "list the documents of this submission and no others",
    "listez les documents de cette soumission et aucun autre",
    _DETACHED,
    "FailedCheck",
)
WRONG_SET = TrustRule(
    "DSG-017",
    "A signed set names the uniqueId of this SubmissionSet, with the digest 0 (0, MA== or AA==)",
    "Un lot signé désigne l'uniqueId de ce SubmissionSet, avec l'empreinte 0 (0, MA== ou AA==)",
    "the SubmissionSet is not the one that was signed: {problem}",
    "le lot n'est pas celui qui a été signé : {problem}",
    "reference the set by its uniqueId with the digest MA==",
    "référencez le lot par son uniqueId avec l'empreinte MA==",
    _DETACHED,
    "FailedCheck",
)
TARGET = TrustRule(
    "DSG-018",
    "The signs association joins the signature to what it signs, as the affinity domain wants it",
    "L'association signs relie la signature à ce qu'elle signe, comme le domaine le veut",
    "the signs associations do not agree with the signature: {problem}",
    "les associations signs ne s'accordent pas avec la signature : {problem}",
    "submit signs from the signature to {accepted}",
    "soumettez signs de la signature vers {accepted}",
    "ITI TF-3: 4.2.2, 5.5.3",
    "FailedCheck",
)
POLICY = TrustRule(
    "DSG-019",
    "The signature policy is urn:ihe:iti:dsg:detached:2014, or implied",
    "La politique de signature est urn:ihe:iti:dsg:detached:2014, ou implicite",
    "the signature policy {policy} is not known here",
    "la politique de signature {policy} n'est pas connue ici",
    "name urn:ihe:iti:dsg:detached:2014, or SignaturePolicyImplied",
    "désignez urn:ihe:iti:dsg:detached:2014, ou SignaturePolicyImplied",
    _BLOCK,
)
NOT_CANONICAL = TrustRule(
    "DSG-020",
    "A document whose canonical form is signed is XML without DTD, of bounded size",
    "Un document dont la forme canonique est signée est du XML sans DTD, de taille bornée",
    "the document {document} has no canonical form here: {problem}",
    "le document {document} n'a pas de forme canonique ici : {problem}",
    "sign the octets of the document, without Transform",
    "signez les octets du document, sans Transform",
    _DETACHED,
    "FailedCheck",
)

RULES = (
    UNSIGNED, UNREADABLE, FORM, ALGORITHM, URI, TRANSFORM, PROPERTIES, VALUE, INNER, CERTIFICATE, TIME, UNTRUSTED, SIGNER, DIGEST,
    MISSING, EXTRA, WRONG_SET, TARGET, POLICY, NOT_CANONICAL,
)  # fmt: skip
