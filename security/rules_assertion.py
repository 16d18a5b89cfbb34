"""Rules of every assertion: one, signed by whom it says, in time, for this server, sent by whom it is for.

Applied by `saml_signature.py` (form, signature) and `saml_judging.py` (issuer, times, audience, binding). The rules of
what it says of person and patient stand in `rules_vihf.py`; the known texts of the DMP stand in the texts of the rows.
"""

from __future__ import annotations

from security.refusal import TrustRule

REQUIRED = TrustRule(
    "SAM-001",
    "Where assertions are required, a message without one is refused",
    "Là où une assertion est exigée, un message sans assertion est refusé",
    "the message carries no SAML assertion",
    "le message ne porte pas d'assertion SAML (VIHF)",
    "put one signed SAML 2.0 assertion into wsse:Security",
    "placez une assertion SAML 2.0 signée dans wsse:Security",
    "ITI TF-2: 3.40.4.1.1",
    "SecurityTokenUnavailable",
)
ONE = TrustRule(
    "SAM-002",
    "A message carries one assertion, a child of its wsse:Security, and none elsewhere",
    "Un message porte une seule assertion, fille de son wsse:Security, et aucune ailleurs",
    "the message has {count} assertions, {placed} of them in the wsse:Security of its Header",
    "le message porte {count} assertions, dont {placed} dans le wsse:Security de son Header",
    "send exactly one, directly in wsse:Security",
    "envoyez-en exactement une, directement dans wsse:Security",
    "ITI TF-2: 3.40.4.1.2",
    "InvalidSecurity",
)
VERSION_2 = TrustRule(
    "SAM-003",
    "An assertion is of SAML 2.0, in clear",
    "Une assertion est en SAML 2.0, en clair",
    "the token is {found}",
    "le jeton est {found}",
    "send a SAML 2.0 assertion that is not encrypted",
    "envoyez une assertion SAML 2.0 non chiffrée",
    "OASIS SAML 2.0 Core: 2.3.3",
    "UnsupportedSecurityToken",
)
FORM = TrustRule(
    "SAM-004",
    "An assertion has an ID, an IssueInstant, one Issuer, one Subject with a NameID and one AuthnStatement",
    "Une assertion porte un ID, un IssueInstant, un Issuer, un Subject avec NameID et un AuthnStatement",
    "the assertion has {problem}",
    "l'assertion est mal formée : {problem}",
    "write it as SAML 2.0 Core demands",
    "écrivez-la comme le demande SAML 2.0 Core",
    "OASIS SAML 2.0 Core: 2.3.3",
    "InvalidSecurityToken",
)
SIGNATURE = TrustRule(
    "SAM-005",
    "An assertion is signed by one ds:Signature, its second child",
    "Une assertion est signée par une seule ds:Signature, son deuxième élément",
    "the assertion has {count} signatures, {placed} of them behind its Issuer",
    "l'assertion porte {count} signatures, dont {placed} après son Issuer",
    "sign it once, with the Signature directly behind the Issuer",
    "signez-la une fois, la Signature directement après l'Issuer",
    "OASIS SAML 2.0 Core: 5.4",
    "InvalidSecurity",
)
SHAPE = TrustRule(
    "SAM-006",
    "The signature of an assertion is SignedInfo, SignatureValue and KeyInfo, in exclusive canonical form",
    "La signature d'une assertion est SignedInfo, SignatureValue et KeyInfo, en forme canonique exclusive",
    "the signature of the assertion has another form: {problem}",
    "la signature de l'assertion a une autre forme : {problem}",
    "sign with exclusive canonicalisation and without ds:Object",
    "signez avec la canonicalisation exclusive et sans ds:Object",
    "OASIS SAML 2.0 Core: 5.4",
    "InvalidSecurity",
)
REFERENCE = TrustRule(
    "SAM-007",
    "The signature of an assertion has one Reference, to the assertion itself by its ID",
    "La signature d'une assertion a une seule Reference, vers l'assertion elle-même par son ID",
    "the signature of the assertion does not sign it: {problem}",
    "la signature de l'assertion ne la signe pas : {problem}",
    "refer to '#' and the ID of the assertion, with the transforms enveloped-signature and exclusive canonicalisation",
    "faites référence à « # » suivi de l'ID de l'assertion, avec les transformations enveloped-signature et "
    "canonicalisation exclusive",
    "OASIS SAML 2.0 Core: 5.4.2",
    "InvalidSecurity",
)
ALGORITHM = TrustRule(
    "SAM-008",
    "An assertion is signed with RSA or ECDSA and SHA-256 or longer",
    "Une assertion est signée en RSA ou ECDSA avec SHA-256 ou plus",
    "the algorithm {algorithm} is not accepted",
    "l'algorithme {algorithm} n'est pas accepté",
    "sign with rsa-sha256 or ecdsa-sha256, digest sha256",
    "signez en rsa-sha256 ou ecdsa-sha256, condensat sha256",
    "ANSSI RGS B1; RFC 6931: 2.3",
    "UnsupportedAlgorithm",
)
KEY_INFO = TrustRule(
    "SAM-009",
    "The KeyInfo of an assertion holds one X509Certificate and nothing else",
    "Le KeyInfo d'une assertion contient un X509Certificate et rien d'autre",
    "the KeyInfo of the assertion is not usable: {problem}",
    "le KeyInfo de l'assertion n'est pas utilisable : {problem}",
    "put the signer's own certificate into ds:X509Data, alone",
    "placez le certificat du signataire seul dans ds:X509Data",
    "XML Signature 1.1: 4.5",
    "InvalidSecurityToken",
)
VALUE = TrustRule(
    "SAM-010",
    "The signature of an assertion fits its content and the key of its certificate",
    "La signature d'une assertion correspond à son contenu et à la clé de son certificat",
    "the signature of the assertion is wrong",
    "la signature de l'assertion est fausse",
    "sign it last and do not touch it afterwards, not even its blanks or its charset",
    "signez-la en dernier et n'y touchez plus ensuite, ni aux blancs ni à l'encodage",
    "XML Signature 1.1: 3.2",
    "FailedCheck",
)
MIXED = TrustRule(
    "SAM-011",
    "A value in an assertion is plain text, without comments or elements in it",
    "Une valeur d'assertion est du texte, sans commentaire ni élément",
    "the value of {name} has other nodes in it",
    "la valeur de {name} contient d'autres nœuds",
    "write the value as plain text",
    "écrivez la valeur en texte simple",
    "security practice (CVE-2017-11427)",
    "InvalidSecurityToken",
)
ISSUER_NAME = TrustRule(
    "SAM-012",
    "The Issuer of an assertion is the subject of the certificate that signed it",
    "L'Issuer d'une assertion est le sujet du certificat qui l'a signée",
    "the Issuer '{issuer}' is not the subject of the signing certificate",
    "l'Issuer « {issuer} » n'est pas le sujet du certificat signataire",
    "write the certificate's subject as RFC 2253 has it: {subject}",
    "écrivez le sujet du certificat selon la RFC 2253 : {subject}",
    "CI-SIS VIHF: Issuer",
    "InvalidSecurityToken",
)
ISSUER = TrustRule(
    "SAM-013",
    "An assertion comes from an issuer that is configured here",
    "Une assertion vient d'un émetteur configuré ici",
    "no assertions of this kind are accepted from the issuer '{issuer}'",
    "aucune assertion de ce type n'est acceptée de l'émetteur « {issuer} »",
    "ask the operator to configure the issuer",
    "demandez à l'exploitant de configurer l'émetteur",
    "ITI TF-2: 3.40.4.1.2",
)
CERTIFICATE = TrustRule(
    "SAM-014",
    "An assertion is signed by a certificate of the kind that its mode demands",
    "Une assertion est signée par un certificat du type exigé par son mode",
    "DMPInvalidCertificate: Not a valid signature certificate ({problem})",
    "DMPInvalidCertificate : certificat de signature non valide ({problem})",
    "sign with the signature certificate of the card, or with the structure's",
    "signez avec le certificat de signature de la carte, ou celui de la structure",
    "CI-SIS VIHF: signature",
    "InvalidSecurityToken",
)
NOT_BEFORE = TrustRule(
    "SAM-015",
    "An assertion holds from its NotBefore",
    "Une assertion vaut à partir de son NotBefore",
    "the assertion holds only from {limit}",
    "l'assertion ne vaut qu'à partir de {limit}",
    "check the clocks of both sides",
    "vérifiez les horloges des deux côtés",
    "OASIS SAML 2.0 Core: 2.5.1.2",
    "InvalidSecurityToken",
)
EXPIRED = TrustRule(
    "SAM-016",
    "An assertion holds until its NotOnOrAfter",
    "Une assertion vaut jusqu'à son NotOnOrAfter",
    "the assertion held until {limit}",
    "l'assertion valait jusqu'à {limit}",
    "make a new assertion",
    "établissez une nouvelle assertion",
    "OASIS SAML 2.0 Core: 2.5.1.2",
    "MessageExpired",
)
AGE = TrustRule(
    "SAM-017",
    "An assertion is used within the time that its issuer is given, counted from IssueInstant",
    "Une assertion est utilisée dans le délai accordé à son émetteur, compté depuis IssueInstant",
    "the assertion was issued at {issued}, outside the accepted {minutes} minutes",
    "l'assertion a été émise à {issued}, hors des {minutes} minutes acceptées",
    "make a new assertion, and check the clocks",
    "établissez une nouvelle assertion et vérifiez les horloges",
    "CI-SIS VIHF: IssueInstant",
    "MessageExpired",
)
AUTHENTICATED = TrustRule(
    "SAM-018",
    "The person was authenticated before the assertion was issued, and not too long ago",
    "La personne a été authentifiée avant l'émission de l'assertion, et pas depuis trop longtemps",
    "the AuthnInstant {instant} does not go with the IssueInstant {issued}",
    "l'AuthnInstant {instant} ne convient pas à l'IssueInstant {issued}",
    "authenticate the person again",
    "authentifiez de nouveau la personne",
    "OASIS SAML 2.0 Core: 2.7.2",
    "InvalidSecurityToken",
)
TIME = TrustRule(
    "SAM-019",
    "Times in an assertion are UTC with Z",
    "Les dates d'une assertion sont en UTC avec Z",
    "{name} '{value}' is no such time",
    "{name} « {value} » n'est pas une telle date",
    "write it as 2026-01-31T12:00:00.000Z",
    "écrivez-la ainsi : 2026-01-31T12:00:00.000Z",
    "OASIS SAML 2.0 Core: 1.3.3",
    "InvalidSecurityToken",
)
AUDIENCE = TrustRule(
    "SAM-020",
    "Every AudienceRestriction of an assertion names this server",
    "Chaque AudienceRestriction d'une assertion nomme ce serveur",
    "the assertion is made for {audience}",
    "l'assertion est faite pour {audience}",
    "make it for one of: {accepted}",
    "établissez-la pour : {accepted}",
    "OASIS SAML 2.0 Core: 2.5.1.4",
)
CONDITION = TrustRule(
    "SAM-021",
    "Every condition of an assertion is understood",
    "Chaque condition d'une assertion est comprise",
    "the condition {name} is not understood here",
    "la condition {name} n'est pas comprise ici",
    "leave it out",
    "retirez-la",
    "OASIS SAML 2.0 Core: 2.5.1",
    "InvalidSecurityToken",
)
ONE_TIME = TrustRule(
    "SAM-022",
    "An assertion with OneTimeUse serves once",
    "Une assertion OneTimeUse ne sert qu'une fois",
    "this assertion for one use was used before",
    "cette assertion à usage unique a déjà servi",
    "make a new assertion for each message",
    "établissez une assertion par message",
    "OASIS SAML 2.0 Core: 2.5.1.5",
)
CONFIRMATION = TrustRule(
    "SAM-023",
    "A SubjectConfirmation of the assertion holds: its method is known and its times are right",
    "Une SubjectConfirmation de l'assertion est valable : méthode connue, dates en cours",
    "no SubjectConfirmation holds: {problem}",
    "aucune SubjectConfirmation n'est valable : {problem}",
    "confirm by bearer or by holder-of-key, within its times",
    "confirmez par bearer ou holder-of-key, dans ses dates",
    "OASIS SAML 2.0 Core: 2.4.1.1",
)
HOLDER = TrustRule(
    "SAM-024",
    "The certificate of holder-of-key is that of the TLS connection or of the signature of the message",
    "Le certificat holder-of-key est celui de la connexion TLS ou de la signature du message",
    "the holder of the key is another than the sender",
    "le détenteur de la clé n'est pas l'émetteur du message",
    "send with the certificate that the assertion names",
    "envoyez avec le certificat nommé par l'assertion",
    "SAML V2.0 Holder-of-Key",
)
VOUCHES = TrustRule(
    "SAM-025",
    "A sender-vouches assertion is covered by the signature of the message",
    "Une assertion sender-vouches est couverte par la signature du message",
    "sender-vouches needs a signed message",
    "sender-vouches exige un message signé",
    "sign the message and the assertion together, or confirm by bearer",
    "signez le message et l'assertion ensemble, ou confirmez par bearer",
    "WSS SAML Token Profile 1.1: 3.5.2",
    "InvalidSecurity",
)
BEARER = TrustRule(
    "SAM-026",
    "A bearer's assertion comes over TLS with a client certificate, always the same",
    "Une assertion bearer arrive sur TLS avec certificat client, toujours le même",
    "the assertion was first used with another certificate",
    "l'assertion a d'abord servi avec un autre certificat",
    "make an assertion of your own",
    "établissez votre propre assertion",
    "ITI TF-2: 3.40.4.1.2",
)
SAME_STRUCTURE = TrustRule(
    "SAM-027",
    "The TLS certificate belongs to the person or to the structure of the assertion",
    "Le certificat TLS appartient à la personne ou à la structure de l'assertion",
    "the TLS certificate belongs neither to {subject} nor to {structure}",
    "le certificat TLS n'appartient ni à {subject} ni à {structure}",
    "connect with the certificate of the person or structure that the assertion names",
    "connectez-vous avec le certificat de la personne ou de la structure nommée par l'assertion",
    "CI-SIS VIHF: connexion",
)
VIHF = TrustRule(
    "SAM-034",
    "A VIHF is of a version that is accepted from its issuer",
    "Un VIHF est d'une version acceptée pour son émetteur",
    "VIHF_Version '{version}' is not accepted",
    "VIHF_Version « {version} » n'est pas acceptée",
    "accepted: {accepted}",
    "acceptées : {accepted}",
    "CI-SIS VIHF: VIHF_Version",
    "UnsupportedSecurityToken",
)
MODE = TrustRule(
    "SAM-035",
    "The person was authenticated in a mode that is accepted from the issuer",
    "La personne a été authentifiée dans un mode accepté pour l'émetteur",
    "Authentification_mode '{mode}' is not accepted",
    "Authentification_mode « {mode} » n'est pas accepté",
    "accepted: {accepted}",
    "acceptés : {accepted}",
    "CI-SIS VIHF: Authentification_mode",
)
CONTEXT = TrustRule(
    "SAM-036",
    "The AuthnContextClassRef is one that is accepted from the issuer",
    "L'AuthnContextClassRef est accepté pour l'émetteur",
    "the authentication context '{context}' is not accepted",
    "le contexte d'authentification « {context} » n'est pas accepté",
    "accepted: {accepted}",
    "acceptés : {accepted}",
    "OASIS SAML 2.0 Core: 2.7.2.2",
)
NO_TLS = TrustRule(
    "SAM-048",
    "On a secured server a bearer's assertion comes with the certificate of the TLS client",
    "Sur un serveur sécurisé, une assertion bearer arrive avec le certificat du client TLS",
    "the assertion came without a TLS client certificate",
    "l'assertion est arrivée sans certificat client TLS",
    "connect with a client certificate",
    "connectez-vous avec un certificat client",
    "ITI TF-2: 3.40.4.1.2",
)
XUA_ISSUER = TrustRule(
    "SAM-049",
    "An XUA assertion of an issuer that is not configured is signed by an enrolled structure, never by a person's card",
    "Une assertion XUA d'un émetteur non configuré est signée par une structure enrôlée, jamais par la carte d'une personne",
    "the certificate of {subject} may not speak for others",
    "le certificat de {subject} ne peut pas se porter garant d'autres personnes",
    "sign with the certificate of an enrolled structure, or ask the operator to configure the issuer",
    "signez avec le certificat d'une structure enrôlée, ou demandez à l'exploitant de configurer l'émetteur",
    "ITI TF-2: 3.40.4.1.2",
)

ASSERTION_RULES: tuple[TrustRule, ...] = (
    REQUIRED,
    ONE,
    VERSION_2,
    FORM,
    SIGNATURE,
    SHAPE,
    REFERENCE,
    ALGORITHM,
    KEY_INFO,
    VALUE,
    MIXED,
    ISSUER_NAME,
    ISSUER,
    CERTIFICATE,
    NOT_BEFORE,
    EXPIRED,
    AGE,
    AUTHENTICATED,
    TIME,
    AUDIENCE,
    CONDITION,
    ONE_TIME,
    CONFIRMATION,
    HOLDER,
    VOUCHES,
    BEARER,
    SAME_STRUCTURE,
    VIHF,
    MODE,
    CONTEXT,
    NO_TLS,
    XUA_ISSUER,
)
