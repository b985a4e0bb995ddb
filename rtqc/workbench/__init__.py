"""The web server of the dashboard, where flags are reviewed: who may look, who may decide, and a record of both.

The only room that knows uvicorn, Starlette and argon2.
"""

from rtqc.workbench.accounts import Account, AccountError, Accounts, Role
from rtqc.workbench.audit import AuditError, AuditTrail
from rtqc.workbench.server import ServerError, ServerSettings, WebServer

__all__ = [
    "Account",
    "AccountError",
    "Accounts",
    "AuditError",
    "AuditTrail",
    "Role",
    "ServerError",
    "ServerSettings",
    "WebServer",
]
