"""When streams begin and when their tokens come: seeded, for the simulation and the real run."""

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Profile:
    """How a stream speaks: bursts of tokens, as of a model, with pauses, as of tools.

    Args:
        rate: Tokens per second in a burst.
        burst: The mean number of tokens in a burst.
        pause: The mean of the pauses before the bursts, in seconds.
        bursts: The number of bursts in a stream.
    """

    rate: float = 50.0
    burst: float = 50.0
    pause: float = 4.0
    bursts: int = 5

    @property
    def seconds(self) -> float:
        """The mean duration of a stream."""
        return self.bursts * (self.pause + self.burst / self.rate)

    @property
    def tokens(self) -> float:
        """The mean number of tokens of a stream."""
        return self.bursts * self.burst

    @property
    def mean_rate(self) -> float:
        """The mean number of tokens per second of an open stream."""
        return self.tokens / self.seconds


def token_times(profile: Profile, seed: int) -> Iterator[float]:
    """Yield when the tokens of one stream come, in seconds after its begin."""
    chance = random.Random(seed)
    now = 0.0
    for _ in range(profile.bursts):
        now += chance.expovariate(1 / profile.pause)
        for _ in range(max(1, round(chance.gauss(profile.burst, profile.burst / 4)))):
            yield now
            now += chance.expovariate(profile.rate)


def arrivals(profile: Profile, streams: float, seconds: float, seed: int) -> Iterator[float]:
    """Yield when streams begin, so that about `streams` are open at once.

    The first ones have begun before time 0, spread over the duration of a stream.
    """
    chance = random.Random(seed)
    now = -profile.seconds
    while now < seconds:
        yield now
        now += chance.expovariate(streams / profile.seconds)
