"""What pruning did, and what went as it was old, in numbers."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ExpireReport", "PruneReport"]


@dataclass(frozen=True)
class PruneReport:
    """What pruning did.

    Attributes
    ----------
    num_before, num_kept : int
        Observations before and after.
    num_isolated : int
        Of those that stayed: how many have no other to be read from.
    num_own_error : int
        How many the rest would tell with more than the tolerated error.
    num_needed : int
        How many some other could not do without, one that has gone, or, where what stays is
        certified, too, any.
    num_kept_within : int
        Of those that stayed: how many are read, at their places and with themselves, within the
        tolerance. Only with ``certify="all"`` are these all that were so before.
    num_witnesses : int
        Observations that had gone before, and against which this was certified, too.
    num_lost_witnesses : int
        Such that were out of tolerance before this began, as what they leaned on was deleted,
        replaced or contradicted. They are no longer held against anything.
    worst_error, mean_error : float
        Of what went, read from what is left; zero if nothing went.
    max_error_to_prune : float
        The tolerance.
    seconds : float
    rows : tuple of PruneReport
        On each row, if this is on a batch.
    """

    num_before: int
    num_kept: int
    num_isolated: int
    num_own_error: int
    num_needed: int
    num_kept_within: int
    num_witnesses: int
    num_lost_witnesses: int
    worst_error: float
    mean_error: float
    max_error_to_prune: float
    seconds: float

    rows: tuple[PruneReport, ...] = ()

    @property
    def num_removed(self) -> int:
        """How many went."""
        return self.num_before - self.num_kept

    @classmethod
    def joined(cls, reports: list[PruneReport]) -> PruneReport:
        """Report on all rows of a batch: sums, and errors over all that went."""
        if len(reports) == 1:
            return reports[0]
        names = [
            *("num_before", "num_kept", "num_isolated", "num_own_error", "num_needed"),
            *("num_kept_within", "num_witnesses", "num_lost_witnesses", "seconds"),
        ]
        sums = {name: sum(getattr(report, name) for report in reports) for name in names}
        removed = sum(report.num_removed for report in reports)
        errors = sum(report.mean_error * report.num_removed for report in reports)
        return cls(
            **sums,
            worst_error=max(report.worst_error for report in reports),
            mean_error=errors / max(removed, 1),
            max_error_to_prune=reports[0].max_error_to_prune,
            rows=tuple(reports),
        )

    def __str__(self) -> str:
        return (
            f"{self.num_removed} of {self.num_before} observations went, {self.num_kept} stayed "
            f"({self.num_isolated} isolated, {self.num_own_error} not told by the rest, "
            f"{self.num_needed} needed by others); error of what went: mean "
            f"{self.mean_error:.3g}, worst {self.worst_error:.3g}, tolerated "
            f"{self.max_error_to_prune:g}, within which {self.num_kept_within} of those that "
            f"stayed are read; {self.seconds:.2g} s"
        )


@dataclass(frozen=True)
class ExpireReport:
    """What went as it was old.

    Attributes
    ----------
    num_before, num_kept : int
        Observations before and after.
    before : float
        The time, before which all went.
    rows : tuple of ExpireReport
        On each row, if this is on a batch.
    """

    num_before: int
    num_kept: int
    before: float

    rows: tuple[ExpireReport, ...] = ()

    @property
    def num_removed(self) -> int:
        """How many went."""
        return self.num_before - self.num_kept

    @classmethod
    def joined(cls, reports: list[ExpireReport]) -> ExpireReport:
        """Report on all rows of a batch: sums."""
        if len(reports) == 1:
            return reports[0]
        before, kept = (sum(r.num_before for r in reports), sum(r.num_kept for r in reports))
        return cls(before, kept, reports[0].before, tuple(reports))

    def __str__(self) -> str:
        return (
            f"{self.num_removed} of {self.num_before} observations went, {self.num_kept} stayed: "
            f"those from {self.before:g} on"
        )
