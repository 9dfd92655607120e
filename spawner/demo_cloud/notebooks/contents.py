"""The models of Jupyter's Contents API: https://jupyter-server.readthedocs.io."""

from __future__ import annotations

import base64
import json
import mimetypes
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from spawner.demo_cloud.notebooks.files import File, Files

LAST_CHUNK = -1


class NoSuchFile(Exception):
    """There is no file or folder with this path."""


def read(files: Files, instance: str, path: str, query: Mapping[str, str], now: datetime) -> dict[str, Any]:
    """The model of a file or folder; without its content for `content=0`."""
    file = File("", None, now) if path == "" else files.get(instance, path)
    if file is None:
        raise NoSuchFile
    model = _model(file)
    if query.get("content", "1") == "0":
        return model
    if file.data is None:
        return {**model, "format": "json", "content": [_model(entry) for entry in files.within(instance, path)]}
    if model["type"] == "notebook" and query.get("type") != "file":
        return {**model, "format": "json", "content": json.loads(file.data)}
    try:
        if query.get("format") == "base64":
            raise ValueError
        return {**model, "type": "file", "format": "text", "content": file.data.decode()}
    except ValueError:
        return {**model, "type": "file", "format": "base64", "content": base64.b64encode(file.data).decode()}


def write(
    files: Files, instance: str, path: str, model: Mapping[str, Any], now: datetime
) -> tuple[dict[str, Any], bool]:
    """Save a model; returns the saved model and whether the file is new. Large files come in chunks: 1, 2, …, -1."""
    parts = path.split("/")
    if not path or any(part in ("", ".", "..") for part in parts):
        raise ValueError("not a path")
    parent = "/".join(parts[:-1])
    folder = files.get(instance, parent) if parent else None
    if parent and (folder is None or folder.data is not None):
        raise NoSuchFile
    before, chunk = files.get(instance, path), model.get("chunk")
    if model["type"] == "directory":
        return _model(before or files.put(instance, path, None, now)), before is None
    data = _data(model)
    if chunk not in (None, 1):
        if before is None or before.data is None:
            raise NoSuchFile
        data = before.data + data
    return _model(files.put(instance, path, data, now)), before is None


def _data(model: Mapping[str, Any]) -> bytes:
    if model["type"] == "notebook":
        return json.dumps(model["content"], ensure_ascii=False).encode()
    if model.get("format") == "base64":
        return base64.b64decode(model["content"])
    return str(model["content"]).encode()


def _model(file: File) -> dict[str, Any]:
    name = file.path.rsplit("/", 1)[-1]
    kind = "directory" if file.data is None else "notebook" if name.endswith(".ipynb") else "file"
    return {
        "name": name,
        "path": file.path,
        "type": kind,
        "created": file.modified.isoformat(),
        "last_modified": file.modified.isoformat(),
        "size": None if file.data is None else len(file.data),
        "writable": True,
        "mimetype": mimetypes.guess_type(name)[0] if kind == "file" else None,
        "format": None,
        "content": None,
    }
