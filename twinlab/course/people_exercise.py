"""Exercises of notebooks 08 to 13: hospitals, synthetic people, attacks and quantum computers."""

from typing import Final

from twinlab.course.exercise import Exercise, near, says

PEOPLE_EXERCISES: Final[dict[str, Exercise]] = {
    "08.1": Exercise(
        near(3, 0.01),
        "A secret of threshold three opens with any three points: one more than may collude. Two points fit every "
        "value equally well.",
        ("How many points does it take to fix a curve of this kind?", "One more than may collude."),
        {
            "2": "Two may collude and still learn nothing: that is what was promised.",
            "5": "Not all are needed, or one hospital that vanished would take the sum with it.",
        },
    ),
    "08.2": Exercise(
        says("noise"),
        "Both answers are meant to be opened, and their difference is that patient's row. Only an answer that hardly "
        "depends on one person protects them.",
        ("Look at the second panel of the leaks.", "What stays the same when more hospitals take part?"),
        {
            "more hospitals": "The difference of two totals is one patient's row, however many hospitals there are.",
            "better encryption": "Nothing was broken on the way: the answers themselves tell.",
        },
    ),
    "08.3": Exercise(
        says("no"),
        "Shares of a false number are as good as those of a true one, and nobody else knows the hospital's patients. A "
        "hospital is bound to its number before it sees anything, and no more.",
        ("Look at the table of lies: which line is never found?", "Who else could know?"),
        {"yes": "Altered shares are found, since they fit no others. False numbers fit very well."},
    ),
    "08.4": Exercise(
        near(1.5, 0.001),
        "The honest two must do alone: each adds a variance of one half. All three together add 1.5. The surplus is "
        "the price of not knowing who is honest.",
        ("What must each of the honest two add?", "The third adds as much, honest or not."),
        {
            "1": "Then the two honest ones have added two thirds only, if the third leaves its noise out.",
            "3": "That is what three trusted curators would add, each as if alone.",
        },
    ),
    "09.1": Exercise(
        near(0.05, 0.0001),
        "One over twenty. Then a person moves no count by more than one, whatever they did, and noise made for one "
        "hides them whole.",
        ("All rows of a person weigh one together.", "One, shared out among twenty."),
        {
            "1": "Then twenty rows weigh twenty, and noise made for one hides a twentieth of the person.",
            "20": "That is how much a person would weigh if every row weighed one.",
        },
    ),
    "09.2": Exercise(
        says("no"),
        "Distances say what was written down, not what can be told. A model may know a person by heart and never draw "
        "a row like theirs, and the distance itself was measured on the people it is about.",
        ("Which statistic of the canary chart sees least?", "Who can be told without any copy of them?"),
        {"yes": "Look at the canary sold for a person: found nearly always, and the nearest copies hardly say so."},
    ),
    "09.3": Exercise(
        near(0, 1e-9),
        "Rows are drawn from what was released already. Whatever is computed from a private release without the people "
        "costs nothing more.",
        ("Does drawing rows look at the people again?", "Post-processing is free."),
        {
            "1": "That was paid when the model was made. Drawing does not look at the people again.",
            "1000000": "Rows are drawn from the model, and the model has been paid for.",
        },
    ),
    "09.4": Exercise(
        says("marginals"),
        "At a tenth of the budget and a small part of the time they are nearer in every column and more useful.",
        ("Compare the rows of the table at epsilon 10.", "Which is ahead at epsilon 1 already?"),
        {
            "gan": "Compare pair_mean and attribute_training of its row with the others at the same epsilon.",
            "copy": "Every row of it is somebody.",
        },
    ),
    "10.1": Exercise(
        says("part"),
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
    "10.2": Exercise(
        says("no", "false"),
        "The interval holds nothing, and it holds 7 % as well. You may write that this attack, with this knowledge, "
        "was not shown to beat a guess. A guarantee is another thing.",
        ("What else is in the interval?", "What would a stronger attack, or a larger cohort, find?"),
        {"yes": "That nothing was found is not that nothing is there: look at the interval's upper end."},
    ),
    "10.3": Exercise(
        near(20.0, 0.01),
        "Promises for a row add up over a person's rows: 20 rows, 20 times epsilon (group privacy). At epsilon 20 "
        "nothing is hidden any more.",
        ("Changing one person changes how many rows?", "Group privacy multiplies epsilon by the size of the group."),
        {"1": "That is the promise for one row.", "0.05": "More rows make the promise weaker, not stronger."},
    ),
    "13.1": Exercise(
        says("hide"),
        "What is recorded today can be opened later. A signature is looked at when it arrives, and a forgery in ten "
        "years fools nobody today.",
        ("Which of the two can be attacked with what was recorded today?", "Harvest now, decrypt later."),
        {"prove": "A forgery must be made while somebody still asks for it. What was recorded is there already."},
    ),
    "13.2": Exercise(
        says("no"),
        "Both signatures must verify, and the other one is not theirs to make. That is why there are two.",
        ("How many signatures are inside?", "What does the receiver do if one of them does not verify?"),
        {"yes": "An envelope with one signature missing or wrong is refused: see the table of attacks."},
    ),
    "13.3": Exercise(
        says("the same", "same"),
        "The bound is about probabilities, against any computer. Only the noise must have been drawn from a source "
        "that nobody can foretell, and that rests on AES with keys of 256 bits.",
        ("Does the promise of differential privacy rest on a hard problem?", "Look at the first rows of the picture."),
        {"weaker": "No problem has to be hard for it: whoever computes, the bound on probabilities holds."},
    ),
}
