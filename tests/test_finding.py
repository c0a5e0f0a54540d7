"""A finding as a sentence, as plain data, and among others."""

import pytest

from sweep.finding import KINDS, Finding, Picture, by_gravity, mark

WHOLE = Finding(
    "dead-relu",
    "all 32 units of dense are zero",
    "lower the learning rate",
    layer="dense",
    severe=True,
    confidence="likely",
    since=2,
    picture=Picture("activations", [[0.0]], [[1.0]]),
)


def test_a_finding_is_a_sentence_with_its_kind_since_when_evidence_and_remedy():
    assert str(WHOLE) == "dead-relu since epoch 3 (likely): all 32 units of dense are zero; lower the learning rate"


@pytest.mark.parametrize("finding", [WHOLE, Finding("overfitting", "seen", "do")])
def test_a_finding_is_the_same_after_plain_data(finding):
    assert Finding.from_dict(finding.as_dict()) == finding


def test_what_a_later_version_knows_more_of_a_finding_is_passed_over():
    assert Finding.from_dict({**WHOLE.as_dict(), "later": 1}) == WHOLE


def test_severe_findings_come_first_and_others_by_their_gravity():
    findings = [Finding(kind, "", "") for kind in ("data-leak", "overfitting", "symmetric-neurons")]
    assert [found.kind for found in by_gravity([*findings, WHOLE])] == [
        *("dead-relu", "symmetric-neurons", "overfitting", "data-leak")
    ]


def test_a_mark_names_the_gravest_finding_of_the_run_and_none_about_the_data():
    leak = Finding("data-leak", "", "")
    assert mark([]) == mark([leak]) == ""
    assert mark([WHOLE, leak]) == "dead-relu"
    assert mark([WHOLE, Finding("overfitting", "", ""), leak]) == "dead-relu +1"


def test_every_kind_says_what_it_means():
    assert all(meaning and not meaning.endswith(".") for meaning in KINDS.values())
