"""Who a patient is, as far as a record keeps it: names, birth, sex, how to reach them, a legal representative.

The fields are those of HL7 v3's patientPerson that the French DMP uses (PRPA_MT201301UV02); texts stand as they were sent. A
record keeps them as JSON (`to_json`, `of_json`); values that are empty are left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

#: HL7 EntityNamePartQualifier of a family name: at birth, and in use.
BIRTH, USED = "BR", "SP"


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a name or an address: `kind` is the element (`family`, `city`), `qualifier` that of a name."""

    kind: str
    text: str
    qualifier: str = ""


@dataclass(frozen=True, slots=True)
class Telecom:
    """`value` is a URL (`tel:`, `mailto:`), `use` its code (HP, MC) or empty."""

    value: str
    use: str = ""


@dataclass(frozen=True, slots=True)
class Representative:
    """A legal representative: `code` and `system` say which (FTH, MTH), the rest as of the patient."""

    code: str
    system: str = ""
    name: tuple[Part, ...] = ()
    telecoms: tuple[Telecom, ...] = ()
    address: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Demographics:
    """A person. `birth` is YYYYMMDD or as it was sent, `gender` a code (M, F); pieces stand in the order of the message."""

    name: tuple[Part, ...] = ()
    telecoms: tuple[Telecom, ...] = ()
    gender: str = ""
    birth: str = ""
    address: tuple[Part, ...] = ()
    representatives: tuple[Representative, ...] = ()

    def changed_by(self, other: Demographics) -> Demographics:
        """This person with whatever `other` says; what `other` leaves out stays."""
        said = {one.name: value for one in fields(other) if (value := getattr(other, one.name))}
        return Demographics(**{**{one.name: getattr(self, one.name) for one in fields(self)}, **said})


def to_json(person: Demographics) -> str:
    """The reverse of `of_json`."""
    return json.dumps(_told(person), ensure_ascii=False)


def of_json(text: str) -> Demographics:
    """Of what `to_json` wrote. Raises ValueError, KeyError or TypeError for anything else."""
    said: dict[str, Any] = json.loads(text)
    representatives = [Representative(**{**one, **_read(one)}) for one in said.get("representatives", ())]
    return Demographics(**{**said, **_read(said), "representatives": tuple(representatives)})


def _told(thing: Any) -> Any:
    """Dataclasses as objects, tuples as lists."""
    if isinstance(thing, tuple):
        return [_told(one) for one in thing]
    if isinstance(thing, str):
        return thing
    return {one.name: _told(value) for one in fields(thing) if (value := getattr(thing, one.name))}


def _read(said: Mapping[str, Any]) -> dict[str, Any]:
    """The pieces that name, telecoms and address are made of."""
    return {
        "name": tuple(Part(**one) for one in said.get("name", ())),
        "telecoms": tuple(Telecom(**one) for one in said.get("telecoms", ())),
        "address": tuple(Part(**one) for one in said.get("address", ())),
    }
