"""Plans as bytes: equal on the other side, in another process too, and refused when anything is off."""

import json
import subprocess
import sys
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.errors import EncryptionError
from twinlab.protection.homomorphic import EncryptionPlan, KeyHolder, plan
from twinlab.protection.homomorphic.envelope import open_envelope


@pytest.fixture(scope="module")
def written(logistic):
    return logistic[0].to_bytes()


@pytest.mark.parametrize("kind", ["logistic", "network", "deep network", "convolution", "head"])
@pytest.mark.parametrize("batch", [1, 4000])
def test_a_plan_comes_back_equal(models, kind, batch):
    model, rows = models[kind]
    found = plan(model, rows, batch=batch, tolerance=0.1 / 3)
    again = EncryptionPlan.from_bytes(found.to_bytes())
    assert again == found
    assert again.digest == found.digest
    assert again.rows() == found.rows()
    assert model.describe() == dict(again.shape)


def test_it_is_json_that_anyone_can_read(logistic, written):
    assert json.loads(written)["plan"]["ring"]["ring_degree"] == logistic[0].ring.ring_degree
    assert EncryptionPlan.from_bytes(bytearray(written)) == logistic[0]


#: The other process: a server that gets bytes, and has a model of its own.
SERVE = """
import sys
from pathlib import Path
import numpy as np
from twinlab.protection.homomorphic import EncryptionPlan, LogisticModel, Server
room = Path(sys.argv[1])
agreed = EncryptionPlan.from_bytes((room / "plan").read_bytes())
model = LogisticModel(np.load(room / "weight.npy"), np.load(room / "bias.npy"))
keys, secret = (room / "keys").read_bytes(), (room / "secret").read_bytes()
server = Server.from_bytes(keys, plan=agreed, model=model, secret=secret)
(room / "answer").write_bytes(server.answer((room / "question").read_bytes()))
"""


def test_a_server_in_another_process_is_made_from_bytes_alone(logistic, tmp_path):
    found, model, rows, *_ = logistic
    holder = KeyHolder(found)
    crossing = {
        "plan": found.to_bytes(),
        "keys": holder.public_bytes(),
        "secret": holder.secret,
        "question": holder.encrypt(rows[:2]),
    }
    for name, data in crossing.items():
        (tmp_path / name).write_bytes(data)
    np.save(tmp_path / "weight", model.weight)
    np.save(tmp_path / "bias", model.bias)
    subprocess.run([sys.executable, "-c", SERVE, str(tmp_path)], check=True, timeout=120)
    answer = holder.decrypt((tmp_path / "answer").read_bytes())
    np.testing.assert_allclose(answer, model.answer_plain(rows[:2]), atol=found.tolerance)


def alter(data, at, bit):
    changed = bytearray(data)
    changed[at] ^= 1 << bit
    return bytes(changed)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_what_was_altered_or_cut_is_refused(written, data):
    at = data.draw(st.integers(0, len(written) - 1))
    for wrong in (alter(written, at, data.draw(st.integers(0, 7))), written[:at], written + written[at:]):
        with pytest.raises(EncryptionError, match=r"^plan: expected"):
            EncryptionPlan.from_bytes(wrong)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_anything_else_is_refused(data):
    with pytest.raises(EncryptionError, match=r"^plan: expected"):
        EncryptionPlan.from_bytes(data)


def forge(data, change):
    """Bytes with something changed and the hash computed anew, as somebody who knows how would."""
    frame = json.loads(data)
    change(frame["plan"])
    body = json.dumps(frame.pop("plan"), sort_keys=True, separators=(",", ":"))
    frame["sha256"] = sha256(body.encode()).hexdigest()
    return f'{json.dumps(frame, sort_keys=True, separators=(",", ":"))[:-1]},"plan":{body}}}'.encode()


def put(*path):
    """A change that sets what stands at the end of a path."""
    *way, last, value = path

    def change(plain):
        for step in way:
            plain = plain[step]
        plain[last] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        put("ring", "ring_degree", 5000),
        put("ring", "ring_degree", 16384),
        put("ring", "prime_bits", [60, 60, 60]),
        put("ring", "prime_bits", [36.5, 36, 37]),
        put("layout", "name", "no such layout"),
        put("layout", "n_slots", 10**9),
        put("layout", "n_features", 0),
        put("layout", "n_features", 10**30),
        put("layout", "extra", 1),
        put("stages", 0, "level", 7),
        put("stages", []),
        put("scale_bits", [10**6, 10**6]),
        put("scale_bits", [40]),
        put("input_scale", [1.0]),
        put("input_scale", ["1"] * 9),
        put("input_margin", -1.0),
        put("tolerance", "a little"),
        put("tolerance", float("inf")),
        put("tolerance", 10**400),
        put("share_results", "no"),
        put("batch", True),
        put("question_bound", [1.0] * 9),
        put("shape", "features", 8),
        put("shape", {}),
        put("link", "guess"),
        put("unknown", 1),
        lambda plain: plain.pop("tolerance"),
        lambda plain: plain.clear(),
    ],
)
def test_a_forged_plan_that_fits_no_program_is_refused(written, change):
    with pytest.raises(EncryptionError, match=r"^plan: expected"):
        EncryptionPlan.from_bytes(forge(written, change))


def test_a_forged_plan_that_fits_has_another_digest_and_nobody_else_answers_it(logistic, written):
    """The forgery that works: another scale. Control: forging nothing gives the plan itself."""
    found, _, rows, holder, _ = logistic
    assert EncryptionPlan.from_bytes(forge(written, lambda plain: None)) == found
    other = EncryptionPlan.from_bytes(forge(written, put("input_margin", 1.25)))
    assert other.digest != found.digest
    with pytest.raises(EncryptionError, match="one of another"):
        open_envelope(
            holder.encrypt(rows[:1]), holder.secret, kind="question", plan_digest=other.digest,
            layout=other.layout.name, level=other.question_level, key_id=None,
        )  # fmt: skip


def test_another_version_and_other_spellings_are_refused(written):
    frame = json.loads(written)
    for version in (0, 2, True, "1", None):
        with pytest.raises(EncryptionError, match="format version 1, got another; install the same twinlab"):
            EncryptionPlan.from_bytes(json.dumps({**frame, "version": version}).encode())
    with pytest.raises(EncryptionError, match="exactly as to_bytes writes"):
        EncryptionPlan.from_bytes(json.dumps(frame).encode())
    with pytest.raises(EncryptionError, match="exactly as to_bytes writes"):
        EncryptionPlan.from_bytes(json.dumps({**frame, "note": 1}, separators=(",", ":")).encode())
    with pytest.raises(EncryptionError, match="got something else"):
        EncryptionPlan.from_bytes(json.dumps({**frame, "format": "a cake"}).encode())


def test_too_long_or_too_deep_is_refused():
    for data in (b"[" * 200_000, b" " * (1 << 21) + b"{}"):
        with pytest.raises(EncryptionError, match=r"^plan: expected"):
            EncryptionPlan.from_bytes(data)
