"""What a Schematron set may reach: files of its own folder and of the value sets, and nothing else.

A set is a program of somebody else, and what it reads may come out in its findings. So `doc` and `document` become functions of
ours that look at the address first, and whatever else reads, writes or runs something is refused by name before it is compiled.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lxml import etree

from conformance.schematron_compiler import XSL, SchematronError

_SPACE = "urn:carnet:schematron"
#: Prefix of our functions in the set.
_OURS = "carnet-reach"
#: Functions of XPath and XSLT that reach beyond the document.
_FUNCTIONS = frozenset({
    "unparsed-text", "unparsed-text-lines", "unparsed-text-available", "collection", "uri-collection", "json-doc",
    "environment-variable", "available-environment-variables", "transform", "load-xquery-module", "function-lookup",
    "stream-available", "parse-xml",
})  # fmt: skip
_INSTRUCTIONS = frozenset({
    "include", "import", "use-package", "result-document", "evaluate", "source-document", "stream", "merge",
})  # fmt: skip
_READS = frozenset({"doc", "document"})
#: Names are looked at wherever they stand: where a string of an XPath ends cannot be told in every attribute.
_NAME = re.compile(r"(?P<variable>\$\s*)?(?:(?P<prefix>[\w.-]+):)?(?P<name>[\w.-]+)")
_XPATH = "http://www.w3.org/2005/xpath-functions"
_CALL = re.compile(r"(?:\s|\(:.*?:\))*[(#]", re.DOTALL)


def confined(sheet: etree._Element, base: str, folders: Sequence[Path]) -> etree._Element:
    """The stylesheet with every way out of `folders` closed; relative addresses count from `base`. Raises SchematronError."""
    for element in sheet.iter(etree.Element):
        name = etree.QName(element)
        if name.namespace == XSL and name.localname in _INSTRUCTIONS:
            raise SchematronError(f"the set uses xsl:{name.localname}: a set is one file that judges and does nothing else")
        for key, value in list(element.attrib.items()):
            local = etree.QName(key).localname
            if local.startswith("_") or (local == "expand-text" and str(value).strip() not in ("no", "false", "0")):
                raise SchematronError(f"the set uses the attribute {local}: expressions stand in attributes, as they are")
            element.set(key, _judged(str(value), element))
    spaces: Any = {**sheet.nsmap, _OURS: _SPACE}  # the stubs know no default namespace
    made = etree.Element(sheet.tag, nsmap=spaces)
    for key, value in sheet.attrib.items():
        made.set(key, value)
    made.extend(list(sheet))
    made.extend(_functions(base, [f"{folder.as_uri()}/" for folder in folders]))
    return made


def _judged(text: str, element: etree._Element) -> str:
    """An attribute with its reading functions turned into ours."""
    pieces, position = [], 0
    for token in _NAME.finditer(text):
        name, call = token["name"], _CALL.match(text, token.end())
        if token["variable"] or call is None or element.nsmap.get(token["prefix"] or "", _XPATH) != _XPATH:
            continue
        if name in _FUNCTIONS or (name in _READS and call[0].endswith("#")):
            raise SchematronError(f"the set calls {name}(): it may read by doc() and document(), from its folders")
        if name in _READS:
            pieces += [text[position : token.start("prefix" if token["prefix"] else "name")], f"{_OURS}:read"]
            position = token.end()
    return "".join([*pieces, text[position:]])


def _functions(base: str, folders: Sequence[str]) -> list[etree._Element]:
    written = [*folders, *(folder.replace("file:///", "file:/", 1) for folder in folders)]  # resolve-uri writes one slash
    inside = " or ".join(f"starts-with($address, {_quoted(folder)})" for folder in written)
    made = etree.fromstring(f"""<a xmlns:xsl="{XSL}" xmlns:{_OURS}="{_SPACE}">
<xsl:function name="{_OURS}:read" as="node()*" version="2.0"><xsl:param name="what"/>
  <xsl:sequence select="{_OURS}:read($what, ())"/></xsl:function>
<xsl:function name="{_OURS}:read" as="node()*" version="2.0"><xsl:param name="what"/><xsl:param name="beside"/>
  <xsl:for-each select="$what">
    <xsl:variable name="address" select="string(resolve-uri(string(.), {_quoted(base)}))"/>
    <xsl:choose>
      <xsl:when test="({inside}) and not(matches($address, '%2[ef]', 'i'))"><xsl:sequence select="doc($address)"/></xsl:when>
      <xsl:otherwise><xsl:sequence select="error(QName('{_SPACE}', '{_OURS}:outside'),
        concat('the set reads ', $address, ': only files of its folders are read'))"/></xsl:otherwise>
    </xsl:choose>
  </xsl:for-each></xsl:function></a>""")
    return list(made)


def _quoted(text: str) -> str:
    """As a string of XPath in an attribute of double quotes."""
    return "'" + text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;").replace("'", "''") + "'"
