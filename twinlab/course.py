"""Exercises of the notebooks: checked offline, the same for everyone, with two levels of hints."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from twinlab.errors import SpecificationError


@dataclass(frozen=True)
class Verdict:
    """What `check` says about an answer."""

    exercise: str
    is_right: bool
    text: str

    def __repr__(self) -> str:
        return f"{self.exercise}: {self.text}"


@dataclass(frozen=True)
class _Exercise:
    """What counts as right, why, and how to help someone who is not there yet."""

    accepts: Callable[[Any], bool]
    why: str
    hints: tuple[str, str]
    mistakes: Mapping[str, str]


def _says(*words: str) -> Callable[[Any], bool]:
    """Accept any of these words, however they are written."""
    return lambda answer: str(answer).strip().lower() in words


def _near(value: float, tolerance: float) -> Callable[[Any], bool]:
    """Accept a number near this one."""

    def accepts(answer: Any) -> bool:
        try:
            return math.isclose(float(answer), value, abs_tol=tolerance)
        except (TypeError, ValueError):
            return False

    return accepts


_EXERCISES: dict[str, _Exercise] = {
    "00.1": _Exercise(
        _says("learn"),
        "Training happens at learn: readings go in there and the shared part of the model comes out.",
        ("Follow one reading along the figure and stop where many people's readings meet.", "It is the second place."),
        {
            "sense": "At sense a reading is still on the person's own device.",
            "ask": "At ask the model is already there and somebody puts a question to it.",
            "share": "At share something finished is given away.",
        },
    ),
    "00.2": _Exercise(
        _says("no", "false"),
        "A different field gives a different fingerprint, so a result can never pass for another experiment's.",
        ("Print both fingerprints.", "Compare experiment.fingerprint with experiment.with_({'seed': 1}).fingerprint."),
        {"yes": "Print them: the fingerprint is a hash of every field, the seed included."},
    ),
    "01.1": _Exercise(
        _says("narrower", "narrow"),
        "An interval that may miss more often can be narrower. Coverage is a promise, width is its price.",
        ("Set changes to {'twin.coverage': 0.5} and run again.", "Compare how tall the band of the forecast is."),
        {"wider": "A wider interval would contain more readings, not fewer."},
    ),
    "01.2": _Exercise(
        _near(0.5, 0.02),
        "The head is linear in what you do, so half the minutes give half the effect. Bodies are not quite so simple: "
        "that is a limit of this twin, and the price of an answer that can be computed on encrypted numbers.",
        ("Ask what_if for 20 and for 40 minutes at the same hour.", "Divide the two effects of the first hour."),
        {"2": "That is forty over twenty; the question asks for twenty over forty."},
    ),
    "01.3": _Exercise(
        _says("readings"),
        "The trainer held everybody's readings. Federated learning, later in this course, keeps them at home.",
        ("Look at the transcript: which row has the trainer as receiver?", "The column `what` of that row."),
        {"weights": "The weights left the trainer; the question is what came to it."},
    ),
    "02.1": _Exercise(
        _says("yes"),
        "The days need not overlap. What is compared is the routine, and that outlasts two weeks.",
        ("Which days does the attacker of this notebook know?", "Read what the threat says that the attacker knows."),
        {"no": "Look at the first sentence that was printed: the attacker knows other, earlier days."},
    ),
    "02.2": _Exercise(
        _says("no", "false"),
        "A blind guess falls to a hundredth. The attack falls far more slowly, since people who look alike by chance "
        "stay rare.",
        (
            "Compare the line of all signals with the line of a blind guess.",
            "Read the line of all signals at 100 and at 10,000.",
        ),
        {"yes": "That is what a blind guess does. Look at the line of all signals."},
    ),
    "02.3": _Exercise(
        _says("time", "times", "its time", "size", "its size", "sizes", "when", "length", "its length"),
        "Sizes and times are seen by everybody on the way. Only padding and sending at fixed times, or through others, "
        "hides them.",
        ("What does the network see of a sealed letter?", "The row of the table that is padded lacks two things."),
        {"content": "That is what encryption hides.", "key": "Nobody has it."},
    ),
    "03.1": _Exercise(
        _near(4.0, 0.15),
        "Noise doubles, and people must make up for it squared. Halving epsilon costs four times the crowd.",
        (
            "Call dp.count_people_needed twice, with epsilon=0.2 and epsilon=0.1, and divide the values.",
            "At a small epsilon the noise is inversely proportional to it; how does the error fall with people?",
        ),
        {
            "2": "The noise doubles, but the error of a mean falls only with the root of the number of people.",
            "0.25": "Turn it round: with a smaller epsilon more people are needed, not fewer.",
        },
    ),
    "03.2": _Exercise(
        _near(84.0, 0.01),
        "24 readings on each of 7 days, 0.5 each. The promise of one reading is not the promise of a person.",
        ("How many readings does the device send in a week?", "7 * 24 readings, each with its own loss."),
        {
            "0.5": "That is one reading. The device sends one every hour, and losses add up.",
            "12": "That is one day.",
            "3.5": "That counts one reading a day; the device sends one an hour.",
            "168": "That is the number of readings; each costs 0.5.",
        },
    ),
    "03.3": _Exercise(
        _says("population"),
        "Taking turns, each with the whole budget, beats everybody whispering: noise falls with epsilon itself, and "
        "only with the root of the number of people.",
        (
            "Look for both words in the chart of stream errors.",
            "Compare their bars at the same epsilon, without filter.",
        ),
        {"budget": "Compare the bars: with a 24th of the budget each reading is about 24 times as noisy."},
    ),
    "04.1": _Exercise(
        _says("no"),
        "Two trainings cost less than twice one: privacy losses add up like independent errors, nearly as the root of "
        "their number, and a tight accountant knows it.",
        ("Print ledger.entries().", "Compare total_epsilon of the second row with twice that of the first."),
        {"yes": "Adding epsilons up is true but loose; look at ledger.entries()."},
    ),
    "04.2": _Exercise(
        _says("twin, zero budget", "zero budget"),
        "Its shared part saw nobody. Whatever is released must beat it to be worth a person's privacy.",
        ("Look at the column `model`.", "It is the twin whose name says what it cost."),
        {"persistence": "It costs nothing either, but it is no twin; look for the twin that saw nobody."},
    ),
    "04.3": _Exercise(
        _says("far more", "more"),
        "Each row pulls, and all of a person's rows may pull the same way. That is why the unit must be said.",
        ("Choose a training row as unit in the panel and read the sentence.", "How many rows can one person hide in?"),
        {"1": "That is what one row costs; a person has many, and they pull together."},
    ),
    "05.1": _Exercise(
        _says("no", "false"),
        "Bound, noise and divisor are all declared beforehand. Whoever vanishes adds nothing, which is what the noise "
        "hides anyway. What suffers is the error.",
        (
            "Compare result.releases[0].guarantee for dropout = 0 and dropout = 0.3.",
            "What is the noisy sum divided by: by those who answered, or by a declared number?",
        ),
        {"yes": "Run it with dropout = 0 and compare the guarantees: epsilon is the same."},
    ),
    "05.2": _Exercise(
        _says("local"),
        "Alone, a person's few weeks are too little for most people. The head starts from what all have learned and "
        "changes only as far as the readings say.",
        ("Look at the column hurt_against_global.", "Compare the rows local and bayesian_head there."),
        {"head": "The head hurts some, too, but compare its share with that of local training."},
    ),
    "05.3": _Exercise(
        _says("no", "false"),
        "A median compares single updates, and a secure sum exists so that nobody can. Choose what you fear more: "
        "liars, or the server. A bound on every update works with both.",
        (
            "Try exploration.run({'strategy': 'fedmedian', 'aggregation': 'secure'}).",
            "Read the error: which neighbours does it name?",
        ),
        {"yes": "Try it; the experiment refuses the mix before any device is asked."},
    ),
    "06.1": _Exercise(
        _says("no", "false"),
        "A shorter update points the same way, and the record is a ratio of its numbers, in which the length cancels. "
        "A bound is there for noise to be measured by.",
        (
            "Compare the two columns of the first chart.",
            "The record is weights divided by biases. What becomes of a ratio when both are halved?",
        ),
        {"yes": "Compare the columns of the first chart: one is the same update at a tenth of its length."},
    ),
    "06.2": _Exercise(
        _near(9, 0.01),
        "Eleven must stay to the end, so nine of twenty may vanish. With one more nobody can open the sum: too few "
        "shares are left.",
        (
            "The threshold counts those who must stay, not those who may go.",
            "Call tl.secure_sum.add_securely(lesson.updates, bound=clip_norm, threshold=11, drop={'mask': range(9)}).",
        ),
        {
            "10": "Then ten are left, one fewer than the threshold.",
            "11": "That is how many must stay.",
            "20": "Then nobody is left.",
        },
    ),
    "06.3": _Exercise(
        _says("noise"),
        "Both sums were opened as agreed, and each hides everybody in it. Their difference is one update. Only noise "
        "that covers one person changes that, and its epsilon says by how much.",
        (
            "Look at the chart of sums: which column does not find the record from two of them?",
            "Masks and threshold decide who may read a sum; what changes the sum itself?",
        ),
        {
            "masks": "Masks vanish from every sum, or it would be wrong. The difference of two sums has none.",
            "threshold": "In both sums enough devices stayed; the server did nothing that it may not.",
        },
    ),
    "07.1": _Exercise(
        _near(41, 0.01),
        "Each answer is one linear equation, and there are 41 unknowns. Encryption hides questions, not the model "
        "behind the answers: only few or coarse answers do that.",
        (
            "An answer is a weighted sum plus the bias: one equation a question.",
            "How many equations do 40 weights and one bias need? Look where the error drops in the last chart.",
        ),
        {
            "40": "That leaves the bias open.",
            "1": "One answer of the naive query would do, by its other slots. Ours holds the answer alone.",
        },
    ),
    "07.2": _Exercise(
        _near(1, 0.01),
        "Every device can decrypt what any other device sent. The server has the ciphertexts, so one that helps it is "
        "enough, whoever it is.",
        (
            "What does a device need to decrypt another's update?",
            "The key, which each has, and the message. Who has that?",
        ),
        {
            "10": "They all hold the same key; how many of them does the server need?",
            "0": "Alone the server has ciphertexts and no key.",
            "3": "That would be three trustees with a part each. Here each device holds the whole key.",
        },
    ),
    "07.3": _Exercise(
        _says("the key", "key"),
        "A decrypted number is answer plus noise, and that noise is an equation in the key. Two of them are enough. "
        "Plan with share_results, or add whole numbers, whose results are exact.",
        ("Look at the second chart.", "Which row of that chart was published without a plan for it?"),
        {
            "the model": "The model is at stake, too, but there is something worse, and two results are enough for it.",
            "nothing": "The ciphers are unbroken, and still: look at the second chart.",
        },
    ),
    "08.1": _Exercise(
        _near(3, 0.01),
        "A secret of threshold three opens with any three points: one more than may collude. Two points fit every "
        "value equally well.",
        ("How many points does it take to fix a curve of this kind?", "One more than may collude."),
        {
            "2": "Two may collude and still learn nothing: that is what was promised.",
            "5": "Not all are needed, or one hospital that vanished would take the sum with it.",
        },
    ),
    "08.2": _Exercise(
        _says("noise"),
        "Both answers are meant to be opened, and their difference is that patient's row. Only an answer that hardly "
        "depends on one person protects them.",
        ("Look at the second panel of the leaks.", "What stays the same when more hospitals take part?"),
        {
            "more hospitals": "The difference of two totals is one patient's row, however many hospitals there are.",
            "better encryption": "Nothing was broken on the way: the answers themselves tell.",
        },
    ),
    "08.3": _Exercise(
        _says("no"),
        "Shares of a false number are as good as those of a true one, and nobody else knows the hospital's patients. A "
        "hospital is bound to its number before it sees anything, and no more.",
        ("Look at the table of lies: which line is never found?", "Who else could know?"),
        {"yes": "Altered shares are found, since they fit no others. False numbers fit very well."},
    ),
    "08.4": _Exercise(
        _near(1.5, 0.001),
        "The honest two must do alone: each adds a variance of one half. All three together add 1.5. The surplus is "
        "the price of not knowing who is honest.",
        ("What must each of the honest two add?", "The third adds as much, honest or not."),
        {
            "1": "Then the two honest ones have added two thirds only, if the third leaves its noise out.",
            "3": "That is what three trusted curators would add, each as if alone.",
        },
    ),
    "09.1": _Exercise(
        _near(0.05, 0.0001),
        "One over twenty. Then a person moves no count by more than one, whatever they did, and noise made for one "
        "hides them whole.",
        ("All rows of a person weigh one together.", "One, shared out among twenty."),
        {
            "1": "Then twenty rows weigh twenty, and noise made for one hides a twentieth of the person.",
            "20": "That is how much a person would weigh if every row weighed one.",
        },
    ),
    "09.2": _Exercise(
        _says("no"),
        "Distances say what was written down, not what can be told. A model may know a person by heart and never draw "
        "a row like theirs, and the distance itself was measured on the people it is about.",
        ("Which statistic of the canary chart sees least?", "Who can be told without any copy of them?"),
        {"yes": "Look at the canary sold for a person: found nearly always, and the nearest copies hardly say so."},
    ),
    "09.3": _Exercise(
        _near(0, 1e-9),
        "Rows are drawn from what was released already. Whatever is computed from a private release without the people "
        "costs nothing more.",
        ("Does drawing rows look at the people again?", "Post-processing is free."),
        {
            "1": "That was paid when the model was made. Drawing does not look at the people again.",
            "1000000": "Rows are drawn from the model, and the model has been paid for.",
        },
    ),
    "09.4": _Exercise(
        _says("marginals"),
        "At a tenth of the budget and a small part of the time they are nearer in every column and more useful.",
        ("Compare the rows of the table at epsilon 10.", "Which is ahead at epsilon 1 already?"),
        {
            "gan": "Compare pair_mean and attribute_training of its row with the others at the same epsilon.",
            "copy": "Every row of it is somebody.",
        },
    ),
    "10.1": _Exercise(
        _says("part"),
        "Private training bounds what one person changes in the weights, so who took part cannot be told from them. "
        "The other questions are asked of readings, and those the trainer holds as before.",
        (
            "Go down the column of private training and look for the calm cell.",
            "Which question is asked of the weights, and not of what was sent?",
        ),
        {
            "none": "Compare the last row under 'nothing' and under 'private training'.",
            "name": "The trainer still holds every reading, and a routine is a signature.",
            "illness": "The trainer still holds every reading.",
            "reading": "The trainer still holds every reading.",
        },
    ),
    "10.2": _Exercise(
        _says("no", "false"),
        "The interval holds nothing, and it holds 7 % as well. You may write that this attack, with this knowledge, "
        "was not shown to beat a guess. A guarantee is another thing.",
        ("What else is in the interval?", "What would a stronger attack, or a larger cohort, find?"),
        {"yes": "That nothing was found is not that nothing is there: look at the interval's upper end."},
    ),
    "10.3": _Exercise(
        _near(20.0, 0.01),
        "Promises for a row add up over a person's rows: 20 rows, 20 times epsilon (group privacy). At epsilon 20 "
        "nothing is hidden any more.",
        ("Changing one person changes how many rows?", "Group privacy multiplies epsilon by the size of the group."),
        {"1": "That is the promise for one row.", "0.05": "More rows make the promise weaker, not stronger."},
    ),
}


def check(exercise: str, answer: Any = None, hint: int = 0) -> Verdict:
    """Check an answer to an exercise, offline.

    Args:
      exercise: its number, such as "01.2".
      answer: yours; None shows what to do first.
      hint: 1 or 2 for a hint instead of a verdict.

    Returns:
      A verdict that says why, or what to look at next.

    Raises:
      SpecificationError: if there is no such exercise.

    >>> check("01.1", "wider").is_right
    False
    """
    if exercise not in _EXERCISES:
        raise SpecificationError(f"exercise: there is no {exercise!r}; there are: {', '.join(_EXERCISES)}")
    asked = _EXERCISES[exercise]
    if hint:
        return Verdict(exercise, False, asked.hints[min(max(hint, 1), 2) - 1])
    if answer is None or answer is Ellipsis:
        return Verdict(exercise, False, f"not answered yet. tl.check({exercise!r}, hint=1) gives a first hint.")
    if asked.accepts(answer):
        return Verdict(exercise, True, f"right. {asked.why}")
    mistake = asked.mistakes.get(str(answer).strip().lower(), asked.hints[0])
    return Verdict(exercise, False, f"not yet. {mistake}")
