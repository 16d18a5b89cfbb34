"""A sandbox of the French domain takes the DMP's messages about records, checks them and shows them."""

from __future__ import annotations

from pathlib import Path

from tests.nist.wire import post, soap_request
from tests.proof import dmp_messages as m
from tests.web.listener import listening


def test_a_sandbox_of_the_french_domain_takes_the_messages_of_the_dmp(tmp_path: Path) -> None:
    with listening(tmp_path / "data", "acme", domain="dmp-fr") as listener:
        page, cx = listener.get("/v/acme/"), m.new_ins()
        assert "/v/acme/dmp/patients" in page and "/v/acme/dmp/habilitations" in page
        assert listener.patient("acme").endswith("&ISO^NH")  # as a message has to name him there (FR-001)
        target = f"{listener.url}/v/acme/dmp/patients"
        for text, codes in ((m.opening(cx, observed=""), ["DMP-004"]), (m.opening(cx), []), (m.opening(cx), ["DMPFound"])):
            answer = post(target, *soap_request(f"{m.V3}:{m.ADD}", text.encode(), target))
            assert m.read_told(m.ADD, answer).codes == codes
        assert "DMP-004" in listener.wait_for("acme", 1)
        right = listener.wait_for("acme", 2)
        assert "DMP-patients" in right and "DMP-00" not in right
