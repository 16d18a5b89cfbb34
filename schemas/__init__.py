"""Floor 0: the text of the standards as this project writes it, and the one door by which XML comes in.

`parse` (the hardened parser, with `charset` and `problems`), `validate` (our XSDs, compiled once), `wsdl` (our service
descriptions, addressed for the server that serves them), `namespaces`, and the files themselves under `xsd/`, `wsdl/`
and `codes/`. Nothing here imports another floor, and nothing is ever fetched.
"""
