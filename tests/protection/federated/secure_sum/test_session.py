import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from twinlab.errors import ProtocolError, SpecificationError
from twinlab.protection.federated import secure_sum
from twinlab.protection.federated.secure_sum import add_securely
from twinlab.protection.federated.secure_sum.messages import PHASES

VECTORS = np.random.default_rng(1).uniform(-1, 1, (6, 1000))


def test_a_sum_says_what_it_cost_and_what_the_server_saw():
    found = add_securely(VECTORS, bound=1.0, drop={"mask": {1}, "unmask": {3}}, threshold=4)
    assert found.members == tuple(found.masked) == (0, 2, 3, 4, 5)
    assert set(found.bytes_up) == set(found.bytes_down) == set(found.seconds) == set(PHASES)
    assert found.bytes_up["mask"] == 5 * (4 * 1000 + 5 + 8 + 8 + 4)
    assert found.bytes_down["advertise"] == 0
    assert all(found.bytes_down[phase] > 0 for phase in PHASES[1:])
    assert all(seconds > 0 for seconds in found.seconds.values())
    assert "array" not in repr(found)


def test_the_threshold_left_open_is_a_majority():
    assert add_securely(VECTORS, bound=1.0, drop={"mask": {0, 1}}).members == (2, 3, 4, 5)
    with pytest.raises(ProtocolError, match="mask: expected at least 4 clients, got 3"):
        add_securely(VECTORS, bound=1.0, drop={"mask": {0, 1, 2}})
    with pytest.raises(ProtocolError, match="mask: expected at least 5 clients, got 4"):
        add_securely(VECTORS, bound=1.0, drop={"mask": {0, 1}}, most_colluding=2)


def test_two_clients_are_the_fewest():
    assert np.abs(add_securely(VECTORS[:2], bound=1.0).total - VECTORS[:2].sum(0)).max() < 1e-8
    with pytest.raises(SpecificationError, match=r"expected shape \(client, parameter\)"):
        add_securely(VECTORS[:0], bound=1.0)
    with pytest.raises(ProtocolError, match="at least 2 clients, got 1"):
        add_securely(VECTORS[:1], bound=1.0)


def test_malformed_requests_are_refused():
    for arguments, reason in (
        ({"drop": {"sleep": {1}}}, "drop: expected phases among advertise"),
        ({"drop": {"mask": {6}}}, "drop: expected rows from 0 to 5, got 1 others"),
        ({"threshold": 1}, "threshold: expected at least 2"),
        ({"bound": 1e9}, "lower the clip bound"),
    ):
        with pytest.raises(SpecificationError, match=reason):
            add_securely(VECTORS, **{"bound": 1.0, **arguments})
    with pytest.raises(SpecificationError, match=r"expected shape \(client, parameter\)"):
        add_securely(VECTORS[0], bound=1.0)
    with pytest.raises(ProtocolError, match=r"threshold above \(6 clients"):
        add_securely(VECTORS, bound=1.0, threshold=3)


@pytest.mark.parametrize("name", secure_sum.__all__)
def test_every_public_name_is_there_and_says_what_it_does(name):
    assert getattr(secure_sum, name).__doc__
    assert getattr(secure_sum, name).__module__.endswith(secure_sum._HOMES[name])


def test_names_are_listed_once_for_people_and_once_for_editors():
    tree = ast.parse(Path(secure_sum.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    editors = {alias.name for node in block.body for alias in node.names}
    assert editors == set(secure_sum.__all__) == set(secure_sum._HOMES)
    assert dir(secure_sum) == secure_sum.__all__ == sorted(editors)
    with pytest.raises(AttributeError, match="add_securely"):
        _ = secure_sum.add_secure


def test_the_namespace_itself_loads_nothing_heavy():
    code = (
        "import sys, twinlab.protection.federated.secure_sum;print([m for m in ('numpy', 'flwr') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
