"""A run filter for the TensorBoard tabs that do not ignore case, which finds the same runs there.

Time Series ignores case; Scalars, Histograms and Distributions do not (`tensorboard/components/tf_dashboard_common/
tf-multi-checkbox.ts`). JavaScript has no flag inside a pattern for it that every browser knows, so that each letter is
written in both cases instead: `[dD][nN][nN]`. That is only done where it makes a difference to the runs there are.
"""

import re
from collections.abc import Sequence

import regress

_TOKEN = re.compile(
    r"\\(?:c[A-Za-z]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|k<[^>]*>|.)"  # an escape
    r"|\(\?<(?![=!])[^>]*>"  # the beginning of a named group
    r"|\[(?:\\.|[^\]\\])*\]"  # a class of characters
    r"|.",
    re.DOTALL,
)
_IN_CLASS = re.compile(r"\\(?:c[A-Za-z]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|.)|([A-Za-z])-([A-Za-z])|.", re.DOTALL)


def for_case_sensitive_tabs(pattern: str, names: Sequence[str]) -> str:
    """The pattern with which a tab that does not ignore case shows those of `names` that `pattern` matches otherwise.

    Args:
        pattern: a valid regular expression of JavaScript.
        names: the runs there are.
    """
    wanted = _matching(regress.Regex(pattern, "i"), names)
    both = ignoring_case(pattern)
    for candidate in (pattern, both):
        if _matching(regress.Regex(candidate), names) == wanted:
            return candidate
    ends = [name.rpartition("-")[2] for name in wanted]
    by_number = f"-({'|'.join(ends)})$"
    return by_number if ends and _matching(regress.Regex(by_number), names) == wanted else both


def _matching(regex: regress.Regex, names: Sequence[str]) -> list[str]:
    return [name for name in names if regex.find(name) is not None]


def ignoring_case(pattern: str) -> str:
    """A pattern with each letter in both cases, where it stands for itself."""
    return _TOKEN.sub(lambda match: _both_cases(match[0]), pattern)


def _both_cases(token: str) -> str:
    if token.startswith("[") and len(token) > 1:
        return f"[{_IN_CLASS.sub(_class_in_both_cases, token[1:-1])}]"
    return f"[{token}{token.swapcase()}]" if len(token) == 1 and token.isascii() and token.isalpha() else token


def _class_in_both_cases(match: re.Match[str]) -> str:
    token = match[0]
    if match[1] is not None:
        return token + token.swapcase() if match[1].islower() == match[2].islower() else token
    return token + token.swapcase() if len(token) == 1 and token.isascii() and token.isalpha() else token
