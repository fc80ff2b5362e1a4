"""Exercises of notebooks 05 to 07: devices, sums and encryption."""

from typing import Final

from twinlab.course.exercise import Exercise, near, says

DEVICE_EXERCISES: Final[dict[str, Exercise]] = {
    "05.1": Exercise(
        says("no", "false"),
        "Bound, noise and divisor are all declared beforehand. Whoever vanishes adds nothing, which is what the noise "
        "hides anyway. What suffers is the error.",
        (
            "Compare result.releases[0].guarantee for dropout = 0 and dropout = 0.3.",
            "What is the noisy sum divided by: by those who answered, or by a declared number?",
        ),
        {"yes": "Run it with dropout = 0 and compare the guarantees: epsilon is the same."},
    ),
    "05.2": Exercise(
        says("local"),
        "Alone, a person's few weeks are too little for most people. The head starts from what all have learned and "
        "changes only as far as the readings say.",
        ("Look at the column hurt_against_global.", "Compare the rows local and bayesian_head there."),
        {"head": "The head hurts some, too, but compare its share with that of local training."},
    ),
    "05.3": Exercise(
        says("no", "false"),
        "A median compares single updates, and a secure sum exists so that nobody can. Choose what you fear more: "
        "liars, or the server. A bound on every update works with both.",
        (
            "Try exploration.run({'strategy': 'fedmedian', 'aggregation': 'secure'}).",
            "Read the error: which neighbours does it name?",
        ),
        {"yes": "Try it; the experiment refuses the mix before any device is asked."},
    ),
    "06.1": Exercise(
        says("no", "false"),
        "A shorter update points the same way, and the record is a ratio of its numbers, in which the length cancels. "
        "A bound is there for noise to be measured by.",
        (
            "Compare the two columns of the first chart.",
            "The record is weights divided by biases. What becomes of a ratio when both are halved?",
        ),
        {"yes": "Compare the columns of the first chart: one is the same update at a tenth of its length."},
    ),
    "06.2": Exercise(
        near(9, 0.01),
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
    "06.3": Exercise(
        says("noise"),
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
    "07.1": Exercise(
        near(41, 0.01),
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
    "07.2": Exercise(
        near(1, 0.01),
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
    "07.3": Exercise(
        says("the key", "key"),
        "A decrypted number is answer plus noise, and that noise is an equation in the key. Two of them are enough. "
        "Plan with share_results, or add whole numbers, whose results are exact.",
        ("Look at the second chart.", "Which row of that chart was published without a plan for it?"),
        {
            "the model": "The model is at stake, too, but there is something worse, and two results are enough for it.",
            "nothing": "The ciphers are unbroken, and still: look at the second chart.",
        },
    ),
}
