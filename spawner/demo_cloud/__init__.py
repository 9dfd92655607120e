"""A cloud of one's own to try the paid path on: it speaks Alibaba Cloud's protocols on loopback, and no money moves.

It checks what the real one checks (signatures, roles, external ids, policies), keeps its own time, bills by the
minute, and can be told to fail in every way that we know of. It shares no code with the rest of Freepool, so that a
mistake there is not repeated here. Lines marked ASSUMED are documented nowhere.
"""
