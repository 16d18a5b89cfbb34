"""The gate to spyne: declares the services and dispatches their operations. The only file that knows spyne.

spyne parses nothing and writes nothing here. `soap/endpoint.py` has read, checked and validated the request before spyne
sees it, because spyne's own MTOM reader holds the package in memory several times over, its faults are all HTTP 500, and it
logs malformed messages in full. So the protocol below hands over a `Call` and takes back an `Answer`; spyne keeps the
declaration (service classes, operations with the names of ITI TF-2: V.3.2.1.1, one namespace) and the dispatch.

Cost of spyne's machinery per call on CPython 3.11, measured by `tests/soap/test_service.py::test_cost_of_dispatch`: about
20 us, against 0.3 us for a dictionary (spyne untouched: 70 us and 25 cyclic objects for the collector at every call, which show
as pauses under load; `_Context` and `_take_apart` are what the difference is made of). An ITI-18 has about 100 us for everything
beside parse and SQL, so the three transactions that carry the load, ITI-18, ITI-41 and ITI-43, go straight to their handler
(`DIRECT`); all others are dispatched by spyne. Both ways call the same handler with the same `Call`.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
import warnings
from collections.abc import Mapping
from typing import Any

from metadata.vocabulary import Actor, Transaction
from schemas.namespaces import XDS
from soap.addressing import BODY
from soap.call import Answer, Call, Handler


class _SixMoves:
    """Finder for `spyne.util.six.moves.*`: the copy of six inside spyne 2.14 knows no way to be imported from Python 3.12 on."""

    _NAME = "spyne.util.six.moves"

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name != cls._NAME and not name.startswith(cls._NAME + "."):
            return None
        # spyne's own copy knows the module and can load it; only the way by which Python asks for it has changed.
        module = sys.modules["spyne.util.six"]._importer.load_module(name)
        return importlib.machinery.ModuleSpec(name, _Ready(module), is_package=True)


class _Ready(importlib.abc.Loader):
    """Loader of a module that is there already."""

    def __init__(self, module: types.ModuleType) -> None:
        self._module = module
        self._spec = getattr(module, "__spec__", None)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return self._module

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing is left to do but to give a module of the standard library its own description back."""
        module.__spec__ = self._spec


def _prepare_import() -> None:
    """spyne 2.14 on Python 3.12 and 3.13: its copy of six by `_SixMoves`, `cgi` (gone in 3.13) by legacy-cgi."""
    if sys.version_info >= (3, 12) and _SixMoves not in sys.meta_path:
        sys.meta_path.insert(0, _SixMoves)


_prepare_import()
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from spyne.application import Application
    from spyne.context import MethodContext
    from spyne.decorator import rpc
    from spyne.model.primitive import AnyXml
    from spyne.protocol.soap.soap12 import Soap12
    from spyne.server._base import ServerBase
    from spyne.service import ServiceBase

#: Transactions that carry the load and need no second dispatch.
DIRECT = frozenset({Transaction.ITI_18, Transaction.ITI_41, Transaction.ITI_43})

#: Name of each operation, without the actor (ITI TF-2: V.3.2.1.1).
OPERATION: dict[Transaction, str] = {
    Transaction.ITI_18: "RegistryStoredQuery",
    Transaction.ITI_41: "ProvideAndRegisterDocumentSet-b",
    Transaction.ITI_42: "RegisterDocumentSet-b",
    Transaction.ITI_43: "RetrieveDocumentSet",
    Transaction.ITI_44: "PatientIdentityFeedHL7V3",
    Transaction.ITI_51: "MultiPatientStoredQuery",
    Transaction.ITI_57: "UpdateDocumentSet",
    Transaction.ITI_61: "RegisterOnDemandDocumentEntry",
    Transaction.ITI_62: "DeleteDocumentSet",
    Transaction.ITI_86: "RemoveDocuments",
    Transaction.ITI_92: "RestrictedUpdateDocumentSet",
    Transaction.DMP_PATIENTS: "GestionDossierPatientPartage",
    Transaction.DMP_HABILITATIONS: "Habilitations",
}

_ACTOR = {Actor.REGISTRY: "DocumentRegistry", Actor.REPOSITORY: "DocumentRepository"}


def operation_name(transaction: Transaction) -> str:
    """`DocumentRegistry_RegistryStoredQuery`."""
    return f"{_ACTOR[transaction.actor]}_{OPERATION[transaction]}"


class _Understood(Soap12):  # type: ignore[misc]
    """A protocol whose message is a `Call`, understood already."""

    def create_in_document(self, ctx: Any, charset: str | None = None) -> None:
        call: Call = ctx.udc.call
        # An empty id map keeps spyne from walking the tree: every ebRIM object has an `id`.
        ctx.in_document = (call.body, {})

    def decompose_incoming_envelope(self, ctx: Any, message: str = Soap12.REQUEST) -> None:
        # Not by body element: four transactions share lcm:SubmitObjectsRequest.
        ctx.in_header_doc = None
        ctx.in_body_doc = ctx.udc.call.body
        ctx.method_request_string = f"{{{XDS}}}{operation_name(ctx.udc.call.transaction)}"

    def deserialize(self, ctx: Any, message: str) -> None:
        ctx.in_object = ctx.udc.call


class _Application(Application):  # type: ignore[misc]
    def call_wrapper(self, ctx: Any) -> Any:
        """Runs the operation. What it raises is carried past spyne, which would log it and make a fault of its own."""
        try:
            return super().call_wrapper(ctx)
        except BaseException as error:
            ctx.udc.error = error
            return None


class _Outcome:
    """What travels beside spyne's context: the call in, an exception out."""

    __slots__ = ("call", "error")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.error: BaseException | None = None


class _Context(MethodContext):  # type: ignore[misc]
    """spyne's context without a transport of its own and without a check of every attribute that is set."""

    TransportContext = None
    __setattr__ = object.__setattr__

    def fire_event(self, event: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens; spyne would make a cyclic empty set to find that out, at every event."""


class _Server(ServerBase):  # type: ignore[misc]
    """A spyne transport without a wire: the wire is soap/endpoint.py."""

    transport = "urn:carnet:endpoint"


class Services:
    """The services of the enabled transactions: spyne's declaration of them, and `dispatch`."""

    def __init__(self, handlers: Mapping[Transaction, Handler]) -> None:
        self._direct = {t: h for t, h in handlers.items() if t in DIRECT}
        services: list[Any] = [
            _declare(name, {t: h for t, h in handlers.items() if t.actor is actor})
            for actor, name in _ACTOR.items()
            if any(t.actor is actor for t in handlers)
        ]
        self._application = _Application(services, tns=XDS, name="Carnet", in_protocol=_Understood(), out_protocol=Soap12())
        self._server = _Server(self._application)

    @property
    def operations(self) -> list[str]:
        """Names of the declared operations."""
        return sorted(key.rpartition("}")[2] for key in self._application.interface.service_method_map)

    def dispatch(self, call: Call) -> Answer:
        """Runs the operation of `call.transaction`. Raises whatever its handler raises."""
        handler = self._direct.get(call.transaction)
        return handler(call) if handler is not None else self.dispatch_by_spyne(call)

    def dispatch_by_spyne(self, call: Call) -> Answer:
        """The same through spyne, for every transaction."""
        outcome = _Outcome(call)
        start = _Context(self._server, MethodContext.SERVER)
        start.udc = outcome
        context = start
        try:
            (context,) = self._server.generate_contexts(start)
            if context.out_error is None:
                self._server.get_in_object(context)
                self._server.get_out_object(context)
            if outcome.error is not None:
                raise outcome.error
            if context.out_error is not None:
                raise LookupError(f"{operation_name(call.transaction)} is not declared: {context.out_error}")
            answer: Answer = context.out_object[0]
            return answer
        finally:
            _take_apart(start)
            _take_apart(context)


def _declare(name: str, handlers: Mapping[Transaction, Handler]) -> type[Any]:
    """A spyne service class with one operation for each transaction of an actor."""
    return type(name, (ServiceBase,), {f"operation_{t.code[4:]}": _operation(t, handler) for t, handler in handlers.items()})


def _operation(transaction: Transaction, handler: Handler) -> Any:
    def operation(ctx: Any, call: Call) -> Answer:
        return handler(call)

    name = operation_name(transaction)
    operation.__name__ = name
    operation.__doc__ = f"{transaction.code}, {BODY[transaction][0]}"
    return rpc(AnyXml, _returns=AnyXml, _body_style="bare", _operation_name=name, _out_message_name=f"{{{XDS}}}{name}Response")(
        operation
    )


def _take_apart(context: Any) -> None:
    """Breaks the cycles between a context and its parts, so that reference counting frees them at once."""
    for part in (context.__dict__.get("inprot_ctx"), context.__dict__.get("outprot_ctx"), context.__dict__.get("event"), context):
        if part is not None:
            part.__dict__.clear()
