"""A filter matches the runs that TensorBoard shows for the same pattern, and refuses what a browser refuses."""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence

import pytest

from sweep.errors import FilterError
from sweep.view.filters import LONGEST, compile_filter

NODE = shutil.which("node")
JAVASCRIPT = """
const {patterns, names} = JSON.parse(require("fs").readFileSync(0, "utf8"));
const answers = patterns.map(pattern => {
    try { const regex = new RegExp(pattern, "i"); return names.filter(name => regex.test(name)); }
    catch (error) { return null; }
});
console.log(JSON.stringify(answers));
"""

PATTERNS = r"""
^dnn
^DNN
dnn$
^dnn-
^dnn(?!_)
^(?!dnn)
(?<!broke)-lr
(?<=bs=)32
(?<=bs=\d{2})-
mlp|cnn
^mlp|^dnn
^(mlp|dnn)-
^(?:mlp|dnn)-.*-lr=0\.00
lr=0\.00
bs=3-
bs=3
^(?=.*lr=0\.0)(?=.*bs=3)
(?<family>dnn|mlp)-
(?<b>b)s=\d+.*\k<b>
\k<b>
(\d)\1
-t00\d\d$
\w+_\w+
^\W
\bdnn\b
\Bnn
[[:alpha:]]
[[:alpha:]]+]
[A-Z]
[^a-z0-9=._-]
[]
[^]
[\w-]{30}
\p{L}
\p{L}+
{,2}
n{,2}
n{2}
n{1
{
}
]
\u{2}
\u006e
\x6e
\cA
\8
\_
$
^
n$b
-lr=[\d.]+-
~20
\.
a||b
(?:)
|
/
(?i)dnn
(?P<name>dnn)
(?>dnn)
(?#dnn)
n++
n**
*dnn
^*
\b*
{1}
n{2,1}
[z-a]
(
)
(mlp|dnn
[
[a-
(?<1a>n)
(?<a>n)(?<a>n)
(?<a>n)\k
(?<=n)*
\
""".strip("\n").split("\n")

PIECES = r"""
d N lr = - 0 3 . ^ $ \d \w \W \S \b \B [a-d] [^a-d] [\w-] [] [^] [ ] { } {,2} {1 \1 \2 \u{2} \x6e \u006e \cA \c \0 \8 \-
\ (?= (?! (?<= (?<! (?: ( ) ) ) | * + ? *? {1} {1,2} {2,} {0} {2,1} \p{L} [z-a]
"""


def run_names(count: int) -> list[str]:
    draw = random.Random(1).choice
    return [
        draw(["dnn", "mlp", "DNN", "dnn_broke", "cnn", "head", "my~20net"])
        + draw(["", "-4x32_16", "-2xc32_2xc64_128", "-186kp"])
        + f"-lr={draw(['0.00118', '0.1', '0.0000214', 'nan', '-inf', '1'])}-bs={draw([3, 32, 64, 128])}"
        + draw(["", "-aug=true", "-base=bert-base-uncased", "-opt=AdamW", "-drop=0.313", "-x=a.b+c"])
        + f"-t{number:04d}"
        for number in range(count)
    ]


def in_javascript(patterns: Sequence[str], names: Sequence[str]) -> list[list[str] | None]:
    """The names that each pattern matches in Node; None for a pattern it refuses."""
    if NODE is None:
        pytest.skip("needs node")
    asked = json.dumps({"patterns": list(patterns), "names": list(names)})
    answer = subprocess.run([NODE, "-e", JAVASCRIPT], input=asked, capture_output=True, text=True, check=True)
    return list(json.loads(answer.stdout))


def in_python(pattern: str, names: Sequence[str]) -> list[str] | None:
    try:
        return compile_filter(pattern).filter(names)
    except FilterError:
        return None


def test_patterns_match_the_same_runs_as_in_javascript() -> None:
    names = run_names(200)
    for pattern, expected in zip(PATTERNS, in_javascript(PATTERNS, names), strict=True):
        assert (pattern, in_python(pattern, names)) == (pattern, expected)


def test_random_patterns_match_the_same_runs_as_in_javascript() -> None:
    names = run_names(40)
    pieces = PIECES.split()
    draw = random.Random(2)
    patterns = ["".join(draw.choices(pieces, k=draw.randint(1, 6))) for _ in range(3000)]
    for pattern, expected in zip(patterns, in_javascript(patterns, names), strict=True):
        assert (pattern, in_python(pattern, names)) == (pattern, expected)


def test_the_empty_pattern_matches_every_run() -> None:
    names = run_names(20)
    assert compile_filter("").filter(names) == names


def test_a_pattern_is_found_anywhere_and_in_either_case() -> None:
    pattern = compile_filter("OPT=adam")
    assert pattern.matches("dnn-lr=0.1-opt=AdamW-t0003")
    assert not pattern.matches("dnn-lr=0.1-opt=sgd-t0003")


def test_matching_runs_keep_their_order() -> None:
    assert compile_filter("^dnn").filter(["dnn-t0002", "mlp-t0001", "dnn-t0000"]) == ["dnn-t0002", "dnn-t0000"]


def test_a_filter_says_in_words_what_it_matches() -> None:
    assert str(compile_filter("^dnn")) == "runs whose name matches ^dnn"
    assert str(compile_filter("")) == "all runs"


def test_equal_patterns_are_equal_values() -> None:
    assert compile_filter("^dnn") == compile_filter("^dnn") != compile_filter("^mlp")


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("(", 0, "a parenthesis without its partner"),
        ("x(a|b", 1, "a parenthesis without its partner"),
        ("x(a(b)c", 1, "a parenthesis without its partner"),
        ("(a))b(", 3, "a parenthesis without its partner"),
        ("x[abc", 1, "a bracket without its partner"),
        ("(a)[b", 3, "a bracket without its partner"),
        ("(a)[\\", 4, "a backslash at the end"),
        ("a**b", 2, "nothing to repeat"),
        ("(a|*b)", 3, "nothing to repeat"),
        ("x{1}{2}y", 4, "nothing to repeat"),
        ("x\\b{1,}y", 3, "nothing to repeat"),
        ("a{2,1}b", 1, "numbers out of order in braces"),
        ("x[z-a]", 4, "a range out of order"),
        ("abc\\", 3, "a backslash at the end"),
        ("(?:a)(?i)", 7, "no such kind of group"),
        ("(?}", 2, "no such kind of group"),
        ("(?<a>x)|\\k", 9, "invalid named backreference syntax"),
        ("a\udc80", 1, "a character that is no Unicode text"),
    ],
)
def test_a_refusal_names_reason_and_place(text: str, position: int, reason: str) -> None:
    with pytest.raises(FilterError) as caught:
        compile_filter(text)
    assert caught.value.position == position
    message = str(caught.value)
    assert message.startswith("Invalid filter: ")
    assert f"{reason} at character {position + 1} ({text[position]!r})" in message
    assert "\n" not in message


def test_a_refused_case_flag_is_answered_with_what_holds_anyway() -> None:
    with pytest.raises(FilterError, match="Filters ignore case anyway"):
        compile_filter("(?i)dnn")


def test_a_pattern_that_is_too_long_is_refused_without_a_place() -> None:
    with pytest.raises(FilterError, match="has 1001 characters, and the most is 1000") as caught:
        compile_filter("a" * (LONGEST + 1))
    assert caught.value.position is None


def test_no_pattern_of_the_length_allowed_overruns_a_small_stack() -> None:
    code = f"""
import threading
from sweep.errors import FilterError
from sweep.view.filters import compile_filter

def work():
    for head, middle, tail in ("", "a|", ""), ("(", "", ")"), ("(?<=", "", ")"), ("(?:", "a|", ")"), ("", "(?=a)", ""):
        for depth in (0, 100, 199, 499):
            text = head * depth
            text += middle * (({LONGEST} - len(text) - depth * len(tail)) // len(middle or "a")) + tail * depth
            try:
                compile_filter(text[:{LONGEST}]).matches("dnn-lr=0.1-t0001")
            except FilterError:
                pass

threading.stack_size(512 * 1024)
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
