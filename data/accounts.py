"""What an operator may do to an account, straight in the database."""

from data.database import connect


class NoSuchAccount(LookupError):
    """One line that names the e-mail address that was asked for."""


def change_account(url: str, email: str, *, is_admin: bool | None = None, is_active: bool | None = None) -> None:
    """Set what is not ``None``. The service looks at the account with every request, so it holds at once.

    Raises:
        NoSuchAccount: nobody has that e-mail address, whatever its case.
    """
    with connect(url) as connection:
        changed = connection.execute(
            "UPDATE users SET is_admin = coalesce(%s, is_admin), is_active = coalesce(%s, is_active),"
            " updated_at = clock_timestamp() WHERE lower(email) = lower(%s)",
            (is_admin, is_active, email),
        ).rowcount
        if not changed:
            raise NoSuchAccount(f"there is no account with the e-mail address {email}")
