"""Rules of XML signatures: the form that is looked at at all, who signed, what is signed, how long it counts.

Applied by `signed_info.py` (form), `signer.py` (certificate), `signature.py` (cryptography), `signed_message.py` (SOAP messages)
and `replay.py`.
"""

from __future__ import annotations

from security.refusal import TrustRule

_DSIG = "XML Signature 1.1: 4"
_BSP = "WS-I BSP 1.1: 8"
_X509 = "WSS X.509 Token Profile 1.1: 3"
_TIME = "WSS SOAP Message Security 1.1: 10"
_HEADER = "WSS SOAP Message Security 1.1: 5"
_SIGNED = "WSS SOAP Message Security 1.1: 8"

UNSIGNED = TrustRule(
    "SIG-001",
    "Where messages have to be signed, an unsigned one is refused",
    "Là où les messages doivent être signés, un message non signé est refusé",
    "the message is not signed",
    "le message n'est pas signé",
    "sign it: wsse:Security with a BinarySecurityToken, a wsu:Timestamp and a ds:Signature over them, the addressing headers and "
    "the Body",
    "signez-le : wsse:Security avec un BinarySecurityToken, un wsu:Timestamp et une ds:Signature qui les couvre avec les "
    "en-têtes d'adressage et le Body",
    _SIGNED,
    "InvalidSecurity",
)
ONE_HEADER = TrustRule(
    "SIG-002",
    "A signed message has one wsse:Security, a child of its Header",
    "Un message signé porte un seul wsse:Security, fils de son Header",
    "the message has {count} wsse:Security elements, {placed} of them in its Header",
    "le message porte {count} éléments wsse:Security, dont {placed} dans son Header",
    "send one wsse:Security, in the Header",
    "envoyez un seul wsse:Security, dans le Header",
    _HEADER,
    "InvalidSecurity",
)
ONE_SIGNATURE = TrustRule(
    "SIG-003",
    "wsse:Security holds one ds:Signature of its own",
    "wsse:Security porte une seule ds:Signature en propre",
    "wsse:Security holds {count} ds:Signature",
    "wsse:Security porte {count} ds:Signature",
    "send one ds:Signature over all signed parts",
    "envoyez une seule ds:Signature sur toutes les parties signées",
    _SIGNED,
    "InvalidSecurity",
)
FORM = TrustRule(
    "SIG-004",
    "A ds:Signature is SignedInfo, SignatureValue, KeyInfo and nothing else; SignedInfo is CanonicalizationMethod, "
    "SignatureMethod and References",
    "Une ds:Signature est SignedInfo, SignatureValue, KeyInfo et rien d'autre ; SignedInfo est CanonicalizationMethod, "
    "SignatureMethod et des Reference",
    "the signature has another form: {problem}",
    "la signature a une autre forme : {problem}",
    "send a detached signature without Object and Manifest",
    "envoyez une signature détachée, sans Object ni Manifest",
    _DSIG,
    "InvalidSecurity",
)
CANONICALIZATION = TrustRule(
    "SIG-005",
    "SignedInfo is canonicalised exclusively, without comments",
    "SignedInfo est canonicalisé de façon exclusive, sans commentaires",
    "the canonicalisation {algorithm} is not accepted",
    "la canonicalisation {algorithm} n'est pas acceptée",
    "use http://www.w3.org/2001/10/xml-exc-c14n#",
    "utilisez http://www.w3.org/2001/10/xml-exc-c14n#",
    "WS-I BSP 1.1: R5404",
    "UnsupportedAlgorithm",
)
METHOD = TrustRule(
    "SIG-006",
    "A signature is made with RSA or ECDSA and SHA-256, SHA-384 or SHA-512",
    "Une signature est faite avec RSA ou ECDSA et SHA-256, SHA-384 ou SHA-512",
    "the signature method {algorithm} is not accepted",
    "la méthode de signature {algorithm} n'est pas acceptée",
    "use http://www.w3.org/2001/04/xmldsig-more#rsa-sha256; SHA-1, MD5 and HMAC are never accepted",
    "utilisez http://www.w3.org/2001/04/xmldsig-more#rsa-sha256 ; SHA-1, MD5 et HMAC ne sont jamais acceptés",
    _DSIG + ".4.2",
    "UnsupportedAlgorithm",
)
DIGEST_METHOD = TrustRule(
    "SIG-007",
    "A digest is made with SHA-256, SHA-384 or SHA-512",
    "Une empreinte est faite avec SHA-256, SHA-384 ou SHA-512",
    "the digest method {algorithm} is not accepted",
    "la méthode d'empreinte {algorithm} n'est pas acceptée",
    "use http://www.w3.org/2001/04/xmlenc#sha256",
    "utilisez http://www.w3.org/2001/04/xmlenc#sha256",
    _DSIG + ".4.3.5",
    "UnsupportedAlgorithm",
)
TRANSFORMS = TrustRule(
    "SIG-008",
    "The transform of a signed part is exclusive canonicalisation, or STR-Transform for the token",
    "La transformation d'une partie signée est la canonicalisation exclusive, ou STR-Transform pour le jeton",
    "the transforms {algorithms} are not accepted",
    "les transformations {algorithms} ne sont pas acceptées",
    "use the one transform http://www.w3.org/2001/10/xml-exc-c14n#; XSLT, XPath and base64 are never accepted",
    "utilisez la seule transformation http://www.w3.org/2001/10/xml-exc-c14n# ; XSLT, XPath et base64 ne sont jamais acceptés",
    "WS-I BSP 1.1: R5411, R5412",
    "UnsupportedAlgorithm",
)
REFERENCES = TrustRule(
    "SIG-009",
    "A signature has 1 to 16 references",
    "Une signature a de 1 à 16 références",
    "the signature has {count} references",
    "la signature a {count} références",
    "sign each part once, with one signature",
    "signez chaque partie une fois, par une seule signature",
    _DSIG + ".4.3",
    "InvalidSecurity",
)
URI = TrustRule(
    "SIG-010",
    "A reference names an element of the same message by its id",
    "Une référence désigne un élément du même message par son identifiant",
    "the reference {uri} is not of the form #id",
    "la référence {uri} n'est pas de la forme #id",
    "give the part a wsu:Id and refer to #that-id; nothing outside of the message is ever fetched",
    "donnez à la partie un wsu:Id et référez-vous à #cet-id ; rien n'est jamais lu hors du message",
    _DSIG + ".4.3.1",
    "InvalidSecurity",
)
DANGLING = TrustRule(
    "SIG-011",
    "The id that a reference names exists",
    "L'identifiant désigné par une référence existe",
    "no element of the message has the id {uri}",
    "aucun élément du message ne porte l'identifiant {uri}",
    "give the signed part this wsu:Id",
    "donnez ce wsu:Id à la partie signée",
    _DSIG + ".4.3.2",
    "InvalidSecurity",
)
DUPLICATE_ID = TrustRule(
    "SIG-012",
    "An id occurs once in a message: wsu:Id, Id, ID, AssertionID and xml:id together",
    "Un identifiant n'apparaît qu'une fois dans un message : wsu:Id, Id, ID, AssertionID et xml:id confondus",
    "the id {id} occurs twice",
    "l'identifiant {id} apparaît deux fois",
    "make every id of the message unique",
    "rendez unique chaque identifiant du message",
    "WS-I BSP 1.1: R3204",
    "InvalidSecurity",
)
INSIDE = TrustRule(
    "SIG-013",
    "A message's signature does not sign itself or what stands in it; its token reference with STR-Transform excepted",
    "La signature d'un message ne se signe pas elle-même ni ce qu'elle contient, sauf sa référence de jeton avec STR-Transform",
    "the reference {uri} leads into the signature",
    "la référence {uri} mène dans la signature",
    "sign the parts where they stand in the message",
    "signez les parties à leur place dans le message",
    "WS-I BSP 1.1: R3102",
    "InvalidSecurity",
)
TYPE = TrustRule(
    "SIG-014",
    "A reference has no Type: manifests and objects are not followed",
    "Une référence n'a pas de Type : ni Manifest ni Object ne sont suivis",
    "a reference has the Type {type}",
    "une référence porte le Type {type}",
    "refer to the signed element directly",
    "référez-vous directement à l'élément signé",
    _DSIG + ".4.3",
    "InvalidSecurity",
)
TOKEN_FORM = TrustRule(
    "SIG-015",
    "The signer is named by one SecurityTokenReference: to a BinarySecurityToken before it in the same header, or by issuer and "
    "serial number, subject key identifier or thumbprint of an enrolled certificate",
    "Le signataire est désigné par un SecurityTokenReference : vers un BinarySecurityToken du même en-tête placé avant lui, "
    "ou par émetteur et numéro de série, identifiant de clé ou empreinte d'un certificat enrôlé",
    "KeyInfo does not name a certificate in an accepted way: {problem}",
    "KeyInfo ne désigne pas un certificat d'une façon acceptée : {problem}",
    "send the certificate as a wsse:BinarySecurityToken (X509v3, Base64Binary) and refer to its wsu:Id; KeyValue, KeyName and "
    "RetrievalMethod are never followed",
    "envoyez le certificat dans un wsse:BinarySecurityToken (X509v3, Base64Binary) et référez-vous à son wsu:Id ; KeyValue, "
    "KeyName et RetrievalMethod ne sont jamais suivis",
    _X509,
    "InvalidSecurityToken",
)
TOKEN_UNKNOWN = TrustRule(
    "SIG-016",
    "A certificate that is only named, not sent, is one of the enrolled ones",
    "Un certificat seulement désigné, et non envoyé, est l'un des certificats enrôlés",
    "the certificate named by {form} is not known here",
    "le certificat désigné par {form} n'est pas connu ici",
    "send the certificate as a wsse:BinarySecurityToken, or have it enrolled",
    "envoyez le certificat dans un wsse:BinarySecurityToken, ou faites-le enrôler",
    _X509 + ".2",
    "SecurityTokenUnavailable",
)
TOKEN_UNREADABLE = TrustRule(
    "SIG-017",
    "A token is the base64 of one DER certificate",
    "Un jeton est le base64 d'un certificat DER",
    "the certificate in the message cannot be read",
    "le certificat du message est illisible",
    "send the base64 of the certificate's DER form, nothing else",
    "envoyez le base64 de la forme DER du certificat, rien d'autre",
    _X509 + ".1",
    "InvalidSecurityToken",
)
VALUE = TrustRule(
    "SIG-018",
    "The signature value is that of SignedInfo under the signer's key",
    "La valeur de signature est celle de SignedInfo sous la clé du signataire",
    "the signature value is wrong",
    "la valeur de signature est fausse",
    "check that nothing changes SignedInfo after signing, and that key and certificate belong together",
    "vérifiez que rien ne modifie SignedInfo après la signature, et que la clé et le certificat vont ensemble",
    _DSIG + ".3.2",
    "FailedCheck",
)
DIGEST = TrustRule(
    "SIG-019",
    "The digest of each signed part is that of the part as received, documents sent as MIME parts in their base64 form",
    "L'empreinte de chaque partie signée est celle de la partie reçue, les documents envoyés en parties MIME sous leur forme "
    "base64",
    "the digest of {part} differs from what was signed",
    "l'empreinte de {part} diffère de ce qui a été signé",
    "check that nothing changes the part after signing; with MTOM sign before the content becomes MIME parts, over base64 "
    "without line breaks",
    "vérifiez que rien ne modifie la partie après la signature ; avec MTOM, signez avant que le contenu devienne des parties "
    "MIME, sur du base64 sans retour à la ligne",
    _DSIG + ".3.2",
    "FailedCheck",
)
KEY_FAMILY = TrustRule(
    "SIG-020",
    "The signature method is one of the key's family",
    "La méthode de signature est de la famille de la clé",
    "the signature method {algorithm} does not belong to the {kind} key of the certificate",
    "la méthode de signature {algorithm} ne va pas avec la clé {kind} du certificat",
    "name the method that the key was used with",
    "indiquez la méthode avec laquelle la clé a servi",
    _DSIG + ".4.2",
    "UnsupportedAlgorithm",
)
ENCODING = TrustRule(
    "SIG-021",
    "DigestValue and SignatureValue are base64 text of the right length, without anything else in them",
    "DigestValue et SignatureValue sont du texte base64 de la bonne longueur, sans rien d'autre",
    "{name} is not base64 of the right length",
    "{name} n'est pas du base64 de la bonne longueur",
    "send the value as the algorithm defines it; ECDSA as r and s side by side",
    "envoyez la valeur telle que l'algorithme la définit ; ECDSA avec r et s côte à côte",
    _DSIG + ".3",
    "InvalidSecurity",
)
UNSIGNED_PART = TrustRule(
    "SIG-022",
    "The signature covers Body, Timestamp and the addressing headers that are present: Action, MessageID, To, ReplyTo, FaultTo, "
    "From, RelatesTo",
    "La signature couvre Body, Timestamp et les en-têtes d'adressage présents : Action, MessageID, To, ReplyTo, FaultTo, From, "
    "RelatesTo",
    "{part} is not signed",
    "{part} n'est pas signé",
    "sign this element too",
    "signez aussi cet élément",
    _SIGNED,
    "FailedCheck",
)
HEADER_COUNT = TrustRule(
    "SIG-023",
    "A signed message has wsa:Action, wsa:MessageID and wsa:To, and no addressing header twice",
    "Un message signé porte wsa:Action, wsa:MessageID et wsa:To, et aucun en-tête d'adressage en double",
    "{part} occurs {count} times",
    "{part} apparaît {count} fois",
    "send it once, with its value as text",
    "envoyez-le une fois, avec sa valeur en texte",
    "ITI TF-2: V.3.2.2",
    "InvalidSecurity",
)
TIMESTAMP = TrustRule(
    "SIG-024",
    "A signed message has one wsu:Timestamp with one Created and one Expires after it, in UTC (2026-01-31T12:00:00Z)",
    "Un message signé porte un wsu:Timestamp avec un Created et un Expires postérieur, en UTC (2026-01-31T12:00:00Z)",
    "the Timestamp is not accepted: {problem}",
    "le Timestamp n'est pas accepté : {problem}",
    "send one Timestamp with Created and Expires in UTC, ending in Z",
    "envoyez un Timestamp avec Created et Expires en UTC, terminés par Z",
    "WS-I BSP 1.1: R3203, R3221, R3227",
    "InvalidSecurity",
)
FUTURE = TrustRule(
    "SIG-025",
    "A message is not Created in the future; a minute of clock difference is allowed",
    "Un message n'est pas créé dans le futur ; une minute d'écart d'horloge est admise",
    "the message was created at {created}, here it is {now}",
    "le message a été créé à {created}, il est ici {now}",
    "set the clock of the sender (NTP)",
    "mettez à l'heure l'horloge de l'émetteur (NTP)",
    _TIME,
    "MessageExpired",
)
EXPIRED = TrustRule(
    "SIG-026",
    "A message counts until Expires, and never longer than five minutes; a minute of clock difference is allowed",
    "Un message compte jusqu'à Expires, et jamais plus de cinq minutes ; une minute d'écart d'horloge est admise",
    "the message was created at {created} and expired at {expires}, here it is {now}",
    "le message a été créé à {created} et a expiré à {expires}, il est ici {now}",
    "sign the message when it is sent, and set the clock of the sender (NTP)",
    "signez le message au moment de l'envoi, et mettez à l'heure l'horloge de l'émetteur (NTP)",
    _TIME,
    "MessageExpired",
)
DESTINATION = TrustRule(
    "SIG-027",
    "The signed wsa:To is the address that the message was sent to",
    "Le wsa:To signé est l'adresse à laquelle le message a été envoyé",
    "the message is meant for {to}, not for this address",
    "le message est destiné à {to}, non à cette adresse",
    "put the address of this service into wsa:To: {expected}",
    "mettez l'adresse de ce service dans wsa:To : {expected}",
    "WS-Addressing 1.0 Core: 3.2",
    "InvalidSecurity",
)
ACTION = TrustRule(
    "SIG-028",
    "The action of HTTP is the signed wsa:Action",
    "L'action de HTTP est le wsa:Action signé",
    "the HTTP header names the action {http}, the signed message {action}",
    "l'en-tête HTTP nomme l'action {http}, le message signé {action}",
    "name the same action in both, or none in HTTP",
    "nommez la même action aux deux endroits, ou aucune dans HTTP",
    "ITI TF-2: V.3",
    "InvalidSecurity",
)
REPLAY = TrustRule(
    "SIG-029",
    "A signed message is accepted once",
    "Un message signé est accepté une seule fois",
    "a message of this signer with the MessageID {id} was already received",
    "un message de ce signataire avec le MessageID {id} a déjà été reçu",
    "sign the message anew, with a new wsa:MessageID, even when it is sent again",
    "signez le message à nouveau, avec un nouveau wsa:MessageID, même pour le renvoyer",
    "WSS SOAP Message Security 1.1: 13.1",
    "FailedCheck",
)
NOT_CANONICAL = TrustRule(
    "SIG-030",
    "What is signed can be canonicalised",
    "Ce qui est signé peut être canonicalisé",
    "{part} cannot be canonicalised",
    "{part} ne peut pas être canonicalisé",
    "use absolute namespace names",
    "utilisez des noms d'espace de noms absolus",
    "Canonical XML 1.0: 1.3",
    "FailedCheck",
)
STR_TRANSFORM = TrustRule(
    "SIG-031",
    "STR-Transform is accepted over the signature's own reference to its BinarySecurityToken, where no default namespace is "
    "in scope",
    "STR-Transform est accepté sur la référence de la signature à son BinarySecurityToken, hors de tout espace de noms par "
    "défaut",
    "this use of STR-Transform is not accepted: {problem}",
    "cet usage de STR-Transform n'est pas accepté : {problem}",
    "sign the BinarySecurityToken itself, by its wsu:Id",
    "signez le BinarySecurityToken lui-même, par son wsu:Id",
    "WSS SOAP Message Security 1.1: 8.3",
    "UnsupportedAlgorithm",
)
ENCRYPTED = TrustRule(
    "SIG-032",
    "Nothing in a message is encrypted: TLS does that",
    "Rien dans un message n'est chiffré : TLS s'en charge",
    "the message holds XML Encryption",
    "le message contient du chiffrement XML",
    "send the message in clear over TLS",
    "envoyez le message en clair sur TLS",
    "ITI TF-2: 3.19.6.2",
    "UnsupportedAlgorithm",
)
CONFIRMATION = TrustRule(
    "SIG-033",
    "A signed answer relates to the request and confirms its signature",
    "Une réponse signée se rapporte à la requête et confirme sa signature",
    "the answer does not belong to the request: {problem}",
    "la réponse n'appartient pas à la requête : {problem}",
    "ask again; if this comes back, somebody stands between",
    "redemandez ; si cela se répète, quelqu'un s'interpose",
    "WSS SOAP Message Security 1.1: 8.5",
    "FailedCheck",
)
ENVELOPED = TrustRule(
    "SIG-034",
    "An enveloped signature has one reference, to the element that holds it",
    "Une signature enveloppée a une seule référence, à l'élément qui la porte",
    "the enveloped signature does not sign the element that holds it",
    "la signature enveloppée ne signe pas l'élément qui la porte",
    "sign the element by its own id, with the transforms enveloped-signature and xml-exc-c14n",
    "signez l'élément par son propre identifiant, avec les transformations enveloped-signature et xml-exc-c14n",
    "SAML 2.0 Core: 5.4",
    "InvalidSecurity",
)
UNSIGNED_DOCUMENT = TrustRule(
    "SIG-035",
    "Every MIME part of a signed message belongs to what is signed: an xop:Include leads to it",
    "Chaque partie MIME d'un message signé appartient à ce qui est signé : un xop:Include y mène",
    "nothing in the message refers to the part {part}",
    "rien dans le message ne désigne la partie {part}",
    "send no part that is not referred to",
    "n'envoyez aucune partie qui ne soit désignée",
    "XOP 1.0: 4",
    "FailedCheck",
)

SIGNATURE_RULES = (
    UNSIGNED, ONE_HEADER, ONE_SIGNATURE, FORM, CANONICALIZATION, METHOD, DIGEST_METHOD, TRANSFORMS, REFERENCES, URI, DANGLING,
    DUPLICATE_ID, INSIDE, TYPE, TOKEN_FORM, TOKEN_UNKNOWN, TOKEN_UNREADABLE, VALUE, DIGEST, KEY_FAMILY, ENCODING, UNSIGNED_PART,
    HEADER_COUNT, TIMESTAMP, FUTURE, EXPIRED, DESTINATION, ACTION, REPLAY, NOT_CANONICAL, STR_TRANSFORM, ENCRYPTED, CONFIRMATION,
    ENVELOPED, UNSIGNED_DOCUMENT,
)  # fmt: skip
