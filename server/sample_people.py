"""Invented people and places of the sample set: patients with valid INS, professionals, structures. Same seed, same people.

Names are the most frequent French ones, birth places real communes with their INSEE codes; every identifier stands under the
OIDs set aside for tests, or is made from number ranges that are not given out. Nobody is meant.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, timedelta

from metadata.french import PS_OID, STRUCTURE_OID
from metadata.ins import INS_C, INS_NIR_TEST, compute_ins_c, cx, nir_key

#: Root of the OIDs that the sample set gives to its own objects (an arc under 2.25, free for everybody).
ROOT = "2.25.298614307"
IPP_OID = f"{ROOT}.1"

FAMILY_NAMES = (
    "MARTIN BERNARD THOMAS PETIT ROBERT RICHARD DURAND DUBOIS MOREAU LAURENT SIMON MICHEL LEFEBVRE LEROY ROUX DAVID "
    "BERTRAND MOREL FOURNIER GIRARD BONNET DUPONT LAMBERT FONTAINE ROUSSEAU VINCENT MULLER LEFÈVRE FAURE ANDRÉ MERCIER "
    "BLANC GUÉRIN BOYER GARNIER CHEVALIER FRANÇOIS LEGRAND GAUTHIER GARCIA PERRIN ROBIN CLÉMENT MORIN NICOLAS HENRY "
    "ROUSSEL MATHIEU GAUTIER MASSON LE-GALL D'ALMEIDA NGUYEN BENALI"
).split()
WOMEN = (
    "Marie Nathalie Isabelle Sylvie Catherine Françoise Valérie Christine Monique Sophie Jacqueline Céline Élodie Chloé "
    "Léa Manon Camille Anne-Laure Héloïse Inès Zoé Aurélie"
).split()
MEN = (
    "Jean Philippe Michel Alain Patrick Nicolas Christophe Pierre Christian Éric Frédéric Laurent Stéphane Thierry Lucas "
    "Théo Gaël Jean-Baptiste François Raphaël Noé Mathéo"
).split()
#: Birth places: INSEE code (department and commune), name, postal code.
COMMUNES = (
    ("75114", "Paris 14e", "75014"), ("69383", "Lyon 3e", "69003"), ("13208", "Marseille 8e", "13008"),
    ("31555", "Toulouse", "31000"), ("44109", "Nantes", "44000"), ("67482", "Strasbourg", "67000"),
    ("33063", "Bordeaux", "33000"), ("59350", "Lille", "59000"), ("35238", "Rennes", "35000"), ("29019", "Brest", "29200"),
    ("2A004", "Ajaccio", "20000"), ("2B033", "Bastia", "20200"), ("63113", "Clermont-Ferrand", "63000"),
    ("97411", "Saint-Denis", "97400"), ("01053", "Bourg-en-Bresse", "01000"), ("38185", "Grenoble", "38000"),
)  # fmt: skip
STREETS = (
    "rue Victor Hugo",
    "avenue de la République",
    "place de l'Église",
    "rue des Écoles",
    "boulevard Pasteur",
    "allée des Tilleuls",
)


@dataclass(frozen=True, slots=True)
class Patient:
    """`ins` is the NIR with its key (15 characters), `ins_c` the older 22 digits, `ipp` the hospital's own number."""

    family: str
    given: tuple[str, ...]
    sex: str
    birth: date
    birth_code: str
    birth_place: str
    street: str
    postal_code: str
    city: str
    phone: str
    ins: str
    ins_c: str
    ipp: str

    def cx(self, authority: str = INS_NIR_TEST, dmp: bool = False) -> str:
        """patientId: the INS under the test authority, or the INS-C. CX-5, its type, is for the DMP; IHE leaves it empty."""
        whole = cx(self.ins_c if authority == INS_C else self.ins, authority)
        return whole if dmp else whole.rpartition("^")[0]

    @property
    def xcn(self) -> str:
        """The patient as author: the INS under its authority, name type D, identifier type NH."""
        return f"{self.ins}^{self.family}^{self.given[0]}^^^^^^&{INS_NIR_TEST}&ISO^D^^^NH"

    def source_cx(self, dmp: bool = False) -> str:
        """sourcePatientId: the hospital's own number."""
        return f"{self.ipp}^^^&{IPP_OID}&ISO{'^PI' if dmp else ''}"

    @property
    def source_info(self) -> tuple[str, ...]:
        """sourcePatientInfo (ITI TF-3: 4.2.3.2.23): PID-5, PID-7, PID-8, PID-11."""
        return (
            f"PID-5|{self.family}^{self.given[0]}^^^^^L",
            f"PID-7|{self.birth:%Y%m%d}",
            f"PID-8|{self.sex}",
            f"PID-11|{self.street}^^{self.city}^^{self.postal_code}^FRA",
        )


@dataclass(frozen=True, slots=True)
class Structure:
    """`id` is the national structure id: type prefix and number (1: FINESS, 3: SIRET)."""

    id: str
    name: str
    sector: str
    sector_name: str
    city: str
    postal_code: str

    @property
    def xon(self) -> str:
        return f"{self.name}^^^^^&{STRUCTURE_OID}&ISO^IDNST^^^{self.id}"


@dataclass(frozen=True, slots=True)
class Professional:
    """`id` is the national professional id: type prefix 8 and RPPS number. `specialty` is (code, display name)."""

    id: str
    family: str
    given: str
    title: str
    specialty: tuple[str, str]
    structure: Structure

    @property
    def xcn(self) -> str:
        return f"{self.id}^{self.family}^{self.given}^^^^^^&{PS_OID}&ISO^D^^^IDNPS"


SPECIALTY_OID = "1.2.250.1.213.1.1.4.5"
STRUCTURES = {
    "hospital": Structure(
        "1750000001", "Centre hospitalier des Deux Rives", "SA01", "Etablissement public de santé", "Nantes", "44000"
    ),
    "practice": Structure("399900000000014", "Cabinet du docteur Morel", "SA07", "Cabinet individuel", "Rennes", "35000"),
    "laboratory": Structure(
        "1750000019", "Laboratoire de biologie Pasteur-Ouest", "SA25", "Laboratoire de biologie médicale", "Brest", "29200"
    ),
    "imaging": Structure("1750000027", "Centre d'imagerie de la Cathédrale", "SA08", "Cabinet de groupe", "Nantes", "44000"),
}
PROFESSIONALS = {
    "hospital": Professional(
        "899900000017", "GUÉRIN", "Hélène", "DR",
        ("G15_10/SM04", "Médecin - Cardiologie et maladies vasculaires (SM)"), STRUCTURES["hospital"],
    ),
    "practice": Professional(
        "899900000025", "MOREL", "Jean-François", "DR",
        ("G15_10/SM26", "Médecin - Qualifié en Médecine Générale (SM)"), STRUCTURES["practice"],
    ),
    "laboratory": Professional(
        "899900000033", "NGUYEN", "Claire", "DR", ("G15_10/SM03", "Médecin - Biologie médicale (SM)"), STRUCTURES["laboratory"]
    ),
    "imaging": Professional(
        "899900000041", "LE-GALL", "Yann", "DR",
        ("G15_10/SM44", "Médecin - Radio-diagnostic (SM)"), STRUCTURES["imaging"],
    ),
}  # fmt: skip


def make_patient(draw: random.Random) -> Patient:
    """One patient; every value follows from the state of `draw`."""
    woman = draw.random() < 0.52
    given = tuple(draw.sample(WOMEN if woman else MEN, draw.choice((1, 2, 3))))
    birth = date(1930, 1, 1) + timedelta(days=draw.randrange(365 * 90))
    code, place, _ = draw.choice(COMMUNES)
    _, city, postal_code = draw.choice(COMMUNES)
    nir = f"{2 if woman else 1}{birth:%y%m}{code}{draw.randint(1, 990):03d}"
    return Patient(
        family=draw.choice(FAMILY_NAMES),
        given=given,
        sex="F" if woman else "M",
        birth=birth,
        birth_code=code,
        birth_place=place,
        street=f"{draw.randint(1, 120)} {draw.choice(STREETS)}",
        postal_code=postal_code,
        city=city,
        phone=f"+3363998{draw.randint(0, 9999):04d}",
        ins=nir + nir_key(nir),
        ins_c=compute_ins_c(given[0], f"{birth:%y%m%d}", nir),
        ipp=f"{draw.randrange(10**9):09d}",
    )


def make_patients(count: int, seed: int) -> list[Patient]:
    """`count` patients with `count` different INS."""
    draw = random.Random(f"carnet-patients-{seed}")
    people: dict[str, Patient] = {}
    while len(people) < count:
        patient = make_patient(draw)
        people.setdefault(patient.ins, patient)
    return list(people.values())
