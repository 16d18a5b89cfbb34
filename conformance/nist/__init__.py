"""NIST test plans of the XDS toolkit: what a folder of them holds, run against a target, judged."""
