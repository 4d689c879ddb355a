"""Large checks: every group in chunks that any process can do in any order, with the same report in the end.

A chunk is all cases of a group at some level, a run of consecutive inputs of a carrier, or random cases. What it holds
depends on its number and the seed alone. Its result is counts and some of its cases, so that memory stays flat, and
goes into a ledger. The report is made from the ledger, in the order of the chunks.

`plan` cuts a check into chunks, `chunk` does one, `merge` makes groups of the results, `ledger` keeps them, `workers`
are the processes and machines, and `drive` brings these together.
"""

from __future__ import annotations

from conformance.campaign.drive import check_in_chunks, finish, work
from conformance.campaign.ledger import Ledger
from conformance.campaign.plan import Chunk, Plan, make_plan
from conformance.campaign.workers import Cluster, Crew, Here, Pool, Settings

__all__ = [
    "Chunk",
    "Cluster",
    "Crew",
    "Here",
    "Ledger",
    "Plan",
    "Pool",
    "Settings",
    "check_in_chunks",
    "finish",
    "make_plan",
    "work",
]
