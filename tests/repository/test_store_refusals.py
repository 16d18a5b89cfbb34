"""What a submission is told when the database does not take it."""

from __future__ import annotations

import pytest

from metadata.vocabulary import ErrorCode
from repository.refusals import of_storage_error
from storage.errors import CommitUncertain, StorageError, StorageUnavailable


@pytest.mark.parametrize(
    ("error", "code", "rule", "remedy"),
    [
        (StorageUnavailable("database is locked"), ErrorCode.XDSRepositoryBusy, "SRV-001", "in a moment"),
        (StorageUnavailable("given up after 6 attempts"), ErrorCode.XDSRepositoryBusy, "SRV-001", "in a moment"),
        (StorageUnavailable("attempt to write a readonly database"), ErrorCode.XDSRepositoryError, "STORE-002", "mended"),
        (StorageUnavailable("database or disk is full"), ErrorCode.XDSRepositoryOutOfResources, "STORE-001", "made room"),
        (CommitUncertain("the connection broke"), ErrorCode.XDSRepositoryError, "STORE-002", "will say if it was"),
        (StorageError("something else is locked"), ErrorCode.XDSRepositoryError, "STORE-002", "mended"),
    ],
)
def test_a_database_that_does_not_take_it(error: StorageError, code: ErrorCode, rule: str, remedy: str) -> None:
    (finding,) = of_storage_error(error).findings
    assert (finding.code, finding.rule) == (code, rule)
    assert remedy in finding.remedy
