"""JupyterHub's configuration file. Settings come from the file that FREEPOOL_SETTINGS names.

Add your own lines at the end: they win.
"""

from spawner.hub.config import configure, use_login
from spawner.settings import load_settings

c = get_config()  # noqa: F821  (JupyterHub puts it there)
settings = load_settings()
configure(c, settings)
use_login(c, settings)
