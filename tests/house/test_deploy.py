"""What `deploy/` ships: systemd reads the unit and finds it closed; both name settings and options that there are."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from checkout import ROOT, text

from server.settings import TABLE

VARIABLES = {row.variable for row in TABLE.values()}
UNIT = text("deploy/carnet.service")
CONTAINER = text("deploy/Containerfile")
NGINX = text("deploy/nginx.conf")


@pytest.mark.parametrize("content", [UNIT, CONTAINER], ids=["unit", "container"])
def test_every_variable_names_a_setting(content: str) -> None:
    named = set(re.findall(r"\b(CARNET_[A-Z_]+)=", content))
    assert named and named <= VARIABLES


def test_what_the_configuration_of_nginx_names_is_there() -> None:
    named = re.findall(r"--set ([a-z_]+\.[a-z_]+)=", NGINX)
    assert named and set(named) <= set(TABLE)
    options = set(re.findall(r"(--[a-z]+)\b", NGINX)) - {"--set"}
    assert options == {"--secure", "--socket"}
    assert "RuntimeDirectory=carnet" in UNIT and "unix:/run/carnet/carnet.sock" in NGINX


def test_nginx_waits_for_a_header_as_long_as_the_server_would_and_asks_for_a_certificate() -> None:
    seconds = re.search(r"client_header_timeout\s+(\d+)s;", NGINX)
    assert seconds and int(seconds[1]) == TABLE["server.header_seconds"].default
    assert re.search(r"ssl_verify_client\s+on;", NGINX) and re.search(r"ssl_protocols\s+TLSv1.2 TLSv1.3;", NGINX)
    body = re.search(r"^    client_max_body_size\s+(\d+)m;", NGINX, re.MULTILINE)
    assert body and int(body[1]) << 20 == TABLE["limits.root_part"].default


def test_what_the_container_copies_is_there() -> None:
    sources = [line.split()[1] for line in CONTAINER.splitlines() if line.startswith("COPY ") and "--from" not in line]
    assert sources and all((ROOT / source).exists() for source in sources)
    assert "--require-hashes" in CONTAINER and "\nUSER carnet\n" in CONTAINER


def test_the_service_is_given_longer_to_end_than_it_takes_to_drain() -> None:
    match = re.search(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)
    assert match and int(match[1]) > TABLE["server.drain_seconds"].default


def test_systemd_reads_the_unit_and_finds_it_closed(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if not program:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "carnet.service"
    # verify wants the program to be there; nothing is started.
    unit.write_text(UNIT.replace("/opt/carnet/bin/carnet", shutil.which("true") or "/bin/true"), encoding="utf-8")
    done = subprocess.run([program, "verify", str(unit)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "carnet.service:" not in done.stderr, done.stderr
    done = subprocess.run(
        [program, "security", "--offline=true", "--no-pager", str(unit)], capture_output=True, text=True, timeout=300
    )
    exposure = re.search(r"exposure level for carnet\.service: ([\d.]+)", done.stdout)
    assert exposure, done.stdout + done.stderr
    assert float(exposure[1]) < 2.0
