"""`carnet conformance run`: the cases of the suite against anybody's server.

Exit status: 0 nothing failed, 1 a case failed or ended in an error, or all were skipped; 2 wrong usage; 3 nobody could be asked
at the target's address, so that the run was stopped.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from conformance import report
from conformance.acting import Card
from conformance.case import INTEGRATED, PROFILES, Case, CaseError, read_suite
from conformance.referential import NONE, read_referentials, shipped, with_requirements
from conformance.report_words import verdict, word
from conformance.result import CaseResult, Run, Status
from conformance.runner import JOURNAL, Progress, Runner, chosen, read_journal
from conformance.target import ACTING_OPTIONS, OPTIONS, Target, TargetError, read_target
from security.pki import PkiError
from security.tls import TlsError, client_context
from security.trust_files import TrustFileError
from server.commands.connection import Failed
from server.commands.options import UsageError
from server.commands.table import printable
from server.version import version

_FILE = click.Path(exists=True, dir_okay=False)
_STOPPED = 3
_MARKS = {Status.PASSED: "green", Status.FAILED: "red", Status.ERROR: "magenta", Status.SKIPPED: "yellow"}


@click.command("run")
@click.option(
    "--target", "address", required=True, metavar="URL|FILE", help="Base URL of a Carnet, a WSDL (?wsdl), or a target file."
)
@click.option(
    "--profile", "profiles", multiple=True, type=click.Choice([INTEGRATED, *PROFILES]), default=(INTEGRATED,), show_default=True,
    help="What is to be proved; repeatable.",
)  # fmt: skip
@click.option("--report", "folder", required=True, metavar="DIR", help="Folder of the report; made when it is not there.")
@click.option(
    "--lang",
    type=click.Choice(["en", "fr"]),
    default="en",
    show_default=True,
    help="Language of all that is said.",
)
@click.option(
    "--suite", type=click.Choice(["carnet", "nist"]), default="carnet", show_default=True, help="Our cases, or NIST plans."
)
@click.option("--plans", metavar="DIR", help="Folder of NIST plans (--suite nist).")
@click.option("--case", "patterns", multiple=True, metavar="GLOB", help="Only cases whose id matches; repeatable.")
@click.option("--jobs", default=4, show_default=True, metavar="N", help="Cases at the same time.")
@click.option("--resume", is_flag=True, help="Take up an interrupted run in DIR.")
@click.option("--failed", is_flag=True, help="Perform again only what failed in DIR.")
@click.option("--patient", "patients", multiple=True, metavar="CX", help="Patients to work for instead of new ones; repeatable.")
@click.option("--feed", default="", metavar="URL", help="Where patients are announced: mllp://HOST:PORT, or ITI-44 (http).")
@click.option("--option", "options", multiple=True, metavar="NAME", help=f"What the target can do: {', '.join(OPTIONS)}.")
@click.option(
    "--referential", "referentials", multiple=True, metavar="NAME|FILE",
    help=f"Requirement codes for report and evidence: {', '.join(shipped())}, a file of your own, or {NONE}; repeatable.",
)  # fmt: skip
@click.option("--keep", is_flag=True, help="Leave in the target what the cases have registered.")
@click.option("--pki", metavar="DIR", help="Folder of a test authority (`carnet pki`).")
@click.option("--as", "name", metavar="NAME", help="Whose card there connects and signs assertions.")
@click.option("--ca", type=_FILE, help="Certificates to believe of the target (PEM), instead of those of --pki or the system.")
@click.option("--cert", type=_FILE, help="The certificate to show (PEM), instead of that of --as.")
@click.option("--key", type=_FILE, help="Its private key (PEM), unless it is in --cert.")
@click.option("--quiet", is_flag=True, help="Print the summary alone.")
def command(address: str, folder: str, **given: Any) -> None:
    """Perform the cases against the server at TARGET and write DIR/report.html, report.pdf, junit.xml, report.json, evidence.zip.

    Works for new patients, which it announces by ITI-44 or ITI-8, or for those of --patient, and takes out again what it has
    registered (ITI-62, ITI-86) where the server lets it.
    """
    if given["jobs"] < 1:
        raise UsageError("--jobs must be at least 1")
    if given["resume"] and given["failed"]:
        raise UsageError("--resume and --failed exclude each other")
    try:
        target = read_target(address, feed=given["feed"], patients=given["patients"], options=given["options"])
        target = _acting(target, given["pki"], given["name"])
        target = _connecting(target, given["ca"] or "", given["cert"] or "", given["key"] or "")
        run = _nist(target, given) if given["suite"] == "nist" else _carnet(target, Path(folder), given)
    except (TargetError, CaseError, ValueError) as error:
        raise UsageError(str(error)) from None
    except KeyboardInterrupt:
        raise Failed("interrupted; --resume takes the run up where it was") from None
    written = report.write(run, Path(folder), given["lang"])
    _print_summary(run, [str(path) for path in written])
    sys.exit(_STOPPED if run.stopped else 0 if run.passed else 1)


def _carnet(target: Target, folder: Path, given: dict[str, Any]) -> Run:
    suite = read_suite()
    required = read_referentials(given["referentials"], target.domain, suite)
    suite = with_requirements(suite, required)
    cases = chosen(suite, given["profiles"], given["patterns"])
    known: dict[str, CaseResult] = {}
    if given["resume"] or given["failed"]:
        head, known = read_journal(folder / JOURNAL)
        if head.get("target") != target.name:
            raise UsageError(f"{folder / JOURNAL} is of a run against {head.get('target')}, not {target.name}")
        if given["failed"]:
            cases = [case for case in cases if case.id in known]
            known = {id: result for id, result in known.items() if id in suite and not _again(result, suite[id])}
        known = {id: result for id, result in known.items() if any(case.id == id for case in cases)}
    runner = Runner(
        target, suite, given["jobs"], folder / JOURNAL, not given["keep"], _printer(given),
        f"carnet {version()}", required,
    )  # fmt: skip
    return runner.run(cases, ",".join(given["profiles"]), given["lang"], known)


def _again(result: CaseResult, case: Case) -> bool:
    """Whether --failed performs a case again: it failed, or it was skipped because what it builds on did."""
    return result.bad or (result.status is Status.SKIPPED and bool(case.needs))


def _nist(target: Target, given: dict[str, Any]) -> Run:
    from conformance.nist.suite import run_plans

    if not given["plans"]:
        raise UsageError("--suite nist needs --plans DIR, a folder of NIST test plans")
    return run_plans(Path(given["plans"]), target, given["lang"], given["patterns"], _printer(given))


def _acting(target: Target, pki: str | None, name: str | None) -> Target:
    if not pki and not name:
        asked = target.options & ACTING_OPTIONS
        if asked:
            raise UsageError(f"the option {', '.join(sorted(asked))} needs a card: --pki DIR --as NAME")
        return target
    if not (pki and name):
        raise UsageError("--pki DIR and --as NAME are given together: the folder of `carnet pki`, and whose card there acts")
    card = Card(Path(pki), name)
    try:
        if "signed" in target.options:
            card.check_signing()
        return replace(target, context=card.context(), card=card, options=target.options | {"secure"})
    except (PkiError, TlsError, TrustFileError, ValueError) as error:
        raise UsageError(str(error)) from None


def _connecting(target: Target, ca: str, cert: str, key: str) -> Target:
    """With what TLS is done with, where files name it. With a card: its authority and certificate are replaced one by one."""
    if key and not cert:
        raise UsageError("--key is the private key of a certificate: give --cert too")
    if not (ca or cert):
        return target
    card = target.card
    try:
        if card is not None:
            card.ca = ca
            return replace(target, context=card.context(cert, key))
        return replace(target, context=client_context(ca, cert, key))
    except (PkiError, TlsError) as error:
        raise UsageError(str(error)) from None


def _printer(given: dict[str, Any]) -> Progress | None:
    """What prints a line for each case, in the language of the report."""
    lang = given["lang"]

    def show(result: CaseResult, done: int, total: int) -> None:
        status = click.style(f"{word(result.status.value, lang):7}", fg=_MARKS[result.status])
        click.echo(f"{done:4}/{total} {status} {result.id}  {result.title.in_(lang)}")
        if result.bad:
            for _, finding in result.findings:
                click.echo(printable(f"               {finding.text.in_(lang)}"))
            if result.reason:
                click.echo(printable(f"               {result.reason.in_(lang)}"))

    return None if given["quiet"] else show


def _print_summary(run: Run, files: list[str]) -> None:
    many = "s" if run.lang == "fr" else ""
    counts = ", ".join(f"{count} {word(name, run.lang)}{many if count > 1 else ''}" for name, count in run.counts.items())
    click.echo(f"{counts} {word('within', run.lang)} {run.seconds:.1f} s")
    click.echo(verdict(run, run.lang))
    for file in files:
        click.echo(file)
