"""Paths of the handlers, for the server and for the platform."""

from __future__ import annotations

CHANGES = "freepool/changes"
SAVE = "freepool/save"
SAVE_ALL = "freepool/save-all"
SAVE_GIT = "freepool/save/git"
SAVE_BUCKET = "freepool/save/bucket"
"""Below the server's own address."""

BUNDLE = "/freepool/bundle"
DESK_CHANGES = "/freepool/changes"
UNPACK = "/freepool/unpack"
"""At the slot's address: no route of the proxy leads there."""
BUNDLE_HEADER = "X-Freepool-Bundle"
"""JSON: numbers `files` and `bytes`, and names `left_out` of `left_out_count` files."""
LEFT_OUT_NAMES = 10
"""Names in that header."""
