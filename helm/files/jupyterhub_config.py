"""JupyterHub's configuration file in the chart. Values are `hub.config` and `hub.extraConfig`: they win."""

import json
from pathlib import Path

from traitlets.config import Config

from spawner.hub.config import configure, use_crypt_keys, use_login
from spawner.settings import load_settings

OWN = Path(__file__).parent

c = get_config()  # noqa: F821  (JupyterHub puts it there)
settings = load_settings()
configure(c, settings)
c.JupyterHub.upgrade_db = True  # JupyterHub's own tables, after a new version; there is only ever one hub

own = json.loads((OWN / "config.json").read_text())
if "authenticator_class" not in own.get("JupyterHub", {}):
    use_login(c, settings)
for name in ("services", "load_roles"):  # more of them: a list that replaced ours would take desk and steward away
    c.JupyterHub[name].extend(own.get("JupyterHub", {}).pop(name, []))
c.merge(Config(own))
extra = OWN / "extra.py"
exec(compile(extra.read_text(), str(extra), "exec"))  # noqa: S102  (the operator's own lines, with this file's names)
use_crypt_keys(c, settings)
