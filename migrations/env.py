"""Runs the migrations inside the one transaction that app.store.migrate has begun."""

from alembic import context

from app.store.models import Model

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Model.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
