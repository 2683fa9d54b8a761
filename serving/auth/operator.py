"""Accounts that an operator makes, under the rules of everybody's registration."""

import psycopg
from pydantic import ValidationError

from serving.auth import queries
from serving.auth.schemas import Registration
from serving.kit.auth import Passwords
from serving.kit.db import Database, violated
from serving.kit.errors import Invalid

STATEMENT_SECONDS = 15.0


class AccountRefused(ValueError):
    """Why there is no new account, in one line that does not repeat the password."""


async def create_admin(url: str, email: str, password: str, first_name: str, last_name: str) -> None:
    """Make an account with administrator's rights, or none at all.

    Raises:
        AccountRefused: the e-mail is taken, or something given breaks a rule.
    """
    try:
        draft = Registration(email=email, password=password, first_name=first_name, last_name=last_name)
    except ValidationError as exc:
        problems = exc.errors(include_input=False, include_url=False, include_context=False)
        raise AccountRefused("; ".join(f"{problem['loc'][0]}: {problem['msg']}" for problem in problems)) from None
    passwords = Passwords()
    try:
        await passwords.refuse_guessable("password", draft.password, draft)
    except Invalid as exc:
        raise AccountRefused("; ".join(f"{detail.field}: {detail.message}" for detail in exc.details)) from None
    password_hash = await passwords.hashed(draft.password)
    database = Database(url, pool_size=1, statement_timeout=STATEMENT_SECONDS)
    await database.open()
    try:
        async with database.transaction() as run:
            account = await queries.insert(run, draft.email, password_hash, draft.first_name, draft.last_name)
            await queries.make_admin(run, account.id)
    except psycopg.errors.UniqueViolation as exc:
        if violated(exc, "uq_users_email_lower"):
            raise AccountRefused(f"{draft.email} has an account already: `brs admin grant` makes it an admin") from exc
        raise
    finally:
        await database.close()
