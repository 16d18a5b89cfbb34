"""`carnet query`: Registry Stored Query (ITI-18), by the options of a person or as any query with any parameter."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import click

from metadata.model import Code
from metadata.query_table import (
    FIND_DOCUMENTS,
    GET_ALL,
    GET_DOCUMENTS,
    QUERIES,
    Parameter,
    ParameterType,
    QueryDefinition,
)
from metadata.scalars import LONG_NAME
from metadata.vocabulary import AvailabilityStatus, ResponseStatus, Transaction
from server.commands.connection import Failed, client_of, error_rows, print_errors, status_word, takes_server
from server.commands.found import objects_json, print_objects, print_references
from server.commands.options import UsageError
from server.commands.submit_options import TimeType
from soap.body.adhoc_query import LEAF_CLASS, OBJECT_REF
from soap.client import Found
from soap.client_errors import ClientError

Slots = list[tuple[str, Sequence[str]]]

BY_NAME: dict[str, QueryDefinition] = {query.name: query for query in QUERIES if Transaction.ITI_18 in query.transactions}
_STATUSES = {
    "approved": (AvailabilityStatus.APPROVED.urn,),
    "deprecated": (AvailabilityStatus.DEPRECATED.urn,),
    "all": (AvailabilityStatus.APPROVED.urn, AvailabilityStatus.DEPRECATED.urn),
}


class QueryCode(click.ParamType[str]):
    """A code of a query, `code^^system`; the display name of `code^name^system` is dropped."""

    name = "code^^system"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        parts = str(value).split("^")
        if len(parts) != 3 or not parts[0] or not parts[2]:
            self.fail(f"'{value}' is no code of a query: write code^^system, such as 34112-3^^2.16.840.1.113883.6.1")
        code = Code(parts[0], parts[2])
        return f"{code.code}^^{code.scheme}"


#: Option -> (parameter of FindDocuments, metavar, help).
_FILTERS: dict[str, tuple[str, click.ParamType[Any], str]] = {
    "type": ("$XDSDocumentEntryTypeCode", QueryCode(), "Type of document; repeated: any of them."),
    "class": ("$XDSDocumentEntryClassCode", QueryCode(), "Class of document; repeated: any of them."),
    "format": ("$XDSDocumentEntryFormatCode", QueryCode(), "Format; repeated: any of them."),
    "practice": ("$XDSDocumentEntryPracticeSettingCode", QueryCode(), "Practice setting; repeated: any of them."),
    "facility": ("$XDSDocumentEntryHealthcareFacilityTypeCode", QueryCode(), "Kind of facility; repeated: any of them."),
    "event": ("$XDSDocumentEntryEventCodeList", QueryCode(), "Event code; repeated: any of them."),
    "confidentiality": ("$XDSDocumentEntryConfidentialityCode", QueryCode(), "Confidentiality; repeated: any of them."),
    "author": ("$XDSDocumentEntryAuthorPerson", click.STRING, "Author, with % and _ as wildcards."),
    "created-from": ("$XDSDocumentEntryCreationTimeFrom", TimeType(), "Created at or after this time."),
    "created-to": ("$XDSDocumentEntryCreationTimeTo", TimeType(), "Created before this time."),
    "service-from": ("$XDSDocumentEntryServiceStartTimeFrom", TimeType(), "Service begun at or after this time."),
    "service-to": ("$XDSDocumentEntryServiceStartTimeTo", TimeType(), "Service begun before this time."),
}


def _takes_filters(function: Any) -> Any:
    for name, (parameter, kind, text) in reversed(_FILTERS.items()):
        many = FIND_DOCUMENTS.by_name[parameter].many
        function = click.option(f"--{name}", parameter.removeprefix("$"), type=kind, multiple=many, help=text)(function)
    return function


@click.command("query")
@click.option("--patient", metavar="CX", help="The patient: ID^^^&OID&ISO.")
@click.option("--all", "everything", is_flag=True, help="Everything of the patient: sets, folders, associations too (GetAll).")
@click.option("--status", type=click.Choice(sorted(_STATUSES)), default=None, help="Status of documents (default: approved).")
@_takes_filters
@click.option("--id", "ids", multiple=True, metavar="ID", help="entryUUID or uniqueId of a document (GetDocuments).")
@click.option("--query", "name", type=click.Choice(sorted(BY_NAME)), default=None, help="Any stored query, with --param.")
@click.option("--param", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter, quoted as its type asks.")
@click.option("--objectref", is_flag=True, help="Ids only (returnType ObjectRef).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--xml", "as_xml", is_flag=True, help="Print the answer's XML.")
@takes_server
def command(
    patient: str | None,
    everything: bool,
    status: str | None,
    ids: tuple[str, ...],
    name: str | None,
    parameters: tuple[str, ...],
    objectref: bool,
    as_json: bool,
    as_xml: bool,
    **given: Any,
) -> None:
    """Ask a registry what it knows (ITI-18).

    By options it is FindDocuments, GetAll or GetDocuments. `--query NAME --param NAME=VALUE` is any stored query: values of one
    parameter given several times are alternatives; a value that begins with a quote or a parenthesis is sent as it is.
    """
    client = client_of(given, patient or "")
    filters = {"$" + key: value for key, value in given.items() if value}
    definition, slots = _request(name, patient, everything, status, filters, ids, parameters)
    with client:
        try:
            found = client.query(definition.id, slots, OBJECT_REF if objectref else LEAF_CLASS)
        except ClientError as error:
            raise Failed(str(error)) from None
    _print(definition, found, as_json, as_xml)
    if found.response.status not in (ResponseStatus.SUCCESS, ResponseStatus.PARTIAL_SUCCESS):
        sys.exit(1)


def _request(
    name: str | None,
    patient: str | None,
    everything: bool,
    status: str | None,
    filters: dict[str, Any],
    ids: Sequence[str],
    parameters: Sequence[str],
) -> tuple[QueryDefinition, Slots]:
    ways = [way for way, used in (("--query", name), ("--id", ids), ("--all", everything)) if used]
    if len(ways) > 1:
        raise UsageError(f"{' and '.join(ways)} exclude one another")
    if name or ids:
        if patient or filters or status:
            raise UsageError(f"{ways[0]} takes no --patient, no --status and no filter; --query takes --param NAME=VALUE")
        if ids and parameters:
            raise UsageError("--param belongs to --query")
        if name:
            return BY_NAME[name], _any_query(BY_NAME[name], parameters)
        return GET_DOCUMENTS, documents_by_id(ids)
    if parameters:
        raise UsageError("--param belongs to --query")
    if not patient:
        raise UsageError("say what is asked for: --patient CX, --id ID, or --query NAME with --param NAME=VALUE")
    if everything:
        if filters:
            raise UsageError("--all asks for everything and takes no filter")
        values = _STATUSES[status or "all"]
        slots = [_slot(GET_ALL.by_name["$patientId"], [patient])]
        slots += [_slot(p, values) for p in GET_ALL.parameters if p.type is ParameterType.STATUS and p.required]
        return GET_ALL, slots
    always = {"$XDSDocumentEntryPatientId": patient, "$XDSDocumentEntryStatus": _STATUSES[status or "approved"]}
    return FIND_DOCUMENTS, [
        _slot(FIND_DOCUMENTS.by_name[name], [value] if isinstance(value, str) else value)
        for name, value in (always | filters).items()
    ]


def documents_by_id(ids: Sequence[str]) -> Slots:
    """The parameter of GetDocuments, which takes entryUUIDs or uniqueIds. Raises UsageError for a mixture."""
    by_uuid = [value.startswith("urn:uuid:") for value in ids]
    if any(by_uuid) and not all(by_uuid):
        raise UsageError("ask for entryUUIDs (urn:uuid:...) or for uniqueIds, not for both in one query")
    return [_slot(GET_DOCUMENTS.by_name["$XDSDocumentEntryEntryUUID" if all(by_uuid) else "$XDSDocumentEntryUniqueId"], ids)]


def _any_query(definition: QueryDefinition, given: Sequence[str]) -> Slots:
    """Parameters as the user names them; those that the query does not know are sent too, for the server to judge."""
    collected: dict[str, list[str]] = {}
    slots: Slots = []
    for item in given:
        name, equals, value = item.partition("=")
        if not equals:
            raise UsageError(f"--param {item}: NAME=VALUE is expected. {definition.name} takes {', '.join(definition.by_name)}")
        name = name if name.startswith("$") or "$" + name not in definition.by_name else "$" + name
        if value.startswith(("'", "(")):
            slots.append((name, [value]))
        else:
            collected.setdefault(name, []).append(value)
    for name, values in collected.items():
        parameter = definition.by_name.get(name, Parameter(name, ParameterType.STRING, many=len(values) > 1))
        slots.append(_slot(parameter, values))
    return slots


def _slot(parameter: Parameter, values: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Quotes and parentheses as ITI-18 has them (ITI TF-2: 3.18.4.1.2.3.5).

    A rim:Value holds 256 characters, so a long list of alternatives is spread over several.
    """
    number = parameter.type in (ParameterType.NUMBER, ParameterType.TIME)
    written = [value if number else "'" + value.replace("'", "''") + "'" for value in values]
    if not parameter.many:
        return parameter.name, written
    lists: list[str] = []
    for item in written:
        if lists and len(lists[-1]) + len(item) + 3 <= LONG_NAME:
            lists[-1] += f",{item}"
        else:
            lists.append(item)
    return parameter.name, [f"({items})" for items in lists]


def _print(definition: QueryDefinition, found: Found, as_json: bool, as_xml: bool) -> None:
    if as_xml:
        click.echo(found.xml.decode())
        return
    if as_json:
        result = {
            "query": definition.name,
            "status": status_word(found.response),
            "objects": objects_json(found.objects),
            "references": [{"id": entry_uuid, **({"home": home} if home else {})} for entry_uuid, home in found.references],
            "errors": error_rows(found.errors),
        }
        click.echo(json.dumps(result, indent=2, ensure_ascii=False))
        return
    print_errors(found.response)
    print_objects(found.objects)
    print_references(found.references)
    if found.accepted and not found.references and not any(True for _ in found.objects.entities()):
        click.echo("nothing was found")
