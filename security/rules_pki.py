"""Rules of certificates: who is believed to be who, and who is enrolled. Applied by `security/trust.py`, `node.py`, `ocsp.py`."""

from __future__ import annotations

from security.refusal import TrustRule

_PATH = "RFC 5280: 6.1"
_NODE = "ITI TF-2: 3.19.6.1"

NO_PATH = TrustRule(
    "PKI-001",
    "A certificate is issued by an authority that this server believes",
    "Un certificat est émis par une autorité reconnue de ce serveur",
    "No trusted path leads to the certificate of {subject}, issued by {issuer}",
    "Aucun chemin de confiance ne mène au certificat de {subject}, émis par {issuer}",
    "Use a certificate of an authority that this server believes",
    "Utilisez un certificat d'une autorité reconnue de ce serveur",
    _PATH,
)
WRONG_USE = TrustRule(
    "PKI-002",
    "A certificate is used for what its KeyUsage allows",
    "Un certificat sert à ce que son KeyUsage permet",
    "The certificate of {subject} may not be used for {use}: its KeyUsage has none of {wanted}",
    "Le certificat de {subject} ne peut pas servir ({use}) : son KeyUsage ne porte aucun de {wanted}",
    "Use the certificate that was made for this purpose",
    "Utilisez le certificat fait pour cet usage",
    "RFC 5280: 4.2.1.3",
    "InvalidSecurityToken",
)
DATES = TrustRule(
    "PKI-003",
    "A certificate is used between its notBefore and its notAfter",
    "Un certificat est utilisé entre ses dates notBefore et notAfter",
    "The certificate of {subject} is valid from {begins} to {ends} UTC only",
    "Le certificat de {subject} n'est valide que du {begins} au {ends} UTC",
    "Renew it, or check the clocks of both sides",
    "Renouvelez-le, ou vérifiez les horloges des deux côtés",
    "RFC 5280: 4.1.2.5",
)
REVOKED = TrustRule(
    "PKI-004",
    "A revoked certificate is not accepted",
    "Un certificat révoqué n'est pas accepté",
    "The certificate of {subject}, serial number {serial}, is revoked",
    "Le certificat de {subject}, numéro de série {serial}, est révoqué",
    "Use a certificate in force",
    "Utilisez un certificat en vigueur",
    "RFC 5280: 6.3",
)
NO_LIST = TrustRule(
    "PKI-005",
    "An authority is believed only with its revocation list, and that list only until the end of its grace",
    "Une autorité n'est reconnue qu'avec sa liste de révocation, et celle-ci jusqu'à la fin de son délai de grâce",
    "No usable revocation list of {issuer} is known here ({reason})",
    "aucune liste de révocation utilisable de {issuer} n'est connue ici ({reason})",
    "The operator of this server must provide a fresh list",
    "L'exploitant de ce serveur doit fournir une liste à jour",
    "RFC 5280: 6.3.3",
)
NO_POLICY = TrustRule(
    "PKI-006",
    "A certificate carries one of the policies that this server accepts",
    "Un certificat porte l'une des politiques acceptées par ce serveur",
    "The certificate of {subject} carries none of the accepted policies {wanted}",
    "Le certificat de {subject} ne porte aucune des politiques acceptées {wanted}",
    "Use a certificate issued under one of these policies",
    "Utilisez un certificat émis sous l'une de ces politiques",
    "RFC 5280: 4.2.1.4",
)
WEAK_KEY = TrustRule(
    "PKI-007",
    "Keys are RSA of enough bits, or on an elliptic curve",
    "Les clés sont RSA d'une taille suffisante, ou sur courbe elliptique",
    "The certificate of {subject} has a key of the kind {kind}; accepted are RSA of at least {minimum} bits, and EC",
    "Le certificat de {subject} porte une clé {kind} ; sont acceptées RSA d'au moins {minimum} bits, et EC",
    "Use a certificate with an accepted key",
    "Utilisez un certificat dont la clé est acceptée",
    "RFC 9325: 4.5",
    "UnsupportedAlgorithm",
)
NOT_ENROLLED = TrustRule(
    "PKI-008",
    "Only enrolled partners are served",
    "Seuls les partenaires enrôlés sont servis",
    "The certificate of {subject} is not enrolled with this server",
    "Le certificat de {subject} n'est pas enrôlé sur ce serveur",
    "Ask the operator to enrol it: SHA-256 {fingerprint}",
    "Demandez à l'exploitant de l'enrôler : SHA-256 {fingerprint}",
    _NODE,
)
UNREADABLE = TrustRule(
    "PKI-009",
    "A certificate can be read",
    "Un certificat est lisible",
    "The certificate cannot be read: {problem}",
    "Le certificat est illisible : {problem}",
    "Send the certificate as its authority issued it",
    "Envoyez le certificat tel que son autorité l'a émis",
    "RFC 5280: 4.1",
    "InvalidSecurityToken",
)
NO_CERTIFICATE = TrustRule(
    "PKI-010",
    "A caller shows a client certificate",
    "Un appelant présente un certificat client",
    "No client certificate came with the connection",
    "Aucun certificat client n'accompagne la connexion",
    "Connect by TLS with the certificate that is enrolled here",
    "Connectez-vous en TLS avec le certificat enrôlé ici",
    _NODE,
    "SecurityTokenUnavailable",
)
NOT_ALLOWED = TrustRule(
    "PKI-011",
    "A partner sends the transactions it is enrolled for",
    "Un partenaire envoie les transactions pour lesquelles il est enrôlé",
    "{organisation} is not enrolled for {transaction}",
    "{organisation} n'est pas enrôlé pour {transaction}",
    "Ask the operator to add the transaction to the enrolment",
    "Demandez à l'exploitant d'ajouter la transaction à l'enrôlement",
    _NODE,
)
AUTHORITY = TrustRule(
    "PKI-012",
    "An authority's certificate does not act as a partner",
    "Le certificat d'une autorité n'agit pas comme partenaire",
    "{subject} is an authority (basicConstraints cA); it cannot call or sign here",
    "{subject} est une autorité (basicConstraints cA) ; elle ne peut ni appeler ni signer ici",
    "Use a certificate that this authority issued",
    "Utilisez un certificat émis par cette autorité",
    "RFC 5280: 4.2.1.9",
    "InvalidSecurityToken",
)
NO_OCSP = TrustRule(
    "PKI-013",
    "Where OCSP is required, the responder says that a certificate is good",
    "Là où OCSP est exigé, le répondeur déclare le certificat bon",
    "The responder gave no usable answer about the certificate of {subject} ({reason})",
    "Le répondeur n'a pas donné de réponse utilisable sur le certificat de {subject} ({reason})",
    "Send the message again later; if this comes back, tell the operator",
    "renvoyez le message plus tard ; si cela persiste, avertissez l'exploitant",
    "RFC 6960: 3.2",
)
FRONT = TrustRule(
    "PKI-014",
    "The proxy in front hands over one verified client certificate",
    "Le mandataire transmet un seul certificat client vérifié",
    "The client certificate was not verified in front of this server ({reason})",
    "Le certificat client n'a pas été vérifié en amont de ce serveur ({reason})",
    "Connect by TLS with the certificate that is enrolled here",
    "Connectez-vous en TLS avec le certificat enrôlé ici",
    _NODE,
)

PKI_RULES = (
    NO_PATH, WRONG_USE, DATES, REVOKED, NO_LIST, NO_POLICY, WEAK_KEY, NOT_ENROLLED, UNREADABLE, NO_CERTIFICATE, NOT_ALLOWED,
    AUTHORITY, NO_OCSP, FRONT,
)  # fmt: skip
