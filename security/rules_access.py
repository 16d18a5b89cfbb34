"""Rules of rights: what a caller whose identity is proved may do with a record. Applied by `security/access.py`.

A refusal never says more than the caller may know: of a record that is unknown, empty or forbidden to him he reads the same.
"""

from __future__ import annotations

from security.refusal import TrustRule

_MATRIX = "DMP integration guide: M526, M606"
_SERVICE = "DMPAccessDeniedByRightsService"

NO_ASSERTION = TrustRule(
    "ACC-001",
    "Under a matrix of rights every message says by an assertion who acts",
    "Sous une matrice des droits, tout message dit par une assertion qui agit",
    "The message holds no assertion: who acts is not known",
    "Le message ne porte pas d'assertion : on ne sait pas qui agit",
    "Send a SAML 2.0 assertion (VIHF) in wsse:Security",
    "Envoyez une assertion SAML 2.0 (VIHF) dans wsse:Security",
    "ITI TF-2: 3.40.4.1.2",
    "InvalidSecurity",
)
NO_PATIENT = TrustRule(
    "ACC-002",
    "The assertion names the patient whose record is meant",
    "L'assertion nomme le patient dont le dossier est visé",
    "The assertion names no patient",
    "L'assertion ne nomme pas de patient",
    "Put the patient's identifier into the attribute resource-id",
    "Mettez l'identifiant du patient dans l'attribut resource-id",
    "CI-SIS couche transport: VIHF",
    "InvalidSecurityToken",
)
NOT_IN_MATRIX = TrustRule(
    "ACC-003",
    "A transaction is open to a profession and a mode as the matrix of rights says",
    "Une transaction est ouverte à une profession et un mode selon la matrice des droits",
    f"{_SERVICE}: {{row}} is not open to {{column}}",
    f"{_SERVICE} : {{row}} n'est pas ouvert à {{column}}",
    "Look at the matrix of rights: docs/rights.md",
    "Consultez la matrice des droits : docs/rights.md",
    _MATRIX,
)
NO_COLUMN = TrustRule(
    "ACC-004",
    "Role, mode and purpose of an assertion have a column in the matrix of rights",
    "Le rôle, le mode et la finalité d'une assertion ont une colonne dans la matrice des droits",
    f"{_SERVICE}: no column of the matrix is for {{what}}",
    f"{_SERVICE} : aucune colonne de la matrice n'est pour {{what}}",
    "Send a role, a mode and a purpose of use that go together",
    "Envoyez un rôle, un mode et une finalité qui vont ensemble",
    _MATRIX,
)
NOT_AUTHORISED = TrustRule(
    "ACC-005",
    "A record is consulted with the patient's authorisation, or in an emergency that the patient has not opposed",
    "Un dossier se consulte avec l'autorisation du patient, ou dans une urgence à laquelle il ne s'est pas opposé",
    f"{_SERVICE}: the record is not open to the caller",
    f"{_SERVICE} : le dossier n'est pas ouvert à l'appelant",
    "Ask the patient for an authorisation (TD0.3)",
    "Demandez une autorisation au patient (TD0.3)",
    "DMP integration guide: TD0.2, TD0.3",
)
NOT_OWN = TrustRule(
    "ACC-006",
    "What the matrix opens for own documents, or for those of the structure, is done to no others",
    "Ce que la matrice ouvre pour ses propres documents, ou ceux de la structure, n'est pas fait à d'autres",
    f"{_SERVICE}: {{row}} is open to {{column}} for {{whose}} only",
    f"{_SERVICE} : {{row}} n'est ouvert à {{column}} que pour {{whose}}",
    "Leave the document to its author",
    "Laissez le document à son auteur",
    _MATRIX,
)
SECRET_SESSION = TrustRule(
    "ACC-007",
    "In a secret session only documents invisible to the legal representatives are fed",
    "Dans une connexion secrète, seuls des documents invisibles aux représentants légaux sont alimentés",
    "The session is secret, and a document of the submission is not INVISIBLE_REPRESENTANTS_LEGAUX",
    "La connexion est secrète, et un document du lot n'est pas INVISIBLE_REPRESENTANTS_LEGAUX",
    "Add that confidentialityCode to every document, or leave the secret session",
    "Ajoutez ce confidentialityCode à chaque document, ou quittez la connexion secrète",
    "DMP integration guide: TD2.1",
)
NOT_IMPUTED = TrustRule(
    "ACC-008",
    "What is fed in the name of a structure names it as an author",
    "Ce qui est alimenté au nom d'une structure la nomme parmi les auteurs",
    f"{_SERVICE}: no authorInstitution of the SubmissionSet is the structure {{structure}} of the assertion",
    f"{_SERVICE} : aucun authorInstitution du lot n'est la structure {{structure}} de l'assertion",
    "Name the structure in SubmissionSet.author, authorInstitution, with its id",
    "Nommez la structure dans SubmissionSet.author, authorInstitution, avec son identifiant",
    _MATRIX,
)
REFERENCE_ONLY = TrustRule(
    "ACC-009",
    "Who may only get a reference asks GetDocuments for ObjectRefs",
    "Qui ne peut qu'obtenir une référence demande des ObjectRef à GetDocuments",
    f"{_SERVICE}: {{column}} may learn the reference of a document, and nothing else",
    f"{_SERVICE} : {{column}} peut obtenir la référence d'un document, et rien d'autre",
    "Send GetDocuments with returnType='ObjectRef'",
    "Envoyez GetDocuments avec returnType='ObjectRef'",
    _MATRIX,
)
OTHER_CHANGE = TrustRule(
    "ACC-010",
    "A change is made only where the matrix of rights has a row for it",
    "Un changement n'est fait que si la matrice des droits a une ligne pour lui",
    f"{_SERVICE}: no row of the matrix is for a change of {{what}}",
    f"{_SERVICE} : aucune ligne de la matrice n'est pour un changement de {{what}}",
    "Change confidentialityCode or the status, or replace the document (ITI-41)",
    "Changez confidentialityCode ou le statut, ou remplacez le document (ITI-41)",
    _MATRIX,
)
FEED = TrustRule(
    "ACC-011",
    "Patient identities are sent by whom the matrix of rights lets",
    "Les identités des patients sont envoyées par qui la matrice des droits le permet",
    f"{_SERVICE}: {{transaction}} is taken from enrolled systems only, and not in the name of a person",
    f"{_SERVICE} : {{transaction}} n'est accepté que de systèmes enrôlés, et non au nom d'une personne",
    "Send it over TLS with the certificate of an enrolled system, without an assertion or with that of an automaton",
    "Envoyez-le en TLS avec le certificat d'un système enrôlé, sans assertion ou avec celle d'un automate",
    "DMP integration guide: TD1.1",
)
NO_REASON = TrustRule(
    "ACC-012",
    "Bris de glace is given with its reason",
    "Le bris de glace est donné avec sa raison",
    f"{_SERVICE}: the assertion gives no reason for bris_de_glace",
    f"{_SERVICE} : l'assertion ne donne pas de raison au bris_de_glace",
    "Write why the patient cannot consent into the assertion",
    "Écrivez dans l'assertion pourquoi le patient ne peut consentir",
    "CI-SIS couche transport: VIHF",
)
NO_CONSENT = TrustRule(
    "ACC-013",
    "A record is read while the patient acknowledges one of the required consent policies",
    "Un dossier se lit tant que le patient a reconnu l'une des politiques de consentement exigées",
    "The patient has acknowledged none of the consent policies {policies}, or the time of it is over",
    "Le patient n'a reconnu aucune des politiques de consentement {policies}, ou leur durée est passée",
    "Register the patient's consent document (BPPC)",
    "Enregistrez le document de consentement du patient (BPPC)",
    "ITI TF-3: 5.1",
)
OPERATOR = TrustRule(
    "ACC-014",
    "A command reads or changes a record where the matrix of rights lets the operator",
    "Une commande lit ou change un dossier si la matrice des droits le permet à l'exploitant",
    "{command} is not open to the operator: operator in the matrix of rights says N",
    "{command} n'est pas ouvert à l'exploitant : operator dans la matrice des droits dit N",
    "Change the matrix of rights (setting security.policy)",
    "Changez la matrice des droits (réglage security.policy)",
)
PATIENT_WRITTEN = TrustRule(
    "ACC-015",
    "What the patient wrote is archived and deleted by the patient and the treating physician only",
    "Ce que le patient a écrit n'est archivé ou supprimé que par lui et par le médecin traitant",
    f"{_SERVICE}: the document was written by the patient",
    f"{_SERVICE} : le document a été écrit par le patient",
    "Leave it to the patient or the treating physician",
    "Laissez-le au patient ou au médecin traitant",
    _MATRIX,
)
NO_RELAY = TrustRule(
    "ACC-016",
    "What callers of a repository elsewhere may do is said by a registry under a matrix of rights, to an enrolled repository",
    "Ce que peuvent les appelants d'un entrepôt distant, un registre sous une matrice des droits le dit à un entrepôt enrôlé",
    "Nobody is told here what others may do: this registry asks no matrix of rights, or who asks is not enrolled as a repository "
    "that passes on its callers",
    "Personne n'apprend ici ce que d'autres peuvent faire : ce registre n'interroge pas de matrice des droits, ou qui demande "
    "n'est pas enrôlé comme entrepôt qui transmet ses appelants",
    "Enrol the repository's certificate with relays = true, and set security.policy at the registry as well",
    "Enrôlez le certificat de l'entrepôt avec relays = true, et réglez security.policy au registre aussi",
    "DMP integration guide: TD3.2",
)
TOO_MANY_PATIENTS = TrustRule(
    "ACC-017",
    "A caller asks about a limited number of patients within an hour",
    "Un appelant interroge un nombre limité de patients par heure",
    "The caller has asked about {limit} patients within this hour, and may not ask about others",
    "L'appelant a interrogé {limit} patients dans cette heure et ne peut en interroger d'autres",
    "Ask again in the next hour, or have the operator raise security.patients_per_hour",
    "Recommencez à l'heure suivante, ou faites relever security.patients_per_hour par l'exploitant",
    subcode="FailedCheck",
)

#: In the order in which they are asked.
ACCESS_RULES: tuple[TrustRule, ...] = (
    NO_ASSERTION, NO_PATIENT, NOT_IN_MATRIX, NO_COLUMN, NOT_AUTHORISED, NOT_OWN, SECRET_SESSION, NOT_IMPUTED,
    REFERENCE_ONLY, OTHER_CHANGE, FEED, NO_REASON, NO_CONSENT, OPERATOR, PATIENT_WRITTEN, NO_RELAY, TOO_MANY_PATIENTS,
)  # fmt: skip
