"""A checkout that was moved or copied: MLflow's database tells artifacts by their full path.

Where the artifacts lie beside the database, but the database tells another folder, its entries are brought in line.
"""

import contextlib
import sqlite3
from pathlib import Path

#: Every column of MLflow's tables that holds the address of an artifact.
ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def follow_the_checkout(database: Path, experiment_id: str) -> None:
    """Corrects the addresses of an experiment's artifacts after the database and `mlartifacts/` came elsewhere.

    Args:
        database: the SQLite file; no other process of this project may write to it meanwhile.
        experiment_id: whose artifacts; a user's own place for them, not beside the database, is left as it is.
    """
    with contextlib.closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        question = "SELECT artifact_location FROM experiments WHERE experiment_id = ?"
        ((location,),) = connection.execute(question, (int(experiment_id),))
        before, _, name = location.rpartition("/")
        here = database.parent / "mlartifacts"
        now = here.as_uri()
        if before == now or not before.startswith("file:") or not before.endswith("/mlartifacts"):
            return
        if not here.joinpath(name).is_dir():
            return
        for table, column in ADDRESSES:
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                (f"{now}/{name}/", len(before) + len(name) + 3, len(before) + len(name) + 2, f"{before}/{name}/"),
            )
        connection.execute(
            "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?",
            (f"{now}/{name}", int(experiment_id)),
        )
