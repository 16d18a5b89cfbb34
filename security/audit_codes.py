"""The codes of audit records, each once (DICOM PS3.16 CID 400 to 405, IHE ITI TF-2: 3.20)."""

from __future__ import annotations

from dataclasses import dataclass

DCM = "DCM"
IHE = "IHE Transactions"
RFC3881 = "RFC-3881"
XDS_METADATA = "IHE XDS Metadata"


@dataclass(frozen=True, slots=True)
class AuditCode:
    """One coded value: csd-code, codeSystemName, originalText."""

    code: str
    system: str
    text: str


# EventID
APPLICATION_ACTIVITY = AuditCode("110100", DCM, "Application Activity")
AUDIT_LOG_USED = AuditCode("110101", DCM, "Audit Log Used")
EXPORT = AuditCode("110106", DCM, "Export")
IMPORT = AuditCode("110107", DCM, "Import")
PATIENT_RECORD = AuditCode("110110", DCM, "Patient Record")
QUERY = AuditCode("110112", DCM, "Query")
SECURITY_ALERT = AuditCode("110113", DCM, "Security Alert")
SIGNED_MANIFEST = AuditCode("113031", DCM, "Signed Manifest")
REPORT_VERIFICATION = AuditCode("110007", DCM, "Report Verification")

# EventTypeCode
APPLICATION_START = AuditCode("110120", DCM, "Application Start")
APPLICATION_STOP = AuditCode("110121", DCM, "Application Stop")
NODE_AUTHENTICATION = AuditCode("110126", DCM, "Node Authentication")
EMERGENCY_OVERRIDE = AuditCode("110127", DCM, "Emergency Override Started")
OBJECT_CHANGED = AuditCode("110135", DCM, "Object Security Attributes Changed")
DIGITAL_SIGNATURE = AuditCode("urn:ihe:iti:dsg", IHE, "Document Digital Signature")

# RoleIDCode
APPLICATION = AuditCode("110150", DCM, "Application")
APPLICATION_LAUNCHER = AuditCode("110151", DCM, "Application Launcher")
DESTINATION = AuditCode("110152", DCM, "Destination Role ID")
SOURCE = AuditCode("110153", DCM, "Source Role ID")

# ParticipantObjectIDTypeCode
PATIENT_NUMBER = AuditCode("2", RFC3881, "Patient Number")
REPORT_NUMBER = AuditCode("9", RFC3881, "Report Number")
URI = AuditCode("12", RFC3881, "URI")
SUBMISSION_SET = AuditCode(
    "urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd", XDS_METADATA, "submission set classificationNode"
)
OBJECT_REF = AuditCode("urn:ihe:iti:2017:ObjectRef", XDS_METADATA, "registry object reference")
