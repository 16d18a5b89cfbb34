"""A run as a PDF to sign and file; the only file that knows fpdf2.

A cover with the verdict, a table by transaction, and for each failed case what was expected, what came, why and how to mend it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.report_requirements import status_word
from conformance.report_words import alternatives, label, told_already, verdict, word
from conformance.result import CaseResult, Run, Status

if TYPE_CHECKING:
    from fpdf import FPDF

#: The built-in fonts of PDF know Latin-1; what French has beyond it is written out.
_BEYOND = str.maketrans({"œ": "oe", "Œ": "OE", "\u2019": "'", "\u2013": "-", "\u2014": "-", "\u2026": "...", "€": "EUR"})
_GOOD, _BAD, _QUIET = (23, 112, 58), (179, 38, 30), (93, 103, 113)
_MARGIN = 18.0


def build_pdf(run: Run, language: str) -> bytes:
    """The whole file."""
    from fpdf import FPDF

    class Pages(FPDF):
        def footer(self) -> None:
            self.set_y(-12)
            self.set_font("Helvetica", size=8)
            self.set_text_color(*_QUIET)
            self.cell(0, 5, _latin(f"{run.target}   {word('page', language)} {self.page_no()}/{{nb}}"), align="C")

    pdf = Pages(format="A4")
    pdf.set_auto_page_break(True, _MARGIN)
    pdf.set_margins(_MARGIN, _MARGIN, _MARGIN)
    pdf.set_title(_latin(f"{label('report', language)} {run.target}"))
    pdf.set_lang("fr-FR" if language == "fr" else "en-GB")
    pdf.add_page()
    _cover(pdf, run, language)
    _by_transaction(pdf, run, language)
    _failures(pdf, run, language)
    _requirements(pdf, run, language)
    return bytes(pdf.output())


def _latin(text: str) -> str:
    return text.translate(_BEYOND).encode("latin-1", "replace").decode("latin-1")


def _line(pdf: FPDF, text: str, size: float = 10, style: str = "", color: tuple[int, int, int] = (28, 33, 38)) -> None:
    from fpdf.enums import WrapMode

    pdf.set_font("Helvetica", style=style, size=size)
    pdf.set_text_color(*color)
    wrap = WrapMode.WORD if " " in text else WrapMode.CHAR
    pdf.multi_cell(0, size * 0.5, _latin(text), new_x="LMARGIN", new_y="NEXT", align="L", wrapmode=wrap)


def _cover(pdf: FPDF, run: Run, language: str) -> None:
    _line(pdf, word("report", language), 22, "B")
    pdf.ln(4)
    _line(pdf, verdict(run, language), 15, "B", _GOOD if run.passed else _BAD)
    pdf.ln(4)
    counts = ", ".join(f"{label(name, language)} {count}" for name, count in run.counts.items())
    for name, value in (
        ("target", run.target), ("profile", run.profile), ("suite", run.suite), ("started", run.started[:19].replace("T", " ")),
        ("took", f"{run.seconds:.1f} s"), ("cases", counts), ("kit", run.software), ("options", ", ".join(run.options) or "-"),
    ):  # fmt: skip
        _line(pdf, f"{label(name, language)} {value}")
    pdf.ln(4)


def _by_transaction(pdf: FPDF, run: Run, language: str) -> None:
    _line(pdf, word("by_transaction", language), 13, "B")
    pdf.ln(1)
    pdf.set_font("Helvetica", size=9)
    pdf.set_text_color(28, 33, 38)
    with pdf.table(text_align=("LEFT", *["RIGHT"] * len(Status)), line_height=5.5, padding=1) as table:
        head = table.row()
        for text in (word("transaction", language), *(word(status.value, language) for status in Status)):
            head.cell(_latin(text))
        for transaction in dict.fromkeys(case.transaction for case in run.cases):
            row = table.row()
            row.cell(_latin(transaction))
            for status in Status:
                row.cell(str(sum(1 for case in run.cases if case.transaction == transaction and case.status is status)))
    pdf.ln(4)


def _requirements(pdf: FPDF, run: Run, language: str) -> None:
    if not run.required:
        return
    pdf.ln(4)
    _line(pdf, word("requirements", language), 13, "B")
    pdf.ln(1)
    pdf.set_font("Helvetica", size=8.5)
    pdf.set_text_color(28, 33, 38)
    with pdf.table(text_align="LEFT", col_widths=(22, 16, 62), line_height=4.5, padding=0.8) as table:
        head = table.row()
        for text in (word("code", language), word("status", language), word("covered_by", language)):
            head.cell(_latin(text))
        for one in run.required:
            row = table.row()
            row.cell(_latin(one.code))
            row.cell(_latin(word(status_word(one, run), language)))
            row.cell(_latin(f"{one.title.in_(language)}{f' ({one.reason.in_(language)})' if one.reason else ''}"))


def _failures(pdf: FPDF, run: Run, language: str) -> None:
    _line(pdf, word("failures", language), 13, "B")
    pdf.ln(1)
    bad = [case for case in run.cases if case.bad]
    if not bad:
        _line(pdf, word("none_failed", language))
    for case in bad:
        _failure(pdf, case, language)


def _failure(pdf: FPDF, case: CaseResult, language: str) -> None:
    pdf.ln(2)
    _line(pdf, f"{case.id}  {case.title.in_(language)}", 10.5, "B", _BAD)
    proves = f"{label('proves', language)} {', '.join(case.proves) or '-'}"
    _line(pdf, f"{case.transaction}, {case.section}   {proves}", 8.5, "", _QUIET)
    for step, finding in case.findings:
        _line(pdf, f"{step.title.in_(language) or step.name}: {finding.text.in_(language)}")
        if not told_already(finding):
            _line(
                pdf, f"{label('expected', language)} {alternatives(finding.expected)}   {label('got', language)} {finding.got}", 9
            )
    for name, text in (("reason", case.reason), ("why", case.why), ("mend", case.mend)):
        if text:
            _line(pdf, f"{label(name, language)} {text.in_(language)}", 9.5)
