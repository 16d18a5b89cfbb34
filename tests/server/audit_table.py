"""The audit record of each transaction, typed from the standard and from nothing else.

ITI TF-2: 3.8.5.1, 3.18.5.1, 3.41.5.1.2, 3.42.5.1.2, 3.43.5.1.2, 3.44.5.1, 3.51.5.1, 3.57.5.1, 3.61.5.1, 3.64.5.1; RMD: 3.62.5.1,
3.86.5.1; RMU: 3.92.5.1. Codes: DICOM PS3.16 CID 400, 401, 402; RFC 3881 5.5.4.
"""

from __future__ import annotations

from dataclasses import dataclass

Code = tuple[str, str, str]

IMPORT: Code = ("110107", "DCM", "Import")
EXPORT: Code = ("110106", "DCM", "Export")
QUERY: Code = ("110112", "DCM", "Query")
PATIENT_RECORD: Code = ("110110", "DCM", "Patient Record")
SOURCE: Code = ("110153", "DCM", "Source Role ID")
DESTINATION: Code = ("110152", "DCM", "Destination Role ID")
PATIENT_NUMBER: Code = ("2", "RFC-3881", "Patient Number")
REPORT_NUMBER: Code = ("9", "RFC-3881", "Report Number")
SET_NODE: Code = (
    "urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd", "IHE XDS Metadata", "submission set classificationNode",
)  # fmt: skip
OBJECT_REF: Code = ("urn:ihe:iti:2017:ObjectRef", "IHE XDS Metadata", "registry object reference")


@dataclass(frozen=True)
class Expected:
    """EventID, EventActionCode, the name of the EventTypeCode; the kind of object beside the patient, with its detail's names.

    `ours` is the role of this server: SOURCE where it gives the documents.
    """

    event: Code
    action: str
    name: str
    object: str
    details: tuple[str, ...] = ()
    ours: Code = DESTINATION


#: Kind of object -> ParticipantObjectTypeCode, ...Role, IDTypeCode (None: the transaction itself), lifecycle.
OBJECTS: dict[str, tuple[str, str, Code | None, str]] = {
    "submission set": ("2", "20", SET_NODE, ""),
    "query": ("2", "24", None, ""),
    "document": ("2", "3", REPORT_NUMBER, ""),
    "removed document": ("2", "3", REPORT_NUMBER, "15"),
    "removed object": ("2", "3", OBJECT_REF, "15"),
}

TABLE: dict[str, Expected] = {
    "ITI-18": Expected(QUERY, "E", "Registry Stored Query", "query", ("QueryEncoding",)),
    "ITI-41": Expected(IMPORT, "C", "Provide and Register Document Set-b", "submission set"),
    "ITI-42": Expected(IMPORT, "C", "Register Document Set-b", "submission set"),
    "ITI-43": Expected(EXPORT, "R", "Retrieve Document Set", "document", ("Repository Unique Id",), SOURCE),
    "ITI-51": Expected(QUERY, "E", "Multi-Patient Stored Query", "query", ("QueryEncoding",)),
    "ITI-57": Expected(IMPORT, "U", "Update Document Set", "submission set"),
    "ITI-61": Expected(IMPORT, "C", "Register On-Demand Document Entry", "submission set"),
    "ITI-62": Expected(PATIENT_RECORD, "D", "Remove Metadata", "removed object"),
    "ITI-86": Expected(PATIENT_RECORD, "D", "Remove Documents", "removed document", ("Repository Unique Id",)),
    "ITI-92": Expected(IMPORT, "U", "Restricted Update Document Set", "submission set"),
    "ITI-42 sent": Expected(EXPORT, "R", "Register Document Set-b", "submission set", (), SOURCE),
    "ITI-18 sent": Expected(QUERY, "E", "Registry Stored Query", "query", ("QueryEncoding",), SOURCE),
    "ITI-8 A04": Expected(PATIENT_RECORD, "C", "Patient Identity Feed", "", ("MSH-10",)),
    "ITI-8 A08": Expected(PATIENT_RECORD, "U", "Patient Identity Feed", "", ("MSH-10",)),
    "ITI-44 add": Expected(PATIENT_RECORD, "C", "Patient Identity Feed HL7 V3", "", ("II",)),
    "ITI-44 revise": Expected(PATIENT_RECORD, "U", "Patient Identity Feed HL7 V3", "", ("II",)),
    "DMP-patients read": Expected(PATIENT_RECORD, "R", "Gestion du dossier patient partagé", "", ("II",)),
    "DMP-patients add": Expected(PATIENT_RECORD, "C", "Gestion du dossier patient partagé", "", ("II",)),
    "DMP-patients revise": Expected(PATIENT_RECORD, "U", "Gestion du dossier patient partagé", "", ("II",)),
    "DMP-habilitations set": Expected(PATIENT_RECORD, "U", "Habilitations", ""),
    "DMP-habilitations list": Expected(PATIENT_RECORD, "R", "Habilitations", ""),
    "ITI-64": Expected(PATIENT_RECORD, "U", "Notify XAD-PID Link Change", "", ("MSH-10",)),
}
