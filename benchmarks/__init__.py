"""Carnet measured against floors taken in the same run: `./carnet bench`.

A figure is worth something only beside what the same machine, in the same minute, can do at best: W, a constant answer of the
same size from the same HTTP server; S, the bare driver running the same SQL; D, the same rows and bytes made durable without
HTTP. F(a, b) = 1 / (1/a + 1/b) is what one would get by doing both in turn. Shares of F carry over to another machine, rates
do not. `measure.py` is the file to read first.
"""
