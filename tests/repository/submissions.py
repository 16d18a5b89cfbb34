"""Submissions for the repository's tests: the metadata a source sends, as model and as message."""

from __future__ import annotations

from metadata.model import Code
from server.description import Description

PATIENT = "184017513271247^^^&1.2.250.1.213.1.4.8&ISO"
_CODE = Code("34112-3", "2.16.840.1.113883.6.1", "CR hospitalier")


def describe(unique_id: str, title: str = "Compte rendu", mime_type: str = "text/plain") -> Description:
    """A complete DocumentEntry of that uniqueId."""
    return Description(
        uniqueId=unique_id,
        patientId=PATIENT,
        mimeType=mime_type,
        creationTime="20240102030405",
        classCode=_CODE,
        typeCode=_CODE,
        formatCode=Code("urn:ihe:pcc:xds-ms:2007", "1.3.6.1.4.1.19376.1.2.3", "Résumé"),
        healthcareFacilityTypeCode=_CODE,
        practiceSettingCode=_CODE,
        confidentialityCode=(Code("N", "2.16.840.1.113883.5.25", "Normal"),),
        languageCode="fr-FR",
        sourcePatientId=PATIENT,
        title=title,
    )
