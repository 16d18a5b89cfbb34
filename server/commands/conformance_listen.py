"""`carnet conformance listen`: sandboxes to which a vendor's software sends, and pages on which the vendor sees what came."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from server.commands.options import UsageError


@click.command("listen")
@click.option(
    "--data", type=click.Path(path_type=Path), default=Path("carnet-sandboxes"), show_default=True, help="Folder that holds them."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8090, show_default=True, help="Port; 0 is any free one.")
@click.option("--vendor", "vendors", multiple=True, metavar="NAME", help="Open a sandbox of this name; repeatable.")
@click.option(
    "--domain", metavar="NAME", help="Judge by this affinity domain (ihe, dmp-fr); default: that of carnet.toml, or ihe."
)
@click.option("--domain-folder", metavar="DIR", help="Folder of affinity domains of your own.")
@click.option("--public-url", metavar="URL", default="", help="Where vendors reach this listener, by a name or through a proxy.")
def command(
    data: Path, host: str, port: int, vendors: Sequence[str], domain: str | None, domain_folder: str | None, public_url: str
) -> None:  # fmt: skip
    """Open a sandbox per vendor: own address, own store, own patients.

    What software sends to /v/NAME/xds/... is kept whole, answered by the real server, and checked; the page /v/NAME/ shows it as
    it arrives, with what is expected and already shown.
    """
    from metadata.domain_reading import DomainError
    from server import http
    from server.admission import WSGIApp
    from server.domain import load_domain
    from server.sandboxes import NAME, Sandboxes

    wrong = [name for name in vendors if not NAME.fullmatch(name)]
    if wrong:
        rule = "1 to 40 letters, digits, - or _, beginning with a letter or digit"
        raise UsageError(f"--vendor {', '.join(wrong)}: a name is {rule}")
    try:
        load_domain(domain or "ihe", domain_folder or "")
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        listener = http.listen(host, port)
    except DomainError as error:
        raise UsageError(f"--domain: {error}") from None
    except OSError as error:
        place = error.filename or f"{host}:{port}"
        raise UsageError(f"{place}: {error.strerror}; choose another with --data, --host, --port") from None
    base = public_url.rstrip("/") or f"http://{host}:{listener.getsockname()[1]}"
    names = tuple(vendors) or ("demo",)
    gc.freeze()

    def load() -> WSGIApp:
        logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
        for loud in ("spyne", "alembic"):
            logging.getLogger(loud).setLevel(logging.ERROR)
        sandboxes = Sandboxes(data, base, (domain, domain_folder), (host,))
        for name in names:
            sandboxes.open(name)
        return sandboxes

    def ready() -> None:
        click.echo("Sandboxes are open.")
        for name in names:
            click.echo(f"  {name:<12} {base}/v/{name}/   services at {base}/v/{name}/xds/...")
        click.echo(f"  all          {base}/\n  kept in      {data}")

    # Streams of events hold threads: they are bounded below what requests need.
    http.serve(listener, load, http.HttpOptions(threads=40, busy=32, drain_seconds=2), ready)
