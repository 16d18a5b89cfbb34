"""A user's own Schematron sets, run over a CDA document: `.sch` in the query language XSLT 1, 2 or 3, or an XSLT made of one.

The sets of the ANS are of XSLT 2, with abstract patterns, includes and value sets that are read by `document()`: for these the
optional package `saxonche` is needed (`pip install 'carnet[schematron]'`), and this module is its one gate. What a set may read
is its own folder and the folder of the value sets (`schematron_reach.py`); nothing is fetched from a network.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from lxml import etree

from conformance.schematron_compiler import SVRL, SchematronError, compile_schematron
from conformance.schematron_reach import confined

#: A value set is somebody else's file too: it includes no other one as an entity.
_NO_ENTITIES = tuple(
    "http://saxon.sf.net/feature/parserFeature?uri=" + quote(f"http://xml.org/sax/features/external-{kind}-entities", "")
    for kind in ("general", "parameter")
)
#: What to say where the package is absent.
INSTALL = "Schematron sets need the package saxonche: pip install 'carnet[schematron]' (or pip install saxonche)"


@dataclass(frozen=True, slots=True)
class Failed:
    """One assertion that failed, or a report that came true. `location` is an XPath; `role` the set's word for how bad it is."""

    text: str
    location: str
    test: str = ""
    id: str = ""
    role: str = ""
    report: bool = False

    @property
    def is_warning(self) -> bool:
        return self.role.lower() in ("warning", "warn", "info", "information", "hint") or (self.report and not self.role)


def available() -> bool:
    """Whether XSLT 2 can be run here."""
    return find_spec("saxonche") is not None


class RuleSet:
    """One set, compiled once. `value_sets` is a folder that is added to those from which `document()` may read."""

    def __init__(self, path: Path, value_sets: Path | None = None) -> None:
        """Raises SchematronError: the file is no Schematron and no XSLT, or saxonche is not installed."""
        if not available():
            raise SchematronError(INSTALL)
        from saxonche import PySaxonApiError, PySaxonProcessor

        self.path = path
        self.name = path.stem
        stylesheet = _stylesheet(path)
        self._processor: Any = PySaxonProcessor(license=False)
        self._processor.set_configuration_property("http://saxon.sf.net/feature/allowedProtocols", "file")
        self._processor.set_configuration_property("http://saxon.sf.net/feature/allow-external-functions", "off")
        for feature in _NO_ENTITIES:
            self._processor.set_configuration_property(feature, "false")
        xslt = self._processor.new_xslt30_processor()
        folders = [path.parent.resolve(), *([value_sets.resolve()] if value_sets is not None else [])]
        stylesheet = _with_value_sets(stylesheet, path.parent.resolve(), folders)
        base = path.resolve().as_uri()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "set.xsl"
            sheet = confined(etree.fromstring(stylesheet), base, folders)
            sheet.set("{http://www.w3.org/XML/1998/namespace}base", base)  # relative addresses count from the file that was named
            file.write_bytes(etree.tostring(sheet))
            try:
                self._executable: Any = xslt.compile_stylesheet(stylesheet_file=str(file))
            except PySaxonApiError as error:
                raise SchematronError(f"{path}: cannot be compiled: {error}") from None
        self._error = PySaxonApiError

    def run(self, document: bytes) -> list[Failed]:
        """What the set has against a document. Raises SchematronError where the document or a value set cannot be read."""
        try:
            node = self._processor.parse_xml(xml_text=_harmless(document))
            told = self._executable.transform_to_string(xdm_node=node)
        except self._error as error:
            raise SchematronError(f"{self.path}: {error}") from None
        return list(_failed(told)) if told else []


def _harmless(document: bytes) -> str:
    """The document as text, without anything that a parser could be made to fetch."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_pis=True, huge_tree=True)
    try:
        root = etree.fromstring(document, parser)
    except etree.XMLSyntaxError as error:
        raise SchematronError(f"the document is not well-formed XML: {error.msg}") from None
    return etree.tostring(root, encoding="unicode")


def _stylesheet(path: Path) -> bytes:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.parse(str(path), parser).getroot()
    except (OSError, etree.XMLSyntaxError) as error:
        raise SchematronError(f"{path}: cannot be read: {error}") from None
    local, namespace = etree.QName(root).localname, etree.QName(root).namespace
    if namespace == "http://www.w3.org/1999/XSL/Transform" and local in ("stylesheet", "transform"):
        return etree.tostring(root)
    return compile_schematron(path)


def _with_value_sets(stylesheet: bytes, home: Path, folders: Sequence[Path]) -> bytes:
    """Every `document('...')` with a fixed address is pointed at the file: beside the set, or by its name in the value sets.

    Raises SchematronError for an address that is not below one of the folders.
    """
    root = etree.fromstring(stylesheet)
    for element in root.iter():
        for name, value in list(element.attrib.items()) if isinstance(element.tag, str) else ():
            text = str(value)
            for address in _addresses(text):
                text = text.replace(address, _resolved(address, home, folders))
            if text != str(value):
                element.set(name, text)
    return etree.tostring(root)


def _addresses(text: str) -> list[str]:
    found = []
    for function in ("document(", "doc("):
        start = text.find(function)
        while start >= 0:
            quote = text[start + len(function) : start + len(function) + 1]
            end = text.find(quote, start + len(function) + 1) if quote in ("'", '"') else -1
            if end > 0:
                found.append(text[start + len(function) + 1 : end])
            start = text.find(function, start + 1)
    return [address for address in dict.fromkeys(found) if address]


def _resolved(address: str, home: Path, folders: Sequence[Path]) -> str:
    parts = urlsplit(address)
    if parts.scheme not in ("", "file") or parts.netloc:
        raise SchematronError(f"the set reads '{address}': only files beside it or in the folder of the value sets are read")
    path = Path(unquote(parts.path))
    candidates = [(home / path).resolve(), *((folder / path.name).resolve() for folder in folders)]
    for candidate in candidates:
        if candidate.is_file() and any(candidate.is_relative_to(folder) for folder in folders):
            return candidate.as_uri()
    raise SchematronError(f"the set reads the value set '{address}', which is not there: name its folder by --value-sets DIR")


def _failed(told: str) -> list[Failed]:
    root = etree.fromstring(told.encode())
    found = []
    for element in root.iter(f"{{{SVRL}}}failed-assert", f"{{{SVRL}}}successful-report"):
        text = " ".join("".join(str(piece) for piece in element.itertext()).split())
        get = element.get
        report = etree.QName(element).localname == "successful-report"
        role = get("role", "") or get("flag", "")
        found.append(Failed(text, get("location", ""), get("test", ""), get("id", ""), role, report))
    return found
