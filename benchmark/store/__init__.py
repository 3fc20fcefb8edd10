"""The leaderboard's database: the only package with SQL. A row that is written is never changed; the newest row is the
current one."""

from benchmark.store.check import Status as Status
from benchmark.store.check import database_status as database_status
from benchmark.store.merge import Merged as Merged
from benchmark.store.rows import IMPORTED as IMPORTED
from benchmark.store.rows import IMPORTED_KINDS as IMPORTED_KINDS
from benchmark.store.rows import PAIRED as PAIRED
from benchmark.store.rows import Chunk as Chunk
from benchmark.store.rows import Observation as Observation
from benchmark.store.rows import ObserverRow as ObserverRow
from benchmark.store.rows import Outcome as Outcome
from benchmark.store.rows import ScoreRow as ScoreRow
from benchmark.store.rows import ScoreSet as ScoreSet
from benchmark.store.rows import StimuliNote as StimuliNote
from benchmark.store.rows import StimuliRecord as StimuliRecord
from benchmark.store.rows import StoredObservation as StoredObservation
from benchmark.store.store import Store as Store
from benchmark.store.store import open_store as open_store
from benchmark.store.versions import require_usable as require_usable
