"""One module per command of the program, each with its click command under the name `command`.

`COMMANDS` is what `carnet --help` prints without importing any of them: a command's libraries are loaded when it is used.
"""

from __future__ import annotations

#: Name on the command line -> (module, one line of help). A command whose module is not installed is not listed.
COMMANDS: dict[str, tuple[str, str]] = {
    "serve": ("serve", "Serve a document registry and a document repository."),
    "demo": ("demo", "Start a server, submit, query and retrieve documents, and show each step."),
    "patient": ("patient", "Make patients known to the registry; list and show them."),
    "ins": ("ins", "Compute and check the French national health identifier."),
    "submit": ("submit", "Submit documents to a repository (ITI-41)."),
    "query": ("query", "Ask a registry what it knows (ITI-18)."),
    "get": ("get", "Retrieve documents from a repository (ITI-43)."),
    "partner": ("partner", "Enrol partners of a secured server; list who is enrolled."),
    "pki": ("pki", "A test authority: issue, revoke and list certificates and cards."),
    "conformance": ("conformance", "Prove a server or a client against the standard; check a captured message."),
    "explain": ("explain", "What a rule or an error code means, and how to mend the message."),
    "sample": ("sample", "Write a reproducible set of patients, documents and metadata."),
    "config": ("config", "Print every setting, its value and where it came from."),
    "check-store": ("check_store", "Read every stored byte again; compare registry and repository."),
    "assertion": ("assertion", "Print a signed assertion of who acts (XUA, VIHF)."),
    "audit": ("audit", "Check the audit trail; show a patient who read what."),
    "migrate": ("migrate", "Bring a store to the schema of this program, or back."),
    "bench": ("bench", "Measure the server beside its floors."),
    "test": ("test", "Run the tests of the checkout."),
    "completion": ("completion", "Print the shell completion script for bash, zsh or fish."),
}
