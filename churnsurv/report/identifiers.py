"""Identifiers of loans and customers: kept out of a report, or put into it as hashes that only the lender can join back."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from churnsurv.exceptions import DataError
from churnsurv.messages import counted
from churnsurv.small_counts import is_small

if TYPE_CHECKING:
    from churnsurv.report.analysis import Analysis

#: least length of the secret: identifiers are few enough to be tried one by one, the secret must not be
LEAST_SALT = 16
#: hexadecimal digits of a hashed id; 64 bits: among a million loans two share one with a probability below 1 in 10⁷
DIGITS = 16
_SEPARATOR, _WORD = re.compile(r"[\s'\",;:()\[\]]"), re.compile(r"[^\s'\",;:()\[\]]+")
_COUNT = re.compile(r"(?<![\d.,-])\b(\d+|one) (loans?|customers?|events?|exits?|defaults?)\b(?! per)", re.IGNORECASE)
#: what stands before the number of a loan or customer, or before one more of them
_NAMES_ONE = re.compile(
    r"\b(loan|customer|id)s?(_id)?['\"]?\s*[=:#]?\s*['\"]?((\d+|\[id\])['\"]?(,| and| or)\s*['\"]?)*$", re.IGNORECASE
)


def hashed_ids(ids: Iterable[Any], salt: str) -> list[str]:
    """Hash identifiers with a secret, so that only who has the secret can join them back.

    Parameters
    ----------
    ids : iterable
        Identifiers: text, or whole numbers (7, 7.0 and "7" are the same).
    salt : str
        The secret, of 16 characters or more, as held by the environment variable of ``[early_warning] salt_variable``.

    Returns
    -------
    list of str
        16 hexadecimal digits each: the head of HMAC-SHA256 (Krawczyk, Bellare & Canetti 1997, RFC 2104), in the order of
        `ids`.

    Raises
    ------
    DataError
        The secret is too short; an identifier is missing or a broken number.

    Examples
    --------
    >>> import churnsurv as cs
    >>> cs.report.hashed_ids([1001, "A-7"], "a secret of the lender")
    ['e8c196f1b20b7609', '6e25ca3a2111a599']
    """
    if not isinstance(salt, str) or len(salt) < LEAST_SALT:
        raise DataError(
            f"The secret of the hashed ids must be text of {LEAST_SALT} characters or more: with a shorter one the ids can be "
            'guessed. Make one, e.g. python -c "import secrets; print(secrets.token_hex(32))", and keep it.'
        )
    names = [_name(value) for value in ids]
    missing = sum(name is None for name in names)
    if missing:
        raise DataError(f"{counted(missing, 'identifier')} missing or no whole number: give text or whole numbers.")
    key = salt.encode(errors="surrogatepass")
    return [
        hmac.new(key, str(name).encode(errors="surrogatepass"), hashlib.sha256).hexdigest()[:DIGITS] for name in names
    ]


def _name(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real):
        number = float(value)
        return str(int(number)) if number.is_integer() else None
    return None


def without_ids(text: str, analysis: Analysis) -> str:
    """Give a message without the identifiers of loans and customers, and small counts of them, which a report must not hold.

    Short numbers are identifiers in parentheses, where messages give examples, and after "loan" or "customer"; elsewhere they
    are counts and months.
    """
    frame = analysis.spells.frame
    ids = {str(value) for name in ("loan_id", "customer_id") for value in frame[name].unique()}
    # ids with blanks or punctuation are no words: they are looked for as they are, the longest first
    for name in sorted((i for i in ids if _SEPARATOR.search(i) and i in text), key=len, reverse=True):
        text = text.replace(name, "[id]")

    def hidden(match: re.Match[str]) -> str:
        word, before = match[0].rstrip("."), text[: match.start()]
        inside = before.count("(") > before.count(")") or before.count("[") > before.count("]")
        if word not in ids or (word.isdigit() and len(word) < 6 and not inside and not _NAMES_ONE.search(before)):
            return match[0]
        return "[id]" + match[0][len(word) :]

    smallest = analysis.config.smallest_cell
    return _COUNT.sub(lambda m: _counted(m, smallest), _WORD.sub(hidden, text))


def _counted(match: re.Match[str], smallest: int) -> str:
    """Give a count of a message; one so small that the report hides it, in words."""
    count = 1 if match[1].lower() == "one" else int(match[1].replace(",", ""))
    return f"fewer than {smallest} {match[2].rstrip('s')}s" if is_small(count, smallest) else match[0]
