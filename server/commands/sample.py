"""`carnet sample DIR`: the sample set as files, the same for the same seed."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from server.commands.connection import Failed
from server.commands.options import UsageError
from server.description import to_json
from server.launcher import program
from server.sample import KINDS, make_documents
from server.sample_people import make_patients

#: Patients of a set that takes long enough for a bar.
_SHOW_PROGRESS_FROM = 50


@click.command("sample")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--patients", type=click.IntRange(1, 100_000), default=3, show_default=True, help="Number of patients.")
@click.option("--documents", type=click.IntRange(1, 10_000), default=len(KINDS), show_default=True, help="Documents a patient.")
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed, another set; the same seed, the same bytes.")
@click.option("--dmp", is_flag=True, help="Patient ids with their type (CX-5: NH, PI), as the French DMP has them.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(folder: Path, patients: int, documents: int, seed: int, dmp: bool, as_json: bool) -> None:
    """Write patients with valid INS and their documents: eight kinds of CDA R2, a PDF, a plain text.

    Each patient has a folder of the INS; beside each document stands FILE.json, its metadata, which `carnet submit` reads.
    patients.json lists the patients. DIR must be new or empty.
    """
    try:
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"{folder} is not empty; a sample set is written into a folder of its own")
        folder.mkdir(parents=True, exist_ok=True)
        written = _write(folder, patients, documents, seed, dmp)
    except OSError as error:
        raise Failed(f"{error.filename}: cannot be written: {error.strerror}") from None
    if as_json:
        click.echo(json.dumps(written, indent=2, ensure_ascii=False))
        return
    first = written["patients"][0]
    click.echo(f"{len(written['patients'])} patients, {written['documents']} documents in {folder}")
    click.echo("Next:")
    click.echo(f"  {program()} patient add {shlex.quote(first['patientId'])}")
    click.echo(f"  {program()} submit {shlex.quote(str(folder / first['folder']))}/*.xml")
    click.echo(f"  {program()} query --patient {shlex.quote(first['patientId'])}")


def _write(folder: Path, patients: int, documents: int, seed: int, dmp: bool) -> dict[str, Any]:
    rows = []
    hidden = patients < _SHOW_PROGRESS_FROM or not sys.stderr.isatty()
    with click.progressbar(make_patients(patients, seed), label="writing", file=sys.stderr, hidden=hidden) as people:
        for patient in people:
            own = folder / patient.ins
            own.mkdir()
            files = []
            for document in make_documents(patient, documents, seed, dmp):
                path = own / document.file_name
                path.write_bytes(document.data)
                described = json.dumps(to_json(document.description), indent=2, ensure_ascii=False)
                path.with_name(path.name + ".json").write_text(described + "\n", encoding="utf-8")
                files.append(path.name)
            rows.append(
                {
                    "patientId": patient.cx(dmp=dmp),
                    "sourcePatientId": patient.source_cx(dmp),
                    "name": f"{patient.given[0]} {patient.family}",
                    "birth": f"{patient.birth:%Y-%m-%d}",
                    "sex": patient.sex,
                    "ins": patient.ins,
                    "insC": patient.ins_c,
                    "folder": patient.ins,
                    "files": files,
                }
            )
    written = {"seed": seed, "documents": sum(len(row["files"]) for row in rows), "patients": rows}
    (folder / "patients.json").write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return written
