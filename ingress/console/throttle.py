"""How often a password may be tried: token buckets per address, and per address and account.

Pure: time is an argument.  Invariant: nobody can keep another out.  Both buckets belong to the address that tries, so
that a right password from elsewhere always gets in; what guessing from many addresses costs is for argon2 to say.
"""

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from math import ceil

MAX_BUCKETS = 20_000


@dataclass(frozen=True, slots=True)
class Rate:
    """So many tries at once, and one more each so many seconds."""

    burst: int
    seconds: float


OF_ADDRESS = Rate(20, 6)
OF_ACCOUNT = Rate(5, 30)


class Throttle:
    """What is left to each address; the longest unused is forgotten first."""

    def __init__(self, address: Rate = OF_ADDRESS, account: Rate = OF_ACCOUNT, max_buckets: int = MAX_BUCKETS) -> None:
        self._of_address, self._of_account = address, account
        self._max_buckets = max_buckets
        # Key: until when the bucket would have to fill to be full again, in seconds since 1970.
        self._full_at: OrderedDict[tuple[str, ...], float] = OrderedDict()

    def take(self, address: str, account: str, now: float) -> int:
        """Take one try; returns 0, or how many seconds to wait for it, and then nothing was taken."""
        buckets = self._buckets(address, account)
        wait = max(self._wait(key, rate, now) for key, rate in buckets)
        if wait > 0:
            return ceil(wait)
        for key, rate in buckets:
            self._full_at[key] = max(self._full_at.get(key, now), now) + rate.seconds
            self._full_at.move_to_end(key)
        while len(self._full_at) > self._max_buckets:
            self._full_at.popitem(last=False)
        return 0

    def give_back(self, address: str, account: str) -> None:
        """The try was right: it does not count."""
        for key, rate in self._buckets(address, account):
            if key in self._full_at:
                self._full_at[key] -= rate.seconds

    def _buckets(self, address: str, account: str) -> list[tuple[tuple[str, ...], Rate]]:
        network = _network(address)
        return [((network,), self._of_address), ((network, account), self._of_account)]

    def _wait(self, key: tuple[str, ...], rate: Rate, now: float) -> float:
        missing = max(self._full_at.get(key, now) - now, 0.0)
        return missing - (rate.burst - 1) * rate.seconds


def _network(address: str) -> str:
    """The address, or the /64 around it: whoever has one IPv6 address has 2^64 of them."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    return str(parsed.ipv4_mapped or parsed.exploded[:19])
