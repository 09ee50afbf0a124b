"""Coverage-guided fuzzing: a target for each thing that a stranger's bytes get to.

`make fuzz` runs all of them; see docs/topics/security.md. A target is a module of ``targets`` with
one function, ``target(data)``, which raises for whatever must not happen. It needs no fuzzer: the
test suite runs each over its corpus and over every past finding.
"""
