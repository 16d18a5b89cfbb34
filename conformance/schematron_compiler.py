"""ISO Schematron to XSLT: one template per rule, one mode per pattern, the result in SVRL (ISO/IEC 19757-3: 5 and annex D).

Knows `let`, `include`, `extends`, abstract rules and patterns with parameters, `ns`, phases (all patterns are active), `value-of`
and `name` in messages, `diagnostics`, keys and functions of XSLT that stand in the schema.
"""

from __future__ import annotations

import copy
import re
from pathlib import Path

from lxml import etree

SCH = "http://purl.oclc.org/dsdl/schematron"
XSL = "http://www.w3.org/1999/XSL/Transform"
SVRL = "http://purl.oclc.org/dsdl/svrl"
_DEPTH = 16


class SchematronError(Exception):
    """A set cannot be used: what is wrong, with the file."""


def compile_schematron(path: Path) -> bytes:
    """The XSLT of a Schematron file, its includes read from beside it. Raises SchematronError."""
    schema = _read(path, 0)
    if schema.tag != _s("schema"):
        raise SchematronError(f"{path}: the root is {etree.QName(schema).localname}, expected is sch:schema or an xsl:stylesheet")
    version = {"xslt": "1.0", "xslt1": "1.0", "xslt2": "2.0", "xslt3": "3.0"}.get(schema.get("queryBinding", "xslt").lower())
    if version is None:
        raise SchematronError(f"{path}: queryBinding '{schema.get('queryBinding')}' is not read; known are xslt, xslt2 and xslt3")
    namespaces = {ns.get("prefix", ""): ns.get("uri", "") for ns in schema.iterchildren(_s("ns"))}
    nsmap = {**{prefix: uri for prefix, uri in namespaces.items() if prefix}, "xsl": XSL, "svrl": SVRL}
    sheet = etree.Element(_x("stylesheet"), {"version": "2.0" if version == "1.0" else version}, nsmap=nsmap)
    for child in schema:
        if isinstance(child.tag, str) and etree.QName(child).namespace == XSL:
            sheet.append(copy.deepcopy(child))
    _lets(schema, sheet)
    patterns = [_concrete(pattern, schema, path) for pattern in schema.iterchildren(_s("pattern"))]
    active = [pattern for pattern in patterns if pattern is not None]
    root = etree.SubElement(sheet, _x("template"), match="/")
    output = etree.SubElement(root, f"{{{SVRL}}}schematron-output")
    for number in range(len(active)):
        etree.SubElement(output, _x("apply-templates"), select="/", mode=f"p{number}")
    for number, pattern in enumerate(active):
        _pattern(pattern, f"p{number}", sheet, schema, path)
    return etree.tostring(sheet)


def _s(name: str) -> str:
    return f"{{{SCH}}}{name}"


def _x(name: str) -> str:
    return f"{{{XSL}}}{name}"


def _read(path: Path, depth: int) -> etree._Element:
    """The file with its includes in place; their addresses count from the including file."""
    if depth > _DEPTH:
        raise SchematronError(f"{path}: includes go deeper than {_DEPTH} files")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True)
    try:
        root = etree.parse(str(path), parser).getroot()
    except (OSError, etree.XMLSyntaxError) as error:
        raise SchematronError(f"{path}: cannot be read: {error}") from None
    for include in list(root.iter(_s("include"))):
        href, _, fragment = (include.get("href") or "").partition("#")
        if not href or ":" in href:
            raise SchematronError(f"{path}: include '{include.get('href', '')}' is no relative file name")
        other = _read((path.parent / href).resolve(), depth + 1)
        wanted = next((e for e in other.iter() if e.get("id") == fragment), other) if fragment else other
        parent = include.getparent()
        assert parent is not None
        parent.replace(include, wanted)
    return root


def _named(element: etree._Element) -> dict[str, str]:
    """The prefixes that hold at an element."""
    return {prefix: uri for prefix, uri in element.nsmap.items() if prefix}


def _lets(parent: etree._Element, into: etree._Element, from_root: bool = False) -> None:
    """The variables of a schema, a rule or (`from_root`: its expressions begin at the document) of a pattern."""
    for let in parent.iterchildren(_s("let")):
        variable = etree.SubElement(into, _x("variable"), name=let.get("name", ""), nsmap=_named(let))
        if let.get("value") is not None:
            value = let.get("value", "")
            variable.set("select", f"root(.)/({value})" if from_root else value)
        else:
            variable.extend([copy.deepcopy(child) for child in let])


def _concrete(pattern: etree._Element, schema: etree._Element, path: Path) -> etree._Element | None:
    """The pattern with the abstract one behind it filled in; None for an abstract one."""
    if pattern.get("abstract") == "true":
        return None
    name = pattern.get("is-a")
    if not name:
        return pattern
    abstract = next((p for p in schema.iterchildren(_s("pattern")) if p.get("id") == name and p.get("abstract") == "true"), None)
    if abstract is None:
        raise SchematronError(f"{path}: the pattern '{pattern.get('id', '')}' is of '{name}', which is no abstract pattern here")
    values = {p.get("name", ""): p.get("value", "") for p in pattern.iterchildren(_s("param"))}
    filled = copy.deepcopy(abstract)
    names = sorted(values, key=len, reverse=True)  # $code must not eat the beginning of $codeSystem
    for element in filled.iter():
        if isinstance(element.tag, str):
            for attribute, text in list(element.attrib.items()):
                element.set(attribute, _filled(str(text), names, values))
    del filled.attrib["abstract"]
    return filled


def _filled(text: str, names: list[str], values: dict[str, str]) -> str:
    for name in names:
        text = re.sub(rf"\${re.escape(name)}(?![\w.-])", lambda _, name=name: values[name], text)  # type: ignore[misc]
    return text


def _pattern(pattern: etree._Element, mode: str, sheet: etree._Element, schema: etree._Element, path: Path) -> None:
    rules = [rule for rule in pattern.iterchildren(_s("rule")) if rule.get("abstract") != "true"]
    for number, rule in enumerate(rules):
        priority = str(1000 - number)  # the first rule that matches a node is the one
        match = _as_match(rule.get("context", ""))
        template = etree.SubElement(sheet, _x("template"), match=match, mode=mode, priority=priority)
        _lets(pattern, template, from_root=True)
        _lets(rule, template)
        _tests(rule, template, pattern, schema, path, 0)
        etree.SubElement(template, _x("apply-templates"), select="@*|*", mode=mode)
    default = etree.SubElement(sheet, _x("template"), match="*|@*|/", mode=mode, priority="-10")
    etree.SubElement(default, _x("apply-templates"), select="@*|*", mode=mode)
    etree.SubElement(sheet, _x("template"), match="text()|comment()|processing-instruction()", mode=mode, priority="-10")


def _as_match(context: str) -> str:
    """A context is an XPath; as a match pattern a leading descendant axis is implied."""
    return context.strip() or "*"


def _tests(rule: etree._Element, template: etree._Element, pattern: etree._Element, schema: etree._Element, path: Path,
           depth: int) -> None:  # fmt: skip
    if depth > _DEPTH:
        raise SchematronError(f"{path}: the rules extend one another without end")
    for child in rule:
        if child.tag == _s("extends"):
            name = child.get("rule", "")
            rows = [*pattern.iter(_s("rule")), *schema.iter(_s("rule"))]
            base = next((r for r in rows if r.get("id") == name and r.get("abstract") == "true"), None)
            if base is None:
                raise SchematronError(f"{path}: a rule extends '{name}', which is no abstract rule here")
            _lets(base, template)
            _tests(base, template, pattern, schema, path, depth + 1)
        elif child.tag in (_s("assert"), _s("report")):
            _test(child, template)


def _test(child: etree._Element, template: etree._Element) -> None:
    report = child.tag == _s("report")
    test = child.get("test", "")
    condition = etree.SubElement(template, _x("if"), test=test if report else f"not({test})", nsmap=_named(child))
    result = etree.SubElement(condition, f"{{{SVRL}}}{'successful-report' if report else 'failed-assert'}")
    for name in ("id", "role", "flag"):
        value = child.get(name) or (_of_parent(child, name) if name == "role" else None)
        if value:
            result.set(name, value.replace("{", "{{").replace("}", "}}"))
    etree.SubElement(result, _x("attribute"), name="test").append(_text(test))
    location = etree.SubElement(result, _x("attribute"), name="location")
    step = "concat('/*:', local-name(), '[', count(preceding-sibling::*[local-name() = local-name(current())]) + 1, ']')"
    each = etree.SubElement(location, _x("for-each"), select="ancestor-or-self::*")
    etree.SubElement(each, _x("value-of"), select=step)
    message = etree.SubElement(result, f"{{{SVRL}}}text")
    _message(child, message)


def _of_parent(child: etree._Element, name: str) -> str | None:
    parent = child.getparent()
    return parent.get(name) if parent is not None else None


def _text(text: str) -> etree._Element:
    element = etree.Element(_x("text"))
    element.text = text
    return element


def _message(child: etree._Element, into: etree._Element) -> None:
    """The words of an assertion, with the values that it asks for."""
    into.append(_text(child.text or ""))
    for part in child:
        if part.tag == _s("value-of"):
            etree.SubElement(into, _x("value-of"), select=part.get("select", "."), nsmap=_named(part))
        elif part.tag == _s("name"):
            etree.SubElement(into, _x("value-of"), select=f"name({part.get('path', '.')})")
        elif isinstance(part.tag, str):
            _message(part, into)
        into.append(_text(part.tail or ""))
