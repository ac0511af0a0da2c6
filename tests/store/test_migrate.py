"""The schema's history, and the file that it is kept in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from pysqlite3 import dbapi2 as sqlite

import ron_kms.store
from ron_kms.errors import ConfigurationError, StoreCorrupt, StoreUnavailable
from ron_kms.store.migrate import migrate, revisions
from ron_kms.store.schema import METADATA
from ron_kms.store.sqlite import transaction
from tests.store.sample import Place


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_steps_end_at_the_schema(place: Place) -> None:
    migrate(place.url)
    with transaction(place.file) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
        for table in METADATA.sorted_tables:
            found = connection.exec_driver_sql(f'PRAGMA table_info("{table.name}")').all()
            # name, whether it must be there, place in the primary key
            primary = [column.name for column in table.primary_key]
            told = [(row[1], bool(row[3]), row[5]) for row in found]
            expected = [
                (column.name, not column.nullable, primary.index(column.name) + 1 if column.primary_key else 0)
                for column in table.columns
            ]
            assert told == expected


def test_steps_are_known_without_alembic() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(ron_kms.store.__path__[0]) / "migrations"))
    newest_first = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert revisions() == newest_first[::-1]


def test_migrating_again_changes_nothing(place: Place) -> None:
    migrate(place.url)
    before = place.file.read_bytes()
    migrate(place.url)
    assert place.file.read_bytes() == before


def test_starters_at_once_make_one_store(place: Place) -> None:
    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(migrate, place.url) for _ in range(4)]:
            future.result()
    with transaction(place.file) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM alembic_version").scalar() == 1


def test_a_step_that_fails_leaves_nothing_behind(place: Place) -> None:
    place.folder.mkdir()
    with sqlite.connect(str(place.file)) as raw:
        raw.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        raw.execute("CREATE TABLE operations (x)")
    raw.close()
    with pytest.raises(StoreCorrupt, match="alembic_version"):
        migrate(place.url)
    with transaction(place.file) as connection:
        tables = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars().all()
    assert sorted(tables) == ["alembic_version", "operations"]


def test_another_program_s_database_is_refused(place: Place) -> None:
    place.folder.mkdir()
    with sqlite.connect(str(place.file)) as raw:
        raw.execute("CREATE TABLE songs (title)")
    raw.close()
    with pytest.raises(StoreCorrupt, match="alembic_version"):
        migrate(place.url)


def test_folder_and_file_are_private(place: Place) -> None:
    migrate(place.url)
    assert mode(place.folder) == 0o700
    store = place.open()
    store.database.write(lambda connection: None).result()
    for suffix in ("", "-wal", "-shm"):
        assert mode(Path(f"{place.file}{suffix}")) == 0o600
    store.close()


def test_a_file_that_others_could_read_is_made_private(place: Place) -> None:
    migrate(place.url)
    place.file.chmod(0o664)
    migrate(place.url)
    assert mode(place.file) == 0o600


def test_a_folder_that_was_there_is_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    migrate(f"sqlite:///{tmp_path}/keys.db")
    assert mode(tmp_path) == 0o755
    assert mode(tmp_path / "keys.db") == 0o600


def test_names_with_signs_that_mean_something_in_urls_work(tmp_path: Path) -> None:
    place = Place(tmp_path / "a #b%20c?d=e&f:g@h")
    place.open().close()
    assert place.file.exists()


def test_a_folder_or_file_that_cannot_be_used_is_refused_by_name(tmp_path: Path) -> None:
    """Permissions keep nobody out who is root, as tests may be: a file where a folder belongs stops everyone."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigurationError, match=f"{tmp_path}/file"):
        migrate(f"sqlite:///{tmp_path}/file/keys.db")
    (tmp_path / "folder.db").mkdir(mode=0o700)
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        migrate(f"sqlite:///{tmp_path}/folder.db")


def test_the_steps_are_shipped_with_the_package() -> None:
    folder = Path(ron_kms.store.__path__[0]) / "migrations"
    assert (folder / "env.py").exists()
    assert list((folder / "versions").glob("0001_*.py"))
