"""Who is scored with whose answers, what is stored, and when two scores or two observers agree; no store is written."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from benchmark.contracts import Metric, Score, Trials
from benchmark.contracts.suite import TOO_FEW
from benchmark.engine import scoring
from benchmark.engine.scoring import ComparedTrials, Scorer, discordant_of, pooled_score, same_answers, same_score
from benchmark.observer_trials import ObserverAnswers
from benchmark.stats.comparisons import Comparison
from benchmark.store import ScoreSet
from benchmark.store.rows import ObserverRow


def trials(letters, roles=("cue",), **columns):
    """Trials of images called 0, 1, ... in each role: "s" is a hit."""
    n = len(letters)
    return Trials(
        columns={
            "role": np.repeat(roles, n),
            "condition": np.full(n * len(roles), ""),
            "stimulus": np.array([*map(str, range(n))] * len(roles)),
            "category": np.full(n * len(roles), "cat"),
            "response": np.array([*letters] * len(roles)),
            **columns,
        }
    )


def ratio(trials):
    return trials["response"] == "s", np.ones(len(trials))


BIAS = Metric(name="bias", title="bias", definition="", role="cue", headline=True, ratio=ratio)


def answers(keys, letters, *roles, **fields):
    roles = roles or ("cue",)
    read = lambda: trials(letters, roles)  # noqa: E731
    return ObserverAnswers(keys=(*keys,), roles=frozenset(roles), read=read, **fields)


def score(_config, shown):
    hits, all_ = ratio(shown)
    made = [Score(metric="bias", value=hits.sum() / all_.sum()), Score(metric="bias", value=0.5, condition="part")]
    return [*made, Score(metric="agreement", value=None, reason="needs references")]


def against(**fields):
    def scores(_config, _own, theirs):
        return [Score(metric="agreement", value=float(len(theirs)))]

    return SimpleNamespace(**{"scores": scores, "group": None, "pair": None, **fields})


def suite(**fields):
    own = {"name": "toy", "version": 3, "metrics": (BIAS,), "seen": None, "config": None, "against": against()}
    own |= {"controls": {}, "categories": {}, "score": score, "metric": {"bias": BIAS}.get}
    return SimpleNamespace(**{**own, **fields})


def row(name, kind):
    return ObserverRow(id=f"id of {name}", name=name, kind=kind, identity=name, card={}, created="")


class Kept:
    """A store that remembers what is put into it."""

    rows = (row("ann", "human"), row("bob", "human"), row("net", "published"), row("reader", "simulated"))

    def __init__(self, stored=(), known=()):
        self.put, self.stored, self.known, self.groups = [], stored, known, []

    def observers(self, *, kinds=None):
        return [one for one in self.rows if kinds is None or one.kind in kinds]

    def observations(self, **_):
        return [SimpleNamespace(space="geirhos16")]

    def has_scores(self, target):
        return target in self.known

    def stored_scores(self, _target):
        return self.stored

    def put_scores(self, run, target, scores):
        self.put.append((run, target, list(scores)))

    def put_observer(self, observer):
        self.groups.append((observer.name, observer.kind))
        return f"id of {observer.name}"


class Answered:
    """Imported answers, and those of runs, by name."""

    def __init__(self, imported, ran=()):
        self.by_name, self.ran = imported, dict(ran)

    def imported(self, sets, space="geirhos16"):
        return {n: one for n, one in self.by_name.items() if one.roles & sets.keys()} if space else {}

    def run(self, _sets, names):
        return {name: self.ran[name] for name in names if name in self.ran}

    def collections(self, _space):
        return [{"cue": "c1", "edges": "e1"}]


def scorer(answered, **fields):
    made = Scorer(**{"store": Kept(), "run": "r1", "suite": suite(), **fields})
    vars(made).update(answers=answered, _code="digest")
    return made


PEOPLE = {
    "ann": answers(["a2", "a1"], "ssst", human=True, remarks=("2 late",)),
    "bob": answers(["b1"], "sstt", human=True),
}
NET = answers(["n1"], "tttt", prompt="a {}", remarks=("odd",), prompts={"b {}": lambda: trials("ssst")})
SHOWN = {"cue": "c1", "edges": "e1"}


def test_every_imported_observer_is_scored_on_what_it_answered_against_the_others():
    made = scorer(Answered({**PEOPLE, "net": NET}, {"ideal": answers(["i1"], "ssss")}))
    made.suite.config = SimpleNamespace(standards=("ideal", "never-run"))
    seen = []
    assert made.imported(lambda *at: seen.append(at)) == 4
    assert seen == [(1, 3), (2, 3), (3, 3)]
    stored = {target.observer: (run, target, scores) for run, target, scores in made.store.put}
    shared = {"suite": "toy", "version": 3, "space": "geirhos16", "code": "digest", "stimuli": {"cue": "c1"}}
    keys = {
        "ann": ("a2", "a1", "b1", "i1"),
        "bob": ("b1", "a1", "a2", "i1"),
        "net": ("n1", "a1", "a2", "b1", "i1"),
        "people (pooled)": ("a2", "a1", "b1"),
    }
    assert {name: stored[f"id of {name}"][:2] for name in keys} == {
        name: ("r1", ScoreSet(observer=f"id of {name}", keys=own, **shared)) for name, own in keys.items()
    }
    assert made.store.groups == [("people (pooled)", "group")]

    def said(name):
        return [(s.metric, s.condition, s.value, s.flags) for s in stored[f"id of {name}"][2]]

    few = (TOO_FEW,)  # four answers, none of them the category
    late, prompt = (*few, "2 late"), (*few, "odd", "prompt: a {}")
    assert said("ann") == [("bias", "", 0.75, late), ("bias", "part", 0.5, few), ("agreement", "", 2.0, late)]
    other = ("prompt: b {}", 0.75, few), ("prompt: b {}", None, ())
    assert said("net") == [
        ("bias", "", 0.0, prompt), ("bias", "part", 0.5, few), ("agreement", "", 3.0, prompt),
        ("bias", *other[0]), ("agreement", *other[1]),
    ]  # fmt: skip
    assert said("people (pooled)") == [("bias", "", 0.625, ())]


def test_people_as_a_group_are_two_at_least_and_the_suite_may_measure_them_itself():
    made = scorer(Answered({"ann": PEOPLE["ann"], "net": NET}))
    assert made.imported() == 2 and made.store.groups == []
    own = against(group=lambda _config, people: [Score(metric="agreement", value=float(len(people)))])
    made = scorer(Answered(PEOPLE), suite=suite(against=own))
    assert made.imported() == 3
    assert made.store.groups == [("people (among themselves)", "group")]
    assert made.store.put[-1][2] == [Score(metric="agreement", value=2.0)]


def test_a_person_who_guesses_is_not_among_the_people():
    """Nor one of those with whom a network is compared."""
    eve = answers(["e1"], "catdog" * 14, human=True)  # 84 answers of one letter, no category
    cat = ObserverAnswers(keys=("b1",), roles=frozenset({"cue"}), read=lambda: trials(["cat"] * 84), human=True)
    made = scorer(Answered({**PEOPLE, "bob": cat, "eve": eve, "net": NET}))
    made.store.rows = (*Kept.rows, row("eve", "human"))
    made.imported()
    stored = {target.observer: (target.keys, scores) for _, target, scores in made.store.put}
    assert [s.flags for s in stored["id of eve"][1] if s.metric == "bias"] == [("trust: answers at chance",)] * 2
    assert stored["id of net"][0] == ("n1", "a1", "a2", "b1", "e1")
    assert [s.value for s in stored["id of net"][1] if s.metric == "agreement" and not s.condition] == [2.0]
    keys, (pooled,) = stored["id of people (pooled)"]
    assert keys == ("a2", "a1", "b1", "e1") and pooled.flags == ("without 1 of 3 people, who guess",)
    assert pooled.value == 3 / 88


def test_whom_an_observer_is_compared_with():
    """In the built-in world people take the readers' place in what two of them answered."""
    people = {
        "ann": answers(["a"], "s", "cue", human=True),
        "bob": answers(["b"], "s", "cue", "edges", human=True),
        "net": answers(["n"], "s", "cue", "edges"),
    }
    ran = {"reader": answers(["r"], "st", "cue", "edges"), "ideal": answers(["i"], "s")}
    made = scorer(Answered(people, ran))

    def peers(space, *names):
        found = made.peers(space, SHOWN, *names)
        return {name: sorted(set(one.trials["role"].tolist())) for name, one in found.items()}

    both, world = ["cue", "edges"], {"reader": ["edges"], "ann": ["cue"], "bob": ["cue"]}
    assert peers("world16") == world
    assert peers("world16", "bob", "reader") == {"ann": ["cue"]}
    assert peers("geirhos16", "net") == {"ann": ["cue"], "bob": both}
    made.suite.config = SimpleNamespace(references=("ideal",), standards=("reader",))
    assert peers("world16") == {"ideal": ["cue"], "reader": both}
    made.suite.against = None
    assert peers("world16") == {}


def test_the_trials_of_both_are_those_on_the_same_sets():
    """Newest first; of several common collections the largest counts."""
    asked = {}

    def read(name, sets):
        asked[name] = dict(sets)
        return None if name == "nobody" else trials("st")

    def shown(**stimuli):
        return SimpleNamespace(space="geirhos16", stimuli=stimuli)

    made = scorer(Answered({**PEOPLE, "net": NET}))
    small, large = shown(cue="c1"), shown(cue="c1", edges="e1")
    vars(made).update(trials=read, _shown=[("a", small), ("a", large), ("b", large), ("b", small), ("c", small)])
    assert made.both("a", "b").people == {} and asked == {"a": large.stimuli, "b": large.stimuli}
    assert made.both("a", "c").b is not None and asked["a"] == asked["c"] == {"cue": "c1"}
    assert made.both("a", "nobody") is None and made.both("nobody", "a") is None
    crowd = made.both("a", "people")
    assert crowd.b is None and sorted(crowd.people) == ["ann", "bob"] and asked["a"] == large.stimuli
    vars(made)["_shown"] += [("ann", small)]
    assert sorted(made.both("ann", "people").people) == ["bob"]
    assert made.both("stranger", "people") is None
    made.suite.against = against(pair=lambda *_: ())
    assert sorted(made.both("a", "b").people) == ["ann", "bob"]
    vars(made)["_shown"] += [("bob", large)]
    assert sorted(made.both("a", "bob").people) == sorted(made.both("bob", "a").people) == ["ann"]


def test_a_checker_lists_scores_that_differ_by_more_than_the_last_digits():
    gone, new = (Score(metric=name, value=0.5) for name in ("gone", "new"))
    was, now = (Score(metric="moved", value=value, role="cue", condition="c50") for value in (0.25, 0.75))
    target = ScoreSet(observer="id of net", suite="toy", version=3, space="s", code="", stimuli={}, keys=())
    checker = Scorer(store=Kept([gone, was], [target]), run="", suite=suite())
    assert list(checker._differences(target, [new, now])) == [
        "net under toy: gone () is 0.5 stored, and not computed",
        "net under toy: moved (cue c50) is 0.25 stored, and 0.75 computed",
        "net under toy: new () is not stored, and 0.5 computed",
    ]
    stated = Score(metric="m", value=0.5, low=0.25, high=0.75, n=4, flags=("few",))

    def agrees(**changed):
        return same_score(stated, Score(**{**vars(stated), **changed}))

    assert agrees() and agrees(value=0.5 + 1e-8, low=0.25 - 1e-8) and agrees(metric="other", condition="c", role="r")
    different = {"value": 0.5 + 2e-6, "low": None, "high": 0.74, "reason": "none", "level": 0.9}
    different |= {"method": "t", "n": 5, "excluded": 1, "flags": ()}
    assert not any(agrees(**{name: value}) for name, value in different.items())
    nothing = Score(metric="m", value=None)
    assert same_score(nothing, nothing) and not same_score(nothing, Score(metric="m", value=0.0))
    zero = Score(metric="m", value=0.0)
    assert same_score(zero, Score(metric="m", value=9e-10)) and not same_score(zero, Score(metric="m", value=2e-9))


def test_same_answers_are_the_same_to_the_same_trials():
    one, turned = trials("sst"), trials("sst").where(np.array([2, 0, 1]))
    assert same_answers(one, turned) and same_answers(turned, one)
    assert not same_answers(one, trials("stt")) and not same_answers(one, trials("ss"))
    assert not same_answers(one, trials("sst", roles=("edges",)))
    silent = [Trials(columns={n: c for n, c in one.columns.items() if n != "response"}) for _ in range(2)]
    assert same_answers(*silent) and not same_answers(one, silent[0]) and not same_answers(silent[0], one)


def test_discordant_images_are_of_the_headline_with_both_answers():
    def listed(b, metrics=(BIAS,)):
        both = ComparedTrials(suite=suite(metrics=metrics), a=trials("sst"), b=b, people={})
        return [(r.suite, r.metric, r.condition, r.stimulus, r.category, r.winner, r.answer_a, r.answer_b)
                for r in discordant_of(both)]  # fmt: skip

    rows = [("toy", "bias", "", "1", "cat", "a", "s", "t"), ("toy", "bias", "", "2", "cat", "b", "t", "s")]
    assert listed(trials("sts")) == rows
    assert listed(None) == []
    other = Metric(name="other", title="", definition="", role="cue", ratio=ratio)
    bare = Metric(name="bare", title="", definition="", headline=False)
    assert listed(trials("sts"), (other, BIAS, bare)) == rows
    assert [r[1] for r in listed(trials("sts"), (other, bare))] == ["other"] * 2
    mute = Metric(name="mute", title="", definition="", role="cue", ratio=lambda t: (t["hit"], np.ones(len(t))))
    parts = [Trials(columns={**{n: trials("sst").columns[n] for n in ("role", "condition", "stimulus", "category")},
                             "hit": np.array(hit)}) for hit in ([1.0, 1, 0], [1.0, 0, 0])]  # fmt: skip
    (found,) = discordant_of(ComparedTrials(suite=suite(metrics=(mute,)), a=parts[0], b=parts[1], people={}))
    assert (found.stimulus, found.winner, found.answer_a, found.answer_b) == ("1", "a", "", "")


@pytest.mark.parametrize(("ways", "said"), [
    (("cpu fp32", "cpu bf16"), ("toy: A was run on cpu fp32, B on cpu bf16",)),
    (("cpu fp32", "cpu fp32"), ()), (("cpu fp32", ""), ()),
])  # fmt: skip
def test_a_comparison_of_two_ways_to_run_says_so(ways, said, monkeypatch):
    asked = {"suite": "toy", "conditions": ("",), "observers": ["a", "b"]}
    policies = [SimpleNamespace(observer=name, policy=way) for name, way in zip("ab", ways, strict=True)]
    store = SimpleNamespace(latest_scores=lambda **how: policies if how == asked else [])
    metrics = (Metric(name="bare", title="", definition=""), BIAS)  # the first is no ratio
    both = ComparedTrials(
        suite=suite(against=None, metrics=metrics), a=trials("s" * 30), b=trials("st" * 15), people={}
    )
    monkeypatch.setattr(Scorer, "both", lambda self, *names: both if names == ("a", "b") else None)
    first, none = scoring.compare_observers(store, [both.suite], [("a", "b"), ("a", "c")])
    assert first.remarks == said and (none.headlines, none.remarks) == ((), ())
    (test,) = first.headlines
    assert (test.suite, test.comparison.a, test.comparison.b, test.comparison.same) == ("toy", 1.0, 0.5, False)


def test_a_suites_own_pair_test_is_called_the_same_only_for_equal_answers_without_a_difference():
    def pair(_a, _b, people):
        assert people == {"ann": 1}
        return [Comparison(metric="bias", p=0.5, difference=gap) for gap in (0.0, 0.1)]

    made = suite(against=against(pair=pair), metrics=(replace(BIAS, ratio=None),))
    for b, same in ((trials("sst"), True), (trials("stt"), False), (None, False)):
        both = ComparedTrials(suite=made, a=trials("sst"), b=b, people={"ann": 1})
        rows = list(scoring.paired_tests(both))
        assert [(r.suite, r.metric.name, r.comparison.difference, r.comparison.same) for r in rows] == [
            ("toy", "bias", 0.0, same), ("toy", "bias", 0.1, False),
        ]  # fmt: skip


# All people as one observer: the published counts, the n that counts, an interval over people.

SHAPE = (829, 907, 1006, 727, 1017, 976, 906, 928, 1031, 909)
TEXTURE = (33, 54, 34, 64, 38, 24, 57, 41, 14, 39)
T9 = 2.2621572  # 97.5 % point of t with 9 degrees of freedom


def answered(shape, texture, n=1280):
    return trials("s" * shape + "t" * texture + "-" * (n - shape - texture))


def either(trials):
    return np.isin(trials["response"], ["s", "t"])


def measured(ratio):
    return Metric(name="measured", title="", definition="", role="cue", ratio=ratio)


SHARE = measured(lambda t: (t["response"] == "s", either(t)))


def test_ten_people_pooled():
    people = [answered(s, t) for s, t in zip(SHAPE, TEXTURE, strict=True)]
    score = pooled_score(SHARE, people)
    assert round(score.value, 4) == 0.9587
    assert (score.n, score.excluded, score.method) == (9634, 3166, "t over 10 people")
    s, n = np.array(SHAPE), np.array(SHAPE) + np.array(TEXTURE)
    r = s.sum() / n.sum()
    variance = 10 / 9 * ((s - r * n) ** 2).sum() / n.sum() ** 2  # Cochran 1977, equation 6.13
    trials = r * (1 - r) / variance
    middle = (r + T9**2 / (2 * trials)) / (1 + T9**2 / trials)
    width = T9 * np.sqrt(r * (1 - r) / trials + T9**2 / (4 * trials**2)) / (1 + T9**2 / trials)
    assert (score.low, score.high) == pytest.approx((middle - width, middle + width), rel=1e-6)


def test_amounts_get_the_plain_t_interval():
    people = [answered(6, 4), answered(8, 2), answered(7, 3)]
    assert pooled_score(measured(lambda t: (2.0 * either(t), either(t) * 1.0)), people).value == 2.0
    found = pooled_score(measured(lambda t: (3.0 * (t["response"] == "s"), either(t) * 1.0)), people)
    # Means 1.8, 2.4, 2.1: sd .3, t(2) = 4.302653
    assert found.value == pytest.approx(2.1)
    assert (found.low, found.high) == pytest.approx((2.1 - 0.745239, 2.1 + 0.745239), abs=1e-5)


def test_who_never_answers_is_no_person_more():
    people = [answered(6, 4, 12), answered(8, 2, 12), answered(7, 3, 12)]
    silent = Trials(columns={**answered(0, 0, 12).columns, "response": np.full(12, "na")})
    for metric in (SHARE, measured(lambda t: (t["response"] == "s", t["role"] == "cue"))):
        assert pooled_score(metric, [*people, silent]) == pooled_score(metric, people)
    # Neither is who gave answers of which none counts, where answers are few: t over 3 people.
    found = pooled_score(SHARE, [*people, answered(0, 0, 12)])
    assert found.method == "t over 3 people"
    assert (found.low, found.high) == (pooled_score(SHARE, people).low, pooled_score(SHARE, people).high)
    alone = pooled_score(SHARE, [answered(6, 4, 12), answered(0, 0, 12)])
    assert (alone.value, alone.low, alone.flags) == (0.6, None, ("one person: no interval",))
