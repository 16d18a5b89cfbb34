"""What the clinical documents of the sample set say, one function a kind. Values are drawn, so that no two are alike."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from server.sample_cda import CIM10, LOINC, Coded, Section, Table

CIP = "1.2.250.1.213.2.3.2"
ATC = "2.16.840.1.113883.6.73"
CCAM = "1.2.250.1.213.2.5"

MEDICINES = (
    ("C10AA05", "Atorvastatine 20 mg, comprimé", "1 comprimé le soir", "1"),
    ("C09AA05", "Ramipril 5 mg, comprimé", "1 comprimé le matin", "1"),
    ("B01AC06", "Acide acétylsalicylique 75 mg, poudre orale", "1 sachet à midi", "1"),
    ("C07AB07", "Bisoprolol 2,5 mg, comprimé", "1 comprimé le matin", "1"),
    ("A10BA02", "Metformine 850 mg, comprimé", "1 comprimé matin et soir", "2"),
    ("N02BE01", "Paracétamol 1 g, comprimé", "1 comprimé en cas de douleur, 3 par jour au plus", "1"),
    ("A02BC01", "Oméprazole 20 mg, gélule", "1 gélule avant le dîner", "1"),
    ("H03AA01", "Lévothyroxine 75 µg, comprimé", "1 comprimé à jeun", "1"),
)
DIAGNOSES = (
    ("I21.4", "Infarctus sous-endocardique aigu du myocarde"), ("J18.9", "Pneumopathie, sans précision"),
    ("I50.0", "Insuffisance cardiaque congestive"), ("K80.2", "Calcul de la vésicule biliaire sans cholécystite"),
    ("E11.9", "Diabète sucré de type 2, sans complication"), ("S72.0", "Fracture du col du fémur"),
)  # fmt: skip
ANALYSES = (
    ("718-7", "Hémoglobine", "g/dL", 11.0, 17.0, "12,0 - 17,0"), ("6690-2", "Leucocytes", "10*9/L", 3.2, 13.5, "4,0 - 10,0"),
    ("777-3", "Plaquettes", "10*9/L", 140, 420, "150 - 400"), ("14682-9", "Créatinine", "umol/L", 48, 140, "45 - 104"),
    ("2823-3", "Potassium", "mmol/L", 3.1, 5.4, "3,5 - 5,1"), ("2951-2", "Sodium", "mmol/L", 132, 147, "136 - 145"),
    ("14749-6", "Glucose", "mmol/L", 3.9, 9.8, "4,1 - 6,1"), ("1988-5", "Protéine C réactive", "mg/L", 0.5, 96, "< 5,0"),
    ("3016-3", "TSH", "m[IU]/L", 0.3, 6.1, "0,40 - 4,00"), ("22748-8", "Cholestérol LDL", "mmol/L", 1.4, 5.6, "< 3,0"),
)  # fmt: skip
VACCINES = (
    ("J07BX03", "COVID-19, vaccin à ARNm"), ("J07BB02", "Grippe, vaccin inactivé"),
    ("J07AM51", "Diphtérie, tétanos, poliomyélite"), ("J07AL02", "Pneumocoque, vaccin conjugué"),
    ("J07BD52", "Rougeole, oreillons, rubéole"),
)  # fmt: skip

Sections = Sequence[Section]


def _comma(value: float) -> str:
    return f"{value:g}".replace(".", ",")


def _treatment(draw: random.Random, count: int, title: str, code: tuple[str, str]) -> Section:
    chosen = draw.sample(MEDICINES, count)
    days = [draw.choice((7, 30, 90)) for _ in chosen]
    rows = [(name, dose, f"{d} jours") for (_, name, dose, _), d in zip(chosen, days, strict=True)]
    coded = [Coded("medication", (atc, ATC, name), quantity=(units, "{comprimé}")) for atc, name, _, units in chosen]
    return Section(code, title, table=Table(("Médicament", "Posologie", "Durée"), rows, coded))


def _analyses(draw: random.Random, count: int) -> Section:
    chosen = draw.sample(ANALYSES, count)
    rows, coded = [], []
    for code, name, unit, low, high, usual in chosen:
        value = round(draw.uniform(low, high), 1)
        rows.append((name, f"{_comma(value)} {unit}", usual))
        coded.append(Coded("observation", (code, LOINC, name), quantity=(f"{value:g}", unit)))
    return Section(
        ("26436-6", "Examens de biologie"), "Résultats", table=Table(("Analyse", "Résultat", "Valeurs usuelles"), rows, coded)
    )


def _diagnosis(draw: random.Random) -> tuple[str, Section]:
    code, name = draw.choice(DIAGNOSES)
    coded = [Coded("observation", ("29308-4", LOINC, "Diagnostic"), concept=(code, CIM10, name))]
    table = Table(("Diagnostic", "CIM-10"), [(name, code)], coded)
    return name, Section(("11450-4", "Liste des problèmes"), "Diagnostic principal", table=table)


def discharge(draw: random.Random, start: datetime, end: datetime) -> Sections:
    name, problems = _diagnosis(draw)
    days = (end - start).days
    return (
        Section(
            ("46241-6", "Motif d'hospitalisation"),
            "Motif d'hospitalisation",
            [f"Admission le {start:%d/%m/%Y} aux urgences. {name}."],
        ),
        problems,
        Section(
            ("8648-8", "Évolution pendant le séjour"),
            "Synthèse médicale du séjour",
            [
                f"Séjour de {days} jours. Prise en charge initiale en unité de soins intensifs, puis en service de médecine.",
                "Évolution favorable sous traitement, apyrexie, reprise de la marche et de l'alimentation. Examen de sortie : "
                f"pression artérielle {draw.randint(110, 145)}/{draw.randint(60, 88)} mmHg, fréquence cardiaque "
                f"{draw.randint(56, 88)}/min, saturation {draw.randint(94, 99)} % en air ambiant.",
            ],
        ),
        _analyses(draw, 6),
        _treatment(draw, 4, "Traitements à la sortie", ("10183-2", "Médicaments à la sortie")),
        Section(
            ("18776-5", "Plan de soins"),
            "Suite à donner",
            items=[
                "Consultation du médecin traitant sous 8 jours",
                "Bilan biologique de contrôle à 15 jours",
                "Consultation du service à 3 mois",
            ],
        ),
    )


def consultation(draw: random.Random, start: datetime, end: datetime) -> Sections:
    weight = round(draw.uniform(48, 104), 1)
    pressure = draw.randint(105, 160)
    coded = [
        Coded("observation", ("29463-7", LOINC, "Poids"), quantity=(f"{weight:g}", "kg")),
        Coded("observation", ("8480-6", LOINC, "Pression artérielle systolique"), quantity=(str(pressure), "mm[Hg]")),
    ]
    rows = [("Poids", f"{_comma(weight)} kg"), ("Pression artérielle systolique", f"{pressure} mmHg")]
    _, problems = _diagnosis(draw)
    return (
        Section(
            ("42349-1", "Motif de la demande"),
            "Motif",
            ["Suivi à la demande du médecin traitant, fatigue depuis plusieurs semaines."],
        ),
        Section(("29545-1", "Examen clinique"), "Examen clinique", table=Table(("Mesure", "Valeur"), rows, coded)),
        problems,
        Section(
            ("51847-2", "Évaluation et plan"),
            "Conclusion",
            [f"État stable. Prochaine consultation dans {draw.randint(2, 12)} mois."],
        ),
    )


def laboratory(draw: random.Random, start: datetime, end: datetime) -> Sections:
    return (
        _analyses(draw, len(ANALYSES)),
        Section(
            ("48767-8", "Commentaire"),
            "Commentaire du biologiste",
            [f"Prélèvement veineux reçu le {start:%d/%m/%Y à %Hh%M}. Sérum limpide."],
        ),
    )


def imaging(draw: random.Random, start: datetime, end: datetime) -> Sections:
    region = draw.choice(("thoracique", "abdomino-pelvien", "cérébral"))
    size = draw.randint(4, 11)
    coded = [Coded("observation", ("21889-1", LOINC, "Taille"), quantity=(str(size), "mm"))]
    return (
        Section(("55115-0", "Demande d'examen"), "Indication", [f"Scanner {region} : bilan de douleurs persistantes."]),
        Section(
            ("55111-9", "Technique"),
            "Technique",
            [f"Acquisition hélicoïdale, {draw.randint(60, 110)} ml de produit de contraste iodé."],
        ),
        Section(
            ("18782-3", "Résultats"),
            "Résultats",
            ["Pas d'épanchement. Pas d'adénomégalie. Structures vasculaires perméables."],
            table=Table(("Lésion", "Grand axe"), [("Nodule isolé, contours réguliers", f"{size} mm")], coded),
        ),
        Section(
            ("19005-8", "Conclusion"), "Conclusion", [f"Nodule de {size} mm, à contrôler dans {draw.choice((3, 6, 12))} mois."]
        ),
    )


def prescription(draw: random.Random, start: datetime, end: datetime) -> Sections:
    return (_treatment(draw, draw.randint(2, 5), "Prescription de médicaments", ("57828-6", "Prescriptions")),)


def vaccination(draw: random.Random, start: datetime, end: datetime) -> Sections:
    code, name = draw.choice(VACCINES)
    lot = f"{draw.choice('ABCDEFGH')}{draw.randrange(10**5):05d}"
    coded = [Coded("vaccination", (code, ATC, name), quantity=("0.5", "mL"), lot=lot)]
    rows = [(name, f"{start:%d/%m/%Y}", lot, "Deltoïde gauche, intramusculaire, 0,5 ml")]
    return (
        Section(
            ("11369-6", "Vaccinations"), "Vaccination", table=Table(("Vaccin", "Date", "Lot", "Administration"), rows, coded)
        ),
    )


def patient_note(draw: random.Random, start: datetime, end: datetime) -> Sections:
    return (
        Section(
            ("51855-5", "Note du patient"),
            "Ce que je souhaite faire savoir",
            [
                "Je dors mal depuis que mon traitement a changé. J'ai noté mes mesures à la maison, le matin au repos.",
                f"Tension moyenne sur une semaine : {draw.randint(118, 152)}/{draw.randint(66, 92)}.",
            ],
            items=[
                "Je suis allergique aux fruits à coque",
                "Ma fille m'aide pour mes médicaments",
                "Je souhaite être appelé l'après-midi",
            ],
        ),
    )


def reimbursements(draw: random.Random, start: datetime, end: datetime) -> Sections:
    acts = (("Consultation de médecin généraliste", 26.5), ("Consultation de spécialiste", 55.0), ("Soins infirmiers", 9.45),
            ("Médicaments", 31.2), ("Examens de biologie", 44.1), ("Radiographie", 33.25))  # fmt: skip
    rows = []
    for _ in range(draw.randint(5, 12)):
        act, price = draw.choice(acts)
        day = start + timedelta(days=draw.randrange(max(1, (end - start).days)))
        rows.append((f"{day:%Y-%m-%d}", act, f"{_comma(price)} €", f"{_comma(round(price * 0.7, 2))} €"))
    table = Table(("Date", "Acte ou produit", "Montant", "Remboursé"), sorted(rows))
    return (Section(("48768-6", "Données de remboursement"), "Historique des remboursements", table=table),)


Writer = Callable[[random.Random, datetime, datetime], Sections]
