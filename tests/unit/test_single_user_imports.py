"""The agent imports JupyterHub's single-user server without the hub's database, and breaks no later import of it."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

PRELOADED = """
    import gc, sys
    import spawner.instance.agent as agent
    agent.preload()
    assert "jupyterhub.singleuser.extension" in sys.modules
"""


def run(program: str) -> str:
    """What a fresh Python prints."""
    done = subprocess.run(
        [sys.executable, "-c", dedent(program)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_a_warm_instance_has_no_database_library_in_its_memory() -> None:
    heavy = "sqlalchemy", "alembic", "mako", "jupyterhub.orm", "jupyterhub.handlers"
    found = run(f"{PRELOADED}    print(*(name for name in {heavy} if name in sys.modules), gc.isenabled())")
    assert found.split() == ["True"]


def test_what_is_imported_later_is_the_real_thing() -> None:
    run(
        f"""{PRELOADED}
    import jupyterhub.log, jupyterhub.roles, jupyterhub.scopes, jupyterhub.utils
    import jupyterhub.orm, jupyterhub.handlers.pages, sqlalchemy, sqlalchemy.exc, sqlalchemy.orm
    assert jupyterhub.handlers.pages.HealthCheckHandler.get
    assert issubclass(sqlalchemy.exc.OperationalError, sqlalchemy.exc.SQLAlchemyError)
    assert jupyterhub.scopes.orm.User is jupyterhub.orm.User
    assert jupyterhub.scopes.sa.inspect is sqlalchemy.inspect
    assert str(jupyterhub.roles.func.count(jupyterhub.orm.User.id)) == "count(users.id)"
    assert not hasattr(jupyterhub.scopes.orm, "no_such_name")
    """
    )


def test_the_names_that_modules_hold_lead_to_the_real_modules_first() -> None:
    run(f"{PRELOADED}    import jupyterhub.scopes; assert jupyterhub.scopes.orm.User.__table__.name == 'users'")


def test_a_jupyterhub_that_needs_the_database_at_its_import_gets_it() -> None:
    said = run(
        """
        import logging, sys
        logging.basicConfig(level=logging.INFO)
        from spawner.instance import single_user
        single_user.NAMES["sqlalchemy"].clear()
        single_user.import_single_user()
        import jupyterhub.roles, sqlalchemy
        assert jupyterhub.roles.func is sqlalchemy.func
        assert "jupyterhub.singleuser.extension" in sys.modules
        """
    )
    assert "imported with the database: cannot import name 'func'" in said


def test_the_server_knows_the_options_that_it_is_started_with() -> None:
    """It compares each unknown one with all that there are, and warns nine times."""
    run(
        """
        from jupyter_client.manager import KernelManager
        from jupyter_client.restarter import KernelRestarter
        from jupyter_lsp.manager import LanguageServerManager
        from jupyter_server.serverapp import ServerApp
        from jupyterlab.labapp import LabApp
        from spawner.instance.arguments import server_arguments
        known = (KernelManager, KernelRestarter, LanguageServerManager, ServerApp, LabApp)
        kinds = {kind.__name__: kind for kind in known}
        for argument in server_arguments("/w"):
            kind, option = argument.removeprefix("--").split("=")[0].split(".")
            assert option in kinds[kind].class_traits(config=True), option
        """
    )
