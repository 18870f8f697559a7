"""The first store: all tables, and triggers that keep the journal append-only."""

from alembic import op

from flows.kit.store.tables import chain_head, metadata

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SQLITE_GUARDS = [
    "CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal BEGIN SELECT RAISE(ABORT, 'journal is append-only'); END",
    "CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal BEGIN SELECT RAISE(ABORT, 'journal is append-only'); END",
    "CREATE TRIGGER effect_no_delete BEFORE DELETE ON effect BEGIN SELECT RAISE(ABORT, 'effects are kept'); END",
]
POSTGRES_GUARDS = [
    "CREATE FUNCTION hub_refuse() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    " LANGUAGE plpgsql",
    "CREATE TRIGGER journal_append_only BEFORE UPDATE OR DELETE ON journal"
    " FOR EACH ROW EXECUTE FUNCTION hub_refuse()",
    "CREATE TRIGGER effect_no_delete BEFORE DELETE ON effect FOR EACH ROW EXECUTE FUNCTION hub_refuse()",
]


def upgrade() -> None:
    """Create everything."""
    # Later migrations must not edit this one; from the first release on, tables are frozen here.
    connection = op.get_bind()
    metadata.create_all(connection)
    op.bulk_insert(chain_head, [{"id": 1, "seq": 0, "hash": "0" * 64}])
    guards = SQLITE_GUARDS if connection.dialect.name == "sqlite" else POSTGRES_GUARDS
    for statement in guards:
        op.execute(statement)


def downgrade() -> None:
    """The first migration has no way back; restore a backup instead."""
    raise RuntimeError("no downgrade from the first revision")
