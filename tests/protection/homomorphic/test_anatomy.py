import numpy as np
import pytest

from twinlab.errors import EncryptionError
from twinlab.protection.homomorphic import EncryptedHead, KeyHolder, LinearModel, SquareNetwork, ask, plan, set_up
from twinlab.protection.homomorphic.anatomy import list_message_parts

MODEL = LinearModel(np.full((2, 5), 0.3), np.zeros(2))
ROWS = np.linspace(-1, 1, 10).reshape(2, 5)


@pytest.fixture(scope="module")
def messages():
    parameters = plan(MODEL, ROWS)
    holder, server, _ = set_up(parameters, MODEL)
    asked = {message.kind: message.payload for message in ask(parameters, holder, server, ROWS).messages}
    return {"set-up": holder.public_bytes(), **asked}


def find(parts, name):
    return next(part for part in parts if part["part"] == name)


def test_parts_add_up_to_the_message_and_say_what_they_are(messages):
    for kind, content in (
        ("set-up", "evaluation keys"),
        ("encrypted question", "ciphertext"),
        ("encrypted answer", "ciphertext"),
    ):
        parts = list_message_parts(messages[kind])
        assert sum(part["bytes"] for part in parts) == len(messages[kind])
        assert find(parts, "kind")["meaning"].startswith(kind.removeprefix("encrypted "))
        assert find(parts, content)["bytes"] > 0.9 * len(messages[kind])
        assert find(parts, "magic")["bytes"] == 4
        assert find(parts, "tag")["bytes"] == 32
    assert "2 questions" in find(list_message_parts(messages["encrypted question"]), "counts")["meaning"]


def test_a_message_names_the_plan_and_the_key_that_it_is_for(messages):
    holder = KeyHolder(plan(MODEL, ROWS))
    parts = list_message_parts(holder.encrypt(ROWS))
    assert find(parts, "key id")["meaning"].startswith(holder.key_id.hex()[:12])
    assert find(parts, "plan hash")["meaning"].startswith(holder.plan.digest.hex()[:12])
    others = list_message_parts(messages["encrypted question"])
    assert find(others, "key id") != find(parts, "key id")
    assert find(others, "plan hash") == find(parts, "plan hash")


def test_many_ciphertexts_are_one_part():
    weights = (np.full((3, 2), 0.2), np.full((2, 2), 0.2), np.ones((2, 1)))
    network = SquareNetwork(weights, (np.zeros(2), np.zeros(2), np.zeros(1)))
    holder = KeyHolder(plan(network, np.ones((2, 3)), batch=3000))
    wire = holder.encrypt(np.ones((4, 3)))
    part = find(list_message_parts(wire), "ciphertext")
    assert part["meaning"].startswith("3 ciphertexts")
    assert sum(each["bytes"] for each in list_message_parts(wire)) == len(wire)


def test_what_is_in_the_clear_is_called_so():
    holder = KeyHolder(plan(EncryptedHead(np.ones((1, 3))), np.ones((1, 3))))
    parts = list_message_parts(holder.write_question(np.ones((1, 3))), is_plain=True)
    assert "the provider may read" in find(parts, "in the clear")["meaning"]


def test_what_is_no_message_has_no_parts(messages):
    wire = messages["encrypted question"]
    for broken in (b"", b"nonsense" * 20, wire[:40], wire[:-1], wire + b"0", b"XXXX" + wire[4:], b"TWHE"):
        with pytest.raises(EncryptionError, match="expected an envelope"):
            list_message_parts(broken)
