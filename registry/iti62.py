"""ITI-62 Remove Metadata: objects leave the registry together, or none does (ITI RMD: 3.62)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from metadata.rules.removal import Removal, RemovalPolicy, check
from metadata.rules.rule import Refused
from metadata.vocabulary import ResponseStatus
from registry.codes import CodeBook
from registry.facts import SqlFacts
from registry.removal import RemovalState, take_away
from registry.rights_acting import ACTING
from soap.body.registry_response import build_registry_response
from soap.body.remove import parse_remove_objects
from soap.call import Answer, Call
from storage.crash import crash_point
from storage.database import Connection, Database


@dataclass(frozen=True, slots=True)
class RemovalOptions:
    """What removing means here: refused, hidden (kept where no query looks) or deleted."""

    policy: RemovalPolicy = RemovalPolicy.HIDE


class RemoveMetadata:
    """The handler of ITI-62. One object serves all threads."""

    def __init__(self, database: Database, codes: CodeBook, options: RemovalOptions | None = None) -> None:
        self._database = database
        self._codes = codes
        self._options = options or RemovalOptions()

    def __call__(self, call: Call) -> Answer:
        """lcm:RemoveObjectsRequest in, rs:RegistryResponse out. Raises `Refused` with every finding."""
        request = parse_remove_objects(call.body)
        self.remove(Removal(request.ids, request.adhocQuery, request.deletionScope))
        return Answer([build_registry_response(ResponseStatus.SUCCESS)], ResponseStatus.SUCCESS)

    def remove(self, removal: Removal) -> None:
        """Remove everything that is named. Raises `Refused`; nothing is changed then."""
        policy, acting = self._options.policy, ACTING.get()

        def work(connection: Connection) -> None:
            facts = SqlFacts(connection, self._codes)
            state = RemovalState(connection, facts, removal.ids)
            crash_point("facts-read")
            asked = removal
            if acting is not None:
                facts.conceal(acting, removal.ids)
                asked = replace(removal, ids=tuple(acting.widened(connection, state, removal.ids)))
            findings = check(asked, state, policy)
            if findings:
                raise Refused(findings if acting is None else acting.told(connection, findings, removal.ids))
            objects = [found for id in dict.fromkeys(asked.ids) if (found := state.find(id)) is not None]
            if acting is not None:
                acting.judge_removal(connection, objects)
            take_away(connection, facts, objects, keep=policy is RemovalPolicy.HIDE)

        self._database.write(work)
