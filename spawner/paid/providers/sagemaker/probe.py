"""Check whether a user's AWS role may be used."""

from __future__ import annotations

from spawner.paid.providers import assume_role_checks
from spawner.paid.providers.base import Account, AuthLost, Probe, Unavailable
from spawner.paid.providers.calls import Expired, Use
from spawner.paid.providers.messages import say
from spawner.paid.providers.sagemaker.errors import translate
from spawner.paid.providers.sagemaker.sessions import Aws


def probe(aws: Aws, account: Account) -> Probe:
    """Run all checks; blocks. Changes nothing in AWS. Raises `ProviderError` where AWS does not answer a check."""
    session = assume_role_checks.check(
        account,
        lambda external_id: aws.assume(account, Use.READ, external_id=external_id, until=0),
        lambda assumed: aws.identity(assumed, account.region),
    )
    if isinstance(session, Probe):
        return session
    try:
        session.sagemaker.list_notebook_instances(MaxResults=1)
    except Exception as error:
        failed = translate(error, mutates=False, secrets=session.secrets)
    else:
        return Probe(account.account_id)
    if isinstance(failed, AuthLost):
        return assume_role_checks.refused(
            account.account_id, assume_role_checks.CANNOT_READ, action="sagemaker:ListNotebookInstances"
        )
    raise say(Unavailable, code="SessionExpired") if isinstance(failed, Expired) else failed
