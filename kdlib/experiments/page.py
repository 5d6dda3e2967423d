"""A page of the book with a notebook. A chapter with runs of its own declares it in its module, as `CHAPTER`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kdlib.experiments.design import Design


@dataclass(frozen=True)
class Chapter:
    """A page: `notebooks/<number>_<stem>.py`."""

    number: int  # its place in the book
    stem: str  # by which claims name it
    title: str
    plan: Callable[["Design"], dict] | None = None  # {condition: [one spec per trial]}; none: it shows those of others
    settings: tuple[str, ...] = ()  # of a profile: one without them has no runs of this chapter
    reads: tuple[str, ...] = ()  # the chapters whose runs it shows, besides its own
    shown: tuple[str, ...] = ()  # its conditions, by their first words, that it shows whether or not a claim reads them

    @property
    def name(self) -> str:
        """By which notebooks, records and the command line know it."""
        return f"{self.number:02d}_{self.stem}"

    def runs(self, d: "Design") -> dict:
        """`plan(d)`, {condition: [one spec per trial]}, {} where its profile does not have this chapter; of a profile
        that demonstrates nothing only what claims read, and what is `shown`; of a brief design not what takes long."""
        if not self.plan or not all(getattr(d.profile, name) for name in self.settings):
            return {}
        rows = {name: row for name, row in self.plan(d).items() if d.has(row)}
        if d.profile.demonstrates:
            return rows
        from kdlib.experiments.claims import claims_at  # which know all chapters
        from kdlib.experiments.standings import asked_by

        asked = asked_by([claim for claim in claims_at(d.profile).values() if claim.chapter == self.stem], d)
        return {name: row for name, row in rows.items() if name in asked or name[0] in self.shown}
