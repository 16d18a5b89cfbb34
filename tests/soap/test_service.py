"""The gate to spyne: both ways of dispatch reach the same handler with the same call, and bring back what it gives or raises."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

import pytest
from lxml import etree

from metadata.rules.rule import Refused
from metadata.vocabulary import ResponseStatus, Transaction
from soap.addressing import BODY
from soap.call import Answer, Call
from soap.fault import Fault, sender
from soap.service import DIRECT, Services, operation_name

ALL = [t for t in Transaction if t.action]


def call(transaction: Transaction) -> Call:
    return Call(transaction, etree.Element(BODY[transaction][0], id="x"))


def serving(handler: Callable[[Call], Answer]) -> Services:
    return Services(dict.fromkeys(ALL, handler))


@pytest.mark.parametrize("transaction", ALL, ids=lambda t: t.code)
def test_each_operation_reaches_its_handler(transaction: Transaction) -> None:
    seen: list[Call] = []
    answer = Answer([b"<x/>"], ResponseStatus.SUCCESS)

    def handler(call: Call) -> Answer:
        seen.append(call)
        return answer

    services = serving(handler)
    sent = call(transaction)
    assert services.dispatch(sent) is answer
    assert services.dispatch_by_spyne(sent) is answer
    assert seen == [sent, sent]


@pytest.mark.parametrize("error", [Refused([]), sender("no"), ZeroDivisionError("x"), MemoryError()])
@pytest.mark.parametrize("transaction", [Transaction.ITI_18, Transaction.ITI_42])
def test_what_a_handler_raises_comes_out_as_it_is(
    error: Exception, transaction: Transaction, caplog: pytest.LogCaptureFixture
) -> None:
    def handler(call: Call) -> Answer:
        raise error

    services = serving(handler)
    caplog.clear()
    for dispatch in (services.dispatch, services.dispatch_by_spyne):
        with pytest.raises(type(error)) as caught:
            dispatch(call(transaction))
        assert caught.value is error
    assert not caplog.records


def test_names_of_the_operations() -> None:
    """ITI TF-2: V.3.2.1.1."""
    names = serving(lambda call: Answer([], ResponseStatus.SUCCESS)).operations
    assert names == sorted(operation_name(t) for t in ALL)
    assert {
        "DocumentRegistry_RegistryStoredQuery",
        "DocumentRegistry_RegisterDocumentSet-b",
        "DocumentRepository_ProvideAndRegisterDocumentSet-b",
        "DocumentRepository_RetrieveDocumentSet",
    } <= set(names)


def test_a_transaction_that_is_not_served() -> None:
    services = Services({Transaction.ITI_42: lambda call: Answer([], ResponseStatus.SUCCESS)})
    for transaction in (Transaction.ITI_57, Transaction.ITI_18):
        with pytest.raises((LookupError, Fault)):
            services.dispatch(call(transaction))


def test_a_dispatch_leaves_nothing_for_the_collector() -> None:
    services = serving(lambda call: Answer([b"<x/>"], ResponseStatus.SUCCESS))
    sent = call(Transaction.ITI_42)
    services.dispatch_by_spyne(sent)
    gc.collect()
    gc.disable()
    try:
        for _ in range(100):
            services.dispatch_by_spyne(sent)
        left = gc.collect()
    finally:
        gc.enable()
    assert left == 0


def test_cost_of_dispatch(capsys: pytest.CaptureFixture[str]) -> None:
    """Printed, with -s, and never judged."""
    services = serving(lambda call: Answer([b"<x/>"], ResponseStatus.SUCCESS))
    assert frozenset({Transaction.ITI_18, Transaction.ITI_41, Transaction.ITI_43}) == DIRECT
    rounds = 500
    for name, dispatch, transaction in (
        ("direct", services.dispatch, Transaction.ITI_18),
        ("by spyne", services.dispatch_by_spyne, Transaction.ITI_18),
    ):
        sent = call(transaction)
        started = time.perf_counter()
        for _ in range(rounds):
            dispatch(sent)
        micros = (time.perf_counter() - started) / rounds * 1e6
        with capsys.disabled():
            print(f" {name} {micros:.1f} us", end="")
