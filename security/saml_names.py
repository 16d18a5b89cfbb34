"""Names and code tables of assertions, written and verified by the same rows.

Sources: ITI TF-2: 3.40.4.1.2 (XUA), OASIS SAML 2.0 Core and XSPA profile, CI-SIS couche transport (VIHF) and its code systems.
"""

from __future__ import annotations

VERSION = "2.0"
X509_SUBJECT = "urn:oasis:names:tc:SAML:1.1:nameid-format:X509SubjectName"
CONFIRMATION = "urn:oasis:names:tc:SAML:2.0:cm:"
BEARER, HOLDER_OF_KEY, SENDER_VOUCHES = (CONFIRMATION + name for name in ("bearer", "holder-of-key", "sender-vouches"))
CONTEXT = "urn:oasis:names:tc:SAML:2.0:ac:classes:"

# Attributes of both profiles.
SUBJECT_ID = "urn:oasis:names:tc:xspa:1.0:subject:subject-id"
ORGANIZATION = "urn:oasis:names:tc:xspa:1.0:subject:organization"
ORGANIZATION_ID = "urn:oasis:names:tc:xspa:1.0:subject:organization-id"
NPI = "urn:oasis:names:tc:xspa:1.0:subject:npi"
PROVIDER = "urn:ihe:iti:xua:2017:subject:provider-identifier"
HOME_COMMUNITY = "urn:ihe:iti:xca:2010:homeCommunityId"
ROLE = "urn:oasis:names:tc:xacml:2.0:subject:role"
RESOURCE_ID = "urn:oasis:names:tc:xacml:2.0:resource:resource-id"
PURPOSE = "urn:oasis:names:tc:xspa:1.0:subject:purposeofuse"
CONFIDENTIALITY = "urn:oasis:names:tc:xspa:1.0:resource:patient:hl7:confidentiality-code"
CONSENT = "urn:ihe:iti:bppc:2007:docid"
POLICY = "urn:ihe:iti:xua:2012:acp"

# Attributes of a VIHF.
STRUCTURE = "Identifiant_Structure"
SECTOR = "Secteur_Activite"
VIHF_VERSION = "VIHF_Version"
MODE = "Authentification_mode"
RESOURCE_URN = "Ressource_URN"
REASON = "Mode_Acces_Raison"
LPS_ID, LPS_NAME, LPS_VERSION, LPS_HOMOLOGATION = "LPS_ID", "LPS_Nom", "LPS_Version", "LPS_ID_HOMOLOGATION_DMP"

#: What a VIHF must carry in every mode.
VIHF_ALWAYS = (
    STRUCTURE, SECTOR, ROLE, VIHF_VERSION, MODE, RESOURCE_ID, RESOURCE_URN, PURPOSE,
    LPS_ID, LPS_NAME, LPS_VERSION, LPS_HOMOLOGATION,
)  # fmt: skip

# Code systems.
PROFESSIONS = "1.2.250.1.71.1.2.7"
KNOW_HOWS = "1.2.250.1.71.4.2.5"
#: Who is no professional: automata, secretaries, patients.
OTHER_ROLES = "1.2.250.1.213.1.1.4.6"
PURPOSES = "1.2.250.1.213.1.1.4.248"
SECTORS = "1.2.250.1.71.4.2.4"
MASKING = "1.2.250.1.213.1.1.4.13"
XUA_PURPOSES = "2.16.840.1.113883.3.18.7.1"

NORMAL, EMERGENCY, CENTRE_15 = "normal", "bris_de_glace", "centre_15"
#: Purposes of use of a VIHF.
VIHF_PURPOSES = (NORMAL, EMERGENCY, CENTRE_15)
#: What they are called, in English and French.
PURPOSE_NAMES = {
    NORMAL: ("normal access", "accès normal"),
    EMERGENCY: ("breaking the glass", "bris de glace"),
    CENTRE_15: ("emergency call centre", "centre 15"),
}

#: Professions (1.2.250.1.71.1.2.7, TRE_G15): code and name.
PROFESSION_NAMES = {
    "10": "Médecin", "21": "Pharmacien", "26": "Audioprothésiste", "28": "Opticien-lunetier", "31": "Assistant dentaire",
    "32": "Physicien médical", "40": "Chirurgien-dentiste", "50": "Sage-femme", "60": "Infirmier",
    "69": "Infirmier psychiatrique", "70": "Masseur-kinésithérapeute", "71": "Ostéopathe", "72": "Psychothérapeute",
    "73": "Chiropracteur", "80": "Pédicure-podologue", "81": "Orthoprothésiste", "82": "Podo-orthésiste",
    "83": "Orthopédiste-orthésiste", "84": "Oculariste", "85": "Épithésiste", "86": "Technicien de laboratoire médical",
    "91": "Orthophoniste", "92": "Orthoptiste", "93": "Psychologue", "94": "Ergothérapeute", "95": "Diététicien",
    "96": "Psychomotricien", "98": "Manipulateur ERM",
}  # fmt: skip
#: Roles of 1.2.250.1.213.1.1.4.6.
OTHER_ROLE_NAMES = {
    "ALIM_AM": "Alimentation par l'assurance maladie", "AUTOMATE": "Automate", "DISPOSITIF": "Dispositif",
    "EXP_PATIENT": "Patient", "LOGICIEL_DUI": "Logiciel de dossier usager", "SECRETARIAT_MEDICAL": "Secrétariat médical",
    "SNR": "Service numérique référencé",
}  # fmt: skip
#: The role of a patient who acts.
PATIENT_ROLE = "EXP_PATIENT"
#: The form of a know-how (TRE_R38 of doctors, TRE_G05 of pharmacists and their like): letters and digits.
KNOW_HOW_FORM = r"[A-Z]{1,4}[0-9]{0,4}[A-Z]?"
#: Professions that have a know-how always.
WITH_KNOW_HOW = ("10", "21")
