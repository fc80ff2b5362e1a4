"""Exercises of notebooks 00 to 04: twins, names and noise."""

from typing import Final

from twinlab.course.exercise import Exercise, near, says

TWIN_EXERCISES: Final[dict[str, Exercise]] = {
    "00.1": Exercise(
        says("learn"),
        "Training happens at learn: readings go in there and the shared part of the model comes out.",
        ("Follow one reading along the figure and stop where many people's readings meet.", "It is the second place."),
        {
            "sense": "At sense a reading is still on the person's own device.",
            "ask": "At ask the model is already there and somebody puts a question to it.",
            "share": "At share something finished is given away.",
        },
    ),
    "00.2": Exercise(
        says("no", "false"),
        "A different field gives a different fingerprint, so a result can never pass for another experiment's.",
        ("Print both fingerprints.", "Compare experiment.fingerprint with experiment.with_({'seed': 1}).fingerprint."),
        {"yes": "Print them: the fingerprint is a hash of every field, the seed included."},
    ),
    "01.1": Exercise(
        says("narrower", "narrow"),
        "An interval that may miss more often can be narrower. Coverage is a promise, width is its price.",
        ("Set changes to {'twin.coverage': 0.5} and run again.", "Compare how tall the band of the forecast is."),
        {"wider": "A wider interval would contain more readings, not fewer."},
    ),
    "01.2": Exercise(
        near(0.5, 0.02),
        "The head is linear in what you do, so half the minutes give half the effect. Bodies are not quite so simple: "
        "that is a limit of this twin, and the price of an answer that can be computed on encrypted numbers.",
        ("Ask what_if for 20 and for 40 minutes at the same hour.", "Divide the two effects of the first hour."),
        {"2": "That is forty over twenty; the question asks for twenty over forty."},
    ),
    "01.3": Exercise(
        says("readings"),
        "The trainer held everybody's readings. Federated learning, later in this course, keeps them at home.",
        ("Look at the transcript: which row has the trainer as receiver?", "The column `what` of that row."),
        {"weights": "The weights left the trainer; the question is what came to it."},
    ),
    "02.1": Exercise(
        says("yes"),
        "The days need not overlap. What is compared is the routine, and that outlasts two weeks.",
        ("Which days does the attacker of this notebook know?", "Read what the threat says that the attacker knows."),
        {"no": "Look at the first sentence that was printed: the attacker knows other, earlier days."},
    ),
    "02.2": Exercise(
        says("no", "false"),
        "A blind guess falls to a hundredth. The attack falls far more slowly, since people who look alike by chance "
        "stay rare.",
        (
            "Compare the line of all signals with the line of a blind guess.",
            "Read the line of all signals at 100 and at 10,000.",
        ),
        {"yes": "That is what a blind guess does. Look at the line of all signals."},
    ),
    "02.3": Exercise(
        says("time", "times", "its time", "size", "its size", "sizes", "when", "length", "its length"),
        "Sizes and times are seen by everybody on the way. Only padding and sending at fixed times, or through others, "
        "hides them.",
        ("What does the network see of a sealed letter?", "The row of the table that is padded lacks two things."),
        {"content": "That is what encryption hides.", "key": "Nobody has it."},
    ),
    "03.1": Exercise(
        near(4.0, 0.15),
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
    "03.2": Exercise(
        near(84.0, 0.01),
        "24 readings on each of 7 days, 0.5 each. The promise of one reading is not the promise of a person.",
        ("How many readings does the device send in a week?", "7 * 24 readings, each with its own loss."),
        {
            "0.5": "That is one reading. The device sends one every hour, and losses add up.",
            "12": "That is one day.",
            "3.5": "That counts one reading a day; the device sends one an hour.",
            "168": "That is the number of readings; each costs 0.5.",
        },
    ),
    "03.3": Exercise(
        says("population"),
        "Taking turns, each with the whole budget, beats everybody whispering: noise falls with epsilon itself, and "
        "only with the root of the number of people.",
        (
            "Look for both words in the chart of stream errors.",
            "Compare their bars at the same epsilon, without filter.",
        ),
        {"budget": "Compare the bars: with a 24th of the budget each reading is about 24 times as noisy."},
    ),
    "04.1": Exercise(
        says("no"),
        "Two trainings cost less than twice one: privacy losses add up like independent errors, nearly as the root of "
        "their number, and a tight accountant knows it.",
        ("Print ledger.entries().", "Compare total_epsilon of the second row with twice that of the first."),
        {"yes": "Adding epsilons up is true but loose; look at ledger.entries()."},
    ),
    "04.2": Exercise(
        says("twin, zero budget", "zero budget"),
        "Its shared part saw nobody. Whatever is released must beat it to be worth a person's privacy.",
        ("Look at the column `model`.", "It is the twin whose name says what it cost."),
        {"persistence": "It costs nothing either, but it is no twin; look for the twin that saw nobody."},
    ),
    "04.3": Exercise(
        says("far more", "more"),
        "Each row pulls, and all of a person's rows may pull the same way. That is why the unit must be said.",
        ("Choose a training row as unit in the panel and read the sentence.", "How many rows can one person hide in?"),
        {"1": "That is what one row costs; a person has many, and they pull together."},
    ),
}
