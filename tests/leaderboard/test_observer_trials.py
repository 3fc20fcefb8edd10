"""Which answers count where an observer was run several times: the same on boards, in pools, the report and exports."""

import numpy as np
import pytest

from benchmark import api, plugins
from benchmark.contracts import Observer, Score, Stimuli
from benchmark.leaderboard.transfer import pools
from benchmark.observer_trials import observer_trials
from benchmark.report.contents import read_contents
from benchmark.store import Chunk, Observation, ScoreSet, open_store
from benchmark.variables import read_settings

SUITE = plugins.find_suites("human-comparison").suites["human-comparison"]


@pytest.fixture
def answered(tmp_path):
    """answered((answers, role, condition), ...): a leaderboard with each as an observation of "net", and its settings.
    answers: one letter per image, "c" for cat, which is right."""
    settings = read_settings(str(tmp_path / "results.db"))

    def write(observations, scored):
        with open_store(settings.db) as store:
            run = store.begin_run("bench run", {"device": "cpu"})
            net = store.put_observer(Observer(name="net", kind="network", identity="weights", card={}))
            stimuli = {}
            for key, (letters, role, condition) in observations.items():
                n, space = len(letters), {"space": "geirhos16"}
                ids, labels = tuple(f"{i}.png" for i in range(n)), {"category": np.full(n, "cat")}
                about = {"digest": f"{role}{n}", "name": role, "whole": n, **space}
                store.put_stimuli(Stimuli(ids=ids, items=ids, labels=labels, decode=None, **about))
                stimuli[key] = {role: f"{role}{n}"}
                asked = {"key": key, "observer": net, "suite": SUITE.name, "version": 1, **space}
                how = {"stimuli": f"{role}{n}", "role": role, "presentation": "whole", "n": n, "condition": condition}
                store.put_observation(run, Observation(**asked, **how))
                said = np.array(["cat" if letter == "c" else "dog" for letter in letters])
                store.put_chunks(run, [Chunk(key=key, index=0, start=0, columns={"response": said})])
            for key in scored:
                made = {"observer": net, "suite": SUITE.name, "version": SUITE.version, "space": "geirhos16"}
                target = ScoreSet(code="c", stimuli=stimuli[key], keys=(key,), **made)
                store.put_scores(run, target, [Score(metric=SUITE.metrics[0].name, value=0.5, n=4)])
            store.end_run(run, "done")
        return settings

    return write


def test_the_seed_of_the_newest_scores_counts_not_that_of_the_newest_answers(answered):
    """Run with seed 0, with seed 1, and with seed 0 again: the last run stores scores and no answers."""
    block = ("cue-conflict", "")
    settings = answered({"seed 0": ("cccd", *block), "seed 1": ("dddd", *block)}, ("seed 0", "seed 1", "seed 0"))
    with api.Selection(settings.db).reading() as store:
        assert observer_trials(store, SUITE, "net")["response"].tolist() == ["cat", "cat", "cat", "dog"]
    (answers,) = read_contents(settings).answers
    assert answers.right.tolist() == [[True, True, True, False]]


def test_an_image_of_two_sets_counts_once_in_a_pool(answered):
    """Half of a set, then all of it: eight images, of which four were answered twice."""
    block = ("contrast", "c05")
    settings = answered({"half": ("cccc", *block), "whole": ("ccccdddd", *block)}, ("half", "whole"))
    with api.Selection(settings.db).reading() as store:
        (pool,) = pools(store, [SUITE], None)
        (member,) = pool.members
        assert (len(member.trials), member.trials["right"].mean()) == (8, 0.5)
        assert len(observer_trials(store, SUITE, "net", {"contrast": "contrast4"})) == 4
