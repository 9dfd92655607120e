"""A demo cloud for trials and tests of the paid path. It implements Alibaba Cloud's protocols on loopback; no real
money is spent.

It checks signatures, roles, external ids and policies like the real cloud, has a virtual clock, bills by the minute,
and can inject every known kind of failure. It shares no code with the rest of Freepool, so that a mistake there is not
repeated here. ASSUMED marks behaviour that Alibaba Cloud does not document.
"""
