"""Claim: a secret sum is the plain sum, t parties together learn nothing from their shares, and altering is found."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from twinlab.errors import ProtocolError, SpecificationError
from twinlab.protection.joint import Party, SharingTerms, add_secretly, choose_fixed_point
from twinlab.protection.joint.field import PRIME
from twinlab.protection.joint.share import open_shares, split_secret
from twinlab.protection.joint.share_message import PHASES, pack_elements

#: Of each look at shares; the tests take about a hundred.
FALSE_ALARM_RATE = 1e-9


def name_parties(n_parties):
    return tuple(f"hospital {number + 1}" for number in range(n_parties))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_the_sum_is_the_plain_sum_whoever_drops_out(data):
    n_parties = data.draw(st.integers(3, 9))
    most_colluding = data.draw(st.integers(1, (n_parties - 1) // 2))
    shape = data.draw(st.sampled_from([(), (1,), (7,), (2, 3), (2, 1, 4)]))
    largest = data.draw(st.sampled_from([1e-6, 1.0, 37.5, 1e9]))
    fraction_bits = data.draw(st.sampled_from([None, 8]))
    numbers = st.floats(-largest, largest) | st.sampled_from([largest, -largest, 0.0])
    n_values = int(np.prod(shape))
    vectors = [
        np.array(data.draw(st.lists(numbers, min_size=n_values, max_size=n_values))).reshape(shape)
        for _ in range(n_parties)
    ]
    names = name_parties(n_parties)
    n_gone = data.draw(st.integers(0, n_parties - most_colluding - 1))
    gone = {names[who]: data.draw(st.sampled_from(["open", "confirm"])) for who in range(n_gone)}
    found = add_secretly(
        vectors, most_colluding, largest=largest, fraction_bits=fraction_bits, names=names, vanish=gone
    )
    grid = choose_fixed_point(largest=largest, n_parties=n_parties, fraction_bits=fraction_bits)
    exact = np.sum(np.array(vectors, dtype=np.longdouble), axis=0)
    assert found.total.shape == shape
    assert np.abs(found.total - exact).max() <= found.worst_error
    assert found.worst_error <= n_parties * (grid.step / 2 + largest * 2.0**-53)
    assert found.opened_by == names[n_gone:]


def test_too_few_left_open_nothing_and_a_missing_party_is_named():
    vectors, names = [np.ones(2)] * 5, name_parties(5)
    with pytest.raises(ProtocolError, match=r"^share: expected shares of all 5 parties, got none from hospital 4;"):
        add_secretly(vectors, 2, largest=1, names=names, vanish={"hospital 4": "share"})
    with pytest.raises(ProtocolError, match="at least 3 parties, got 2; missing: hospital 1, hospital 2, hospital 3;"):
        add_secretly(vectors, 2, largest=1, names=names, vanish=dict.fromkeys(names[:3], "open"))


def test_two_parties_and_half_colluding_are_refused():
    with pytest.raises(SpecificationError, match="expected at least 3, got 2; two are not protected at all"):
        add_secretly([np.ones(1)] * 2, 1, largest=1)
    for n_parties, most_colluding in [(3, 0), (3, 2), (4, 2), (5, 3)]:
        with pytest.raises(SpecificationError, match=r"^most_colluding: expected from 1 to"):
            add_secretly([np.ones(1)] * n_parties, most_colluding, largest=1)


# What t parties hold


def looks_like(counts, expected):
    """Whether counts are what chance makes of the expected ones: not too far, nor too close."""
    statistic = float(((counts - expected) ** 2 / expected).sum())
    n_free = counts.size - 1
    return min(chi2.sf(statistic, n_free), chi2.cdf(statistic, n_free)) > FALSE_ALARM_RATE / 2


def count_cells(shares):
    """How often each combination of high bits, and of low bits, of one or two parties' shares occurs."""
    bits = 8 // len(shares)
    high = low = np.zeros(shares[0].size, dtype=np.int64)
    for share in shares:
        high = (high << bits) + (share >> np.uint64(61 - bits)).astype(np.int64)
        low = (low << bits) + (share & np.uint64(2**bits - 1)).astype(np.int64)
    return [np.bincount(cells, minlength=256).astype(float) for cells in (high, low)]


def differ(ones, others):
    """Whether two samples of equal size come from different distributions, by a chi-square of homogeneity."""
    both = ones + others
    seen = both > 0
    statistic = float(((ones - others)[seen] ** 2 / both[seen]).sum())
    return chi2.sf(statistic, int(seen.sum()) - 1) < FALSE_ALARM_RATE


SECRETS = [np.zeros(40_000, dtype=np.uint64), np.full(40_000, PRIME // 3, dtype=np.uint64)]


@pytest.mark.parametrize(("n_parties", "most_colluding"), [(3, 1), (5, 2)])
def test_what_t_parties_hold_is_uniform_and_the_same_for_every_secret(n_parties, most_colluding):
    points = range(1, n_parties + 1)
    shares = [split_secret(secret, points, most_colluding + 1) for secret in SECRETS]
    for group in combinations(points, most_colluding):
        counts = [count_cells([each[point] for point in group]) for each in shares]
        assert all(looks_like(each, 40_000 / 256) for pair in counts for each in pair)
        assert not any(differ(one, other) for one, other in zip(*counts, strict=True))


def test_one_more_opens_the_secret():
    """The control: whoever has t + 1 shares has everything, any t + 1 of them."""
    for secret in SECRETS:
        shares = split_secret(secret, range(1, 6), 3)
        for group in combinations(shares, 3):
            assert (open_shares({point: shares[point] for point in group}, 3) == secret).all()


def split_carelessly(secret, points):
    """A naive way: coefficients of 48 bits, which look random and do not reach around the field."""
    slope = np.random.default_rng(1).integers(0, 2**48, secret.size, dtype=np.uint64)
    return {point: (secret + slope * np.uint64(point)) % np.uint64(PRIME) for point in points}


def test_the_tests_of_uniformity_find_careless_shares():
    shares = [split_carelessly(secret, range(1, 4)) for secret in SECRETS]
    for point in range(1, 4):
        counts = [count_cells([each[point]]) for each in shares]
        assert not looks_like(counts[0][0], 40_000 / 256)
        assert differ(counts[0][0], counts[1][0])


def look_through(vectors):
    """All that hospital 1 sees of the others in a whole sum, two things at a time, as counts."""
    found = add_secretly(vectors, 1, largest=1000.0, names=name_parties(3))
    seen = [message.payload for message in found.messages.seen_by("hospital 1") if "hash" not in message.kind]
    assert len(seen) == 4
    return [counts for pair in combinations(seen, 2) for counts in count_cells(pair)]


def test_what_a_party_sees_of_a_whole_sum_depends_on_the_sum_alone(monkeypatch):
    """Opening included: others' vectors of nothing, and huge ones that cancel each other."""
    nothing, huge = np.zeros(20_000), np.full(20_000, 999.0)
    views = [look_through([nothing, other, -other]) for other in (nothing, huge)]
    assert not any(differ(one, other) for one, other in zip(*views, strict=True))
    # The control: the same look at careless shares tells the two apart.
    monkeypatch.setattr("twinlab.protection.joint.party.split_secret", lambda *given: split_carelessly(*given[:2]))
    views = [look_through([nothing, other, -other]) for other in (nothing, huge)]
    assert any(differ(one, other) for one, other in zip(*views, strict=True))


def test_two_colluding_parties_of_three_open_the_third_from_what_they_saw():
    """The demonstration: with t = 1, parties 1 and 2 pool their shares of party 3's vector. One alone has noise."""
    vectors = [np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([71.25, -8.5])]
    found = add_secretly(vectors, 1, largest=100.0, names=name_parties(3))
    seen = {
        point: message.payload
        for point, who in enumerate(name_parties(3)[:2], start=1)
        for message in found.messages.seen_by(who)
        if message.kind == "share of a vector" and message.sender == "hospital 3"
    }
    opened = open_shares(seen, 2)
    assert (opened == found.terms.fixed_point.encode(vectors[2])).all()
    assert all((share != opened).all() for share in seen.values())


# A party that lies


def read_phase(message):
    return PHASES[message[5]]


def lie(phase, liars, only_to=()):
    """A carrier that alters what liars send in a phase: to everybody, or to some."""

    def carry(sender, receiver, message):
        if read_phase(message) != phase or sender not in liars or (only_to and receiver not in only_to):
            return message
        if phase == "confirm":
            return message[:-1] + bytes([message[-1] ^ 1])
        return move_elements(message, np.uint64(12_345))

    return carry


def move_elements(message, by):
    """The same message with something added to its four elements."""
    return message[:-32] + pack_elements((np.frombuffer(message[-32:], dtype="<u8") + by) % PRIME)


def run_with(phase, liars, n_parties, most_colluding, *, only_to=(), vanish=None):
    names = name_parties(n_parties)
    vectors = [np.arange(4.0) + number for number in range(n_parties)]
    carry = lie(phase, liars, only_to)
    return add_secretly(vectors, most_colluding, largest=100.0, names=names, carry=carry, vanish=vanish)


@pytest.mark.parametrize("liar", name_parties(3))
def test_an_altered_share_of_the_sum_is_found(liar):
    with pytest.raises(ProtocolError, match="somebody altered one, and to tell who takes 4 shares"):
        run_with("open", {liar}, 3, 1)


@pytest.mark.parametrize(("n_parties", "most_colluding"), [(4, 1), (7, 2)])
def test_with_more_than_three_times_as_many_the_liars_are_named(n_parties, most_colluding):
    for liars in combinations(name_parties(n_parties), most_colluding):
        # Hospital 1 is the first to look, and what it has itself was not altered on the way.
        seen = ", ".join(liar for liar in liars if liar != "hospital 1") or "hospital 1"
        with pytest.raises(ProtocolError, match=f"one that does not from {seen}: it was altered there, or"):
            run_with("open", set(liars), n_parties, most_colluding)


def test_who_was_dealt_a_bad_share_is_found_and_may_be_named_though_another_lied():
    with pytest.raises(ProtocolError, match="one that does not from hospital 2: it was altered there, or somebody had"):
        run_with("share", {"hospital 1"}, 4, 1, only_to=("hospital 2",))


def test_liars_that_could_frame_an_honest_party_get_nobody_named():
    """Five parties, two liars: their shares lie on one polynomial with two honest ones, so the fifth looks false."""

    def carry(sender, receiver, message):
        if read_phase(message) != "open" or sender not in {"hospital 1", "hospital 2"}:
            return message
        # (x - 3)(x - 4), of degree 2, added to the true polynomial: hospitals 3 and 4 still fit, 5 does not.
        point = int(sender[-1])
        return move_elements(message, np.uint64((point - 3) * (point - 4)))

    with pytest.raises(ProtocolError, match="somebody altered one, and to tell who takes 7 shares"):
        add_secretly([np.ones(4)] * 5, 2, largest=1, names=name_parties(5), carry=carry)


def test_different_shares_to_different_parties_are_found_by_the_hash():
    """With one party gone, two shares of degree 1 fit whatever they are: only the comparison tells."""
    with pytest.raises(ProtocolError, match="expected the same sum everywhere, got another from hospital 3"):
        run_with("open", {"hospital 3"}, 3, 1, vanish={"hospital 1": "open"}, only_to=("hospital 2",))


def test_a_lie_about_the_hash_stops_the_others():
    with pytest.raises(ProtocolError, match="expected the same sum everywhere, got another from hospital 2"):
        run_with("confirm", {"hospital 2"}, 3, 1)


def test_without_the_checks_an_altered_share_gives_another_sum():
    """The control: opening by t + 1 shares alone, as a naive party does, takes the altered sum for the true one."""
    shares = split_secret(np.array([6000], dtype=np.uint64), range(1, 4), 2)
    shares[2] = (shares[2] + np.uint64(12_345)) % np.uint64(PRIME)
    opened = {int(open_shares({a: shares[a], b: shares[b]}, 2)[0]) for a, b in combinations(shares, 2)}
    assert len(opened) == 3
    assert 6000 in opened


def run_parties(parties):
    """All phases, with nothing lost and nothing altered."""
    for step in (Party.share, Party.open_sum, Party.confirm):
        for sender, letters in [(party, step(party)) for party in parties]:
            for party in parties:
                if party is not sender:
                    party.accept(sender.name, letters[party.name])
    return [party.finish() for party in parties]


def test_values_beyond_the_bound_show_in_the_sum():
    """A liar that shares a huge vector properly: every check of shares passes, and the sum is out of range."""
    names = name_parties(3)
    terms = SharingTerms(names, 1, 4, choose_fixed_point(largest=1.0, n_parties=3, fraction_bits=8))
    parties = [Party(name, np.ones(4), terms) for name in names]
    parties[0]._secret = np.full(4, 2**59, dtype=np.uint64)
    with pytest.raises(ProtocolError, match="got 4 of 4 beyond that; some party shared values beyond the bound"):
        run_parties(parties)
    assert [list(total) for total in run_parties([Party(name, np.ones(4), terms) for name in names])] == [[3.0] * 4] * 3
