"""A small world of every object and relationship, registered over the wire, and what queries return of it, told in names.

Names: entries A to E and X, folders F and G, SubmissionSets S1 to S5. An association is told as `source>target` for HasMember
and `source-TYPE>target` for a relationship.
"""

from __future__ import annotations

from dataclasses import dataclass

from lxml import etree

from tests.nist.wire import RIM, Answer
from tests.proof.conftest import Proof
from tests.proof.messages import APND, HAS_MEMBER, RPLC, SIGNS, XFRM, Association, Entry, Folder, Submission

ORDER = "O-{}^^^&1.2.3.9&ISO^urn:ihe:iti:xds:2013:order"


@dataclass
class World:
    patient: str
    ids: dict[str, str]
    uids: dict[str, str]

    def names(self, answer: Answer) -> set[str]:
        """Every object that came back, by name; ObjectRefs too, where they are references to named objects."""
        by_id = {identity: name for name, identity in self.ids.items()}
        found = answer.body.find(f"{{{RIM}}}RegistryObjectList")
        assert found is not None, f"no RegistryObjectList: {answer.errors}"
        associations = {e.get("id", ""): e for e in found if e.tag == f"{{{RIM}}}Association"}
        return {self._name(e, by_id, associations) for e in found}

    def _name(self, element: etree._Element, by_id: dict[str, str], associations: dict[str, etree._Element]) -> str:
        if element.tag != f"{{{RIM}}}Association":
            return by_id.get(element.get("id", ""), "?")
        ends = []
        for end in (element.get("sourceObject", ""), element.get("targetObject", "")):
            inner = associations.get(end)
            ends.append(by_id.get(end) or (f"({self._name(inner, by_id, associations)})" if inner is not None else "?"))
        kind = element.get("associationType", "")
        return f"{ends[0]}>{ends[1]}" if kind == HAS_MEMBER else f"{ends[0]}-{kind.rpartition(':')[2]}>{ends[1]}"


def build_world(proof: Proof) -> World:
    """Five submissions for one patient:

    S1 brings A and B and the Folder F with A in it; S2 replaces A by C; S3 brings D, an addendum of B, and X, a transformation
    of B; S4 brings E, which signs B; S5 brings the empty Folder G and a reference to B.
    """
    patient = proof.patient()
    a = Entry(
        patient, class_code="CA^^1.2.3", format_code="FA^^1.2.3", events=["E1^^1.2.3", "E2^^1.2.3"], creation="20230101",
        confidentiality=["N^^2.16.840.1.113883.5.25", "R^^2.16.840.1.113883.5.25"], start="20220101", stop="20220301",
    )  # fmt: skip
    b = Entry(
        patient, class_code="CB^^1.2.3", type_code="TB^^1.2.3", format_code="FB^^1.2.3", facility="HB^^1.2.3",
        practice="PB^^1.2.3", events=["E1^^1.2.3"], authors=["^O'Brien^Sean", "^Martin^Anne"], creation="20240102030405",
        references=[ORDER.format(1), ORDER.format(2)], start="202401", stop="202403",
    )  # fmt: skip
    c = Entry(
        patient, class_code="CA^^1.2.3", format_code="FC^^1.2.3", events=["E1^^1.2.3", "E2^^1.2.3"], creation="20240601",
        confidentiality=["N^^2.16.840.1.113883.5.25", "R^^2.16.840.1.113883.5.25"], references=[ORDER.format(1)],
    )  # fmt: skip
    d, x, e = (Entry(patient, class_code=f"C{n}^^1.2.3", creation="20240701") for n in "DXE")
    f, g = Folder(patient, codes=["K1^^1.2.3", "K2^^1.2.3"]), Folder(patient, codes=["K1^^1.2.3"])
    s1 = Submission(patient, [a, b], [f], [Association(HAS_MEMBER, f.id, a.id)], time="20240101", source="1.2.3.1")
    s2 = Submission(patient, [c], associations=[Association(RPLC, c.id, a.id)], time="20240201", author="^Petit^Zoé")
    related = [Association(APND, d.id, b.id), Association(XFRM, x.id, b.id)]
    s3 = Submission(patient, [d, x], associations=related, time="20240301", content_type="OTHER^^1.2.3")
    s4 = Submission(patient, [e], associations=[Association(SIGNS, e.id, b.id)], time="20240401")
    s5 = Submission(patient, folders=[g], references=[b.id], time="20240501")
    for submission in (s1, s2, s3, s4, s5):
        documents = {entry.id: entry.uid.encode() for entry in submission.entries}
        answer = proof.client.provide(submission.xml(), documents)
        assert answer.status == "Success", answer.errors
    entries = dict(zip("ABCDXE", (a, b, c, d, x, e), strict=True))
    folders = {"F": f, "G": g}
    sets = {f"S{n}": s for n, s in enumerate((s1, s2, s3, s4, s5), 1)}
    objects: dict[str, Entry | Folder | Submission] = {**entries, **folders, **sets}
    return World(patient, {name: o.id for name, o in objects.items()}, {name: o.uid for name, o in objects.items()})
