import torch

from twinlab.twins.interval import IntervalTracker, ScaleTracker

_WIDE = torch.tensor([-1e9]), torch.tensor([1e9])


def _cover(actual, scale, lower=_WIDE[0], upper=_WIDE[1]):
    """Share inside, per person, over the second half; forecasts are zero."""
    n_people, n_hours = actual.shape
    tracker = IntervalTracker(n_people, 1, 1, 0.9, lower, upper)
    inside = []
    for hour in range(n_hours):
        low, high = tracker.interval(torch.zeros(n_people, 1, 1), scale[:, hour].view(-1, 1, 1))
        now = actual[:, hour].view(-1, 1, 1)
        inside.append(((now >= low) & (now <= high)).view(-1))
        tracker.update(now, low, high, torch.ones_like(now, dtype=torch.bool))
    return torch.stack(inside[n_hours // 2 :]).float().mean(0)


def test_ninety_percent_hold_for_every_person_with_skewed_noise_of_changing_size():
    draw = torch.Generator().manual_seed(0)
    size = 1 + 3 * torch.rand(20, 1, generator=draw) + torch.sin(torch.arange(1200) / 40)[None]
    # Log-normal about its middle: far longer above than below.
    noise = (torch.randn(20, 1200, generator=draw).exp() - 1.2) * size
    # The scale handed over is wrong by another factor for each person.
    scale = torch.ones(20, 1200) * (2 + 4 * torch.rand(20, 1, generator=draw))
    covered = _cover(noise, scale)
    assert float(covered.min()) > 0.87
    assert float(covered.max()) < 0.93


def test_many_zeros_at_the_bound_count_as_inside():
    draw = torch.Generator().manual_seed(1)
    steps = torch.where(torch.rand(10, 1200, generator=draw) < 0.6, 0.0, 500 * torch.rand(10, 1200, generator=draw))
    covered = _cover(steps, torch.full_like(steps, 100.0), lower=torch.tensor([0.0]))
    assert float(covered.min()) > 0.87


def test_the_scale_follows_the_hour_of_day():
    tracker = ScaleTracker(1, 1, 1, start=1.0)
    seen = torch.ones(1, 1, 1, dtype=torch.bool)
    for hour in range(24 * 40):
        size = 3.0 if hour % 24 == 12 else 0.1
        tracker.update(hour % 24, torch.full((1, 1, 1), size), seen)
    scale = tracker.scale(torch.tensor([12, 3]), torch.tensor([0, 0]))
    assert float(scale[0, 0, 0]) > 2.0
    assert float(scale[0, 1, 0]) < 0.6
