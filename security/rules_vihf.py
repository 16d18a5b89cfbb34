"""Rules of what an assertion says: about person, card, structure, patient and purpose (VIHF; ITI TF-2: 3.40.4.1.2).

Applied by `saml_vihf.py`; the known texts of the DMP stand in the texts of the rows.
"""

from __future__ import annotations

from security.refusal import TrustRule

NAME_ID = TrustRule(
    "SAM-028",
    "In direct mode the NameID is the CN of the signing certificate",
    "En mode direct, le NameID est le CN du certificat signataire",
    "the NameID {subject} is not the CN {common} of the signing certificate",
    "le NameID {subject} n'est pas le CN {common} du certificat signataire",
    "state the holder of the card",
    "indiquez le titulaire de la carte",
    "CI-SIS VIHF: NameID",
    "InvalidSecurityToken",
)
CARD_ROLES = TrustRule(
    "SAM-029",
    "In direct mode profession and know-how are those of the card",
    "En mode direct, profession et savoir-faire sont ceux de la carte",
    "the {kind} '{stated}' is not that of the card ('{actual}')",
    "{kind} « {stated} » n'est pas celui de la carte (« {actual} »)",
    "state profession and know-how as the certificate has them",
    "indiquez profession et savoir-faire comme dans le certificat",
    "CI-SIS VIHF: role",
    "InvalidSecurityToken",
)
UNIT = TrustRule(
    "SAM-030",
    "In the indirect modes Identifiant_Structure is the OU of the signing certificate",
    "En mode indirect, Identifiant_Structure est l'OU du certificat signataire",
    "Identifiant_Structure {structure} is not the OU of the signing certificate",
    "Identifiant_Structure {structure} n'est pas l'OU du certificat signataire",
    "state the structure whose certificate signs: {unit}",
    "indiquez la structure dont le certificat signe : {unit}",
    "CI-SIS VIHF: Identifiant_Structure",
    "InvalidSecurityToken",
)
MISSING = TrustRule(
    "SAM-031",
    "An assertion carries every attribute that its profile and mode demand",
    "Une assertion porte chaque attribut exigé par son profil et son mode",
    "the attribute {name} is missing",
    "l'attribut {name} manque",
    "add it",
    "ajoutez-le",
    "CI-SIS VIHF: attributs",
    "InvalidSecurityToken",
)
REPEATED = TrustRule(
    "SAM-032",
    "An attribute that has one value has the same value wherever it is repeated",
    "Un attribut à valeur unique garde la même valeur s'il est répété",
    "{name} has {count} different values",
    "{name} a {count} valeurs différentes",
    "give one value",
    "donnez une seule valeur",
    "ITI TF-2: 3.40.4.1.2",
    "InvalidSecurityToken",
)
ATTRIBUTE = TrustRule(
    "SAM-033",
    "The values of an assertion's attributes have the form of their type",
    "Les valeurs des attributs d'une assertion ont la forme de leur type",
    "{name} '{value}' is wrong: {problem}",
    "{name} « {value} » est incorrect : {problem}",
    "write it as {form}",
    "écrivez-le ainsi : {form}",
    "CI-SIS VIHF: attributs",
    "InvalidSecurityToken",
)
ROLE = TrustRule(
    "SAM-037",
    "Roles come from the tables of professions and know-hows, the profession first",
    "Les rôles viennent des tables de professions et savoir-faire, la profession en premier",
    "the role {code} of {system} is not known: {problem}",
    "le rôle {code} de {system} n'est pas connu : {problem}",
    "give a profession of 1.2.250.1.71.1.2.7 first, then a know-how of 1.2.250.1.71.4.2.5",
    "donnez d'abord une profession de 1.2.250.1.71.1.2.7, puis un savoir-faire de 1.2.250.1.71.4.2.5",
    "CI-SIS VIHF: role; TRE_G15",
    "InvalidSecurityToken",
)
NO_KNOW_HOW = TrustRule(
    "SAM-038",
    "Doctors and pharmacists state their know-how",
    "Médecins et pharmaciens indiquent leur savoir-faire",
    "Aucune specialite dans le vihf: the profession {code} needs a know-how",
    "Aucune specialite dans le vihf : la profession {code} exige un savoir-faire",
    "add a second value to the role attribute, such as SM26",
    "ajoutez une deuxième valeur à l'attribut role, par exemple SM26",
    "CI-SIS VIHF: role",
    "InvalidSecurityToken",
)
PATIENT = TrustRule(
    "SAM-039",
    "resource-id is a CX whose authority is known and whose key is right",
    "resource-id est un CX dont l'autorité est connue et la clé exacte",
    "resource-id '{value}' is wrong: {problem}",
    "resource-id « {value} » est incorrect : {problem}",
    "write the INS as <INS>^^^&<OID>&ISO^NH",
    "écrivez l'INS ainsi : <INS>^^^&<OID>&ISO^NH",
    "CI-SIS VIHF: resource-id; ITI TF-3: 4.2.3.1.7",
    "InvalidSecurityToken",
)
OTHER_PATIENT = TrustRule(
    "SAM-040",
    "The patient of the assertion is the patient of the message",
    "Le patient de l'assertion est celui du message",
    "XDSPatientIdDoesNotMatch: the message is about another patient than the assertion",
    "XDSPatientIdDoesNotMatch : le message concerne un autre patient que l'assertion",
    "make an assertion for the patient of the message",
    "établissez une assertion pour le patient du message",
    "CI-SIS VIHF: resource-id",
)
RESOURCE = TrustRule(
    "SAM-041",
    "Ressource_URN names what this server is",
    "Ressource_URN désigne ce serveur",
    "Ressource_URN '{urn}' is not served here",
    "Ressource_URN « {urn} » n'est pas servie ici",
    "accepted: {accepted}",
    "acceptées : {accepted}",
    "CI-SIS VIHF: Ressource_URN",
)
PURPOSE = TrustRule(
    "SAM-042",
    "The purpose of use is known",
    "Le mode d'accès est connu",
    "the purpose of use '{code}' of {system} is not known",
    "le mode d'accès « {code} » de {system} n'est pas connu",
    "accepted: {accepted}",
    "acceptés : {accepted}",
    "CI-SIS VIHF: purposeofuse",
    "InvalidSecurityToken",
)
REASON = TrustRule(
    "SAM-043",
    "Breaking the glass needs a reason",
    "Le bris de glace exige une raison",
    "bris_de_glace without Mode_Acces_Raison",
    "bris_de_glace sans Mode_Acces_Raison",
    "state why the patient could not be asked",
    "indiquez pourquoi le patient n'a pas pu être consulté",
    "CI-SIS VIHF: Mode_Acces_Raison",
)
EMERGENCY = TrustRule(
    "SAM-044",
    "Emergency access is for the professions that may have it",
    "L'accès en urgence est réservé aux professions qui y ont droit",
    "the profession {code} may not use {purpose}",
    "la profession {code} ne peut pas utiliser {purpose}",
    "use the purpose normal",
    "utilisez le mode normal",
    "CI-SIS VIHF: purposeofuse",
)
SOFTWARE = TrustRule(
    "SAM-045",
    "The software is homologated",
    "Le logiciel est homologué",
    "LPS_ID_HOMOLOGATION_DMP '{number}' is not on the list of homologated software",
    "LPS_ID_HOMOLOGATION_DMP « {number} » ne figure pas sur la liste des logiciels homologués",
    "state the number given at the homologation",
    "indiquez le numéro reçu à l'homologation",
    "CI-SIS VIHF: LPS_ID_HOMOLOGATION_DMP",
)
NO_STRUCTURE = TrustRule(
    "SAM-046",
    "The structure is in force on the list of structures",
    "La structure est active dans la liste des structures",
    "Structure introuvable ou Inactive: {structure}",
    "Structure introuvable ou Inactive : {structure}",
    "ask the operator to list the structure",
    "demandez à l'exploitant d'inscrire la structure",
    "CI-SIS VIHF: Identifiant_Structure",
)
NOT_LINKED = TrustRule(
    "SAM-047",
    "The professional works in the structure",
    "Le professionnel exerce dans la structure",
    "PS et Structure non lies: {subject}, {structure}",
    "PS et Structure non lies : {subject}, {structure}",
    "state one of the professional's workplaces",
    "indiquez un lieu d'exercice du professionnel",
    "CI-SIS VIHF: Identifiant_Structure",
)

VIHF_RULES: tuple[TrustRule, ...] = (
    NAME_ID,
    CARD_ROLES,
    UNIT,
    MISSING,
    REPEATED,
    ATTRIBUTE,
    ROLE,
    NO_KNOW_HOW,
    PATIENT,
    OTHER_PATIENT,
    RESOURCE,
    PURPOSE,
    REASON,
    EMERGENCY,
    SOFTWARE,
    NO_STRUCTURE,
    NOT_LINKED,
)
