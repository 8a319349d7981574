"""Put the studio together: store, pages, static files, errors, guard."""

import asyncio
import logging
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

from fastapi import FastAPI
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from starlette.types import ASGIApp

from app import error_pages, login
from app.collect.imports import ImportJobs
from app.collect.tidying import tidy
from app.config import Settings
from app.errors import AppError
from app.export.jobs import ExportJobs
from app.label.desk import Desk
from app.launch.base_scan import BaseScan
from app.render import STATIC
from app.routes import routers
from app.security import Guard
from app.store.db import migrate, open_engine
from app.table import marks_of

log = logging.getLogger("lora_studio")

# For forms and JSON, which are held in memory; the route that takes pictures sets its own limit.
MAX_BODY_BYTES = 4_000_000


class Studio(FastAPI):
    """A FastAPI whose guard stands outside even its error handling, where no added middleware can stand."""

    def build_middleware_stack(self) -> ASGIApp:
        """Wrap FastAPI's own stack."""
        return Guard(super().build_middleware_stack(), self.state.settings)


class VersionedFiles(StaticFiles):
    """Static files that a browser keeps for good when their address carries a version."""

    async def get_response(self, path: str, scope: MutableMapping[str, Any]) -> Response:
        """Serve one file with the cache header that fits its address."""
        answer = await super().get_response(path, scope)
        has_version = "v" in parse_qs(scope["query_string"].decode("latin-1"))
        answer.headers["cache-control"] = "public, max-age=31536000, immutable" if has_version else "no-cache"
        return answer


def create_app(settings: Settings) -> FastAPI:
    """Make the app; its store is migrated and opened when it starts to serve."""
    app = Studio(
        title="LoRA Studio",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=_run,
        max_body_size=MAX_BODY_BYTES,
    )
    app.state.settings = settings
    # Set when the server is told to end: every open stream watches it.
    app.state.stopping = asyncio.Event()
    error_pages.install(app)
    app.mount("/static", VersionedFiles(directory=STATIC), name="static")
    app.add_api_route("/healthz", healthz, include_in_schema=False)
    app.include_router(login.router)
    for router in routers():
        app.include_router(router)
    return app


async def healthz() -> dict[str, bool]:
    """Say that the server answers."""
    return {"ok": True}


@asynccontextmanager
async def _run(app: FastAPI) -> AsyncIterator[None]:
    """Open the store and what works in the background; close them in the opposite order."""
    state, settings = app.state, app.state.settings
    settings.make_folders()
    await asyncio.to_thread(migrate, settings)
    state.engine = open_engine(settings.store_path)
    state.imports = ImportJobs(settings, state.engine)
    state.base_scan = BaseScan(settings, state.engine)
    state.exports = ExportJobs(settings, state.engine, state.imports.decoders)
    state.desk = Desk(lambda project_id: marks_of(state.engine, settings, project_id))
    tidying = asyncio.create_task(asyncio.to_thread(tidy, settings, state.engine, state.stopping.is_set))
    try:
        await asyncio.to_thread(_find_bases, state.base_scan)
        await asyncio.to_thread(state.imports.resume)
        yield
    finally:
        state.stopping.set()
        await tidying
        await asyncio.to_thread(state.desk.bulk_jobs.close)
        await asyncio.to_thread(state.base_scan.close)
        await asyncio.to_thread(state.imports.close)
        await asyncio.to_thread(state.exports.close)
        state.engine.dispose()


def _find_bases(base_scan: BaseScan) -> None:
    """List what was put into the models folder meanwhile, and go on with hashes left undone."""
    try:
        base_scan.start()
    except AppError as error:
        # A studio without base models can still collect and label.
        log.warning("%s %s", error.message, error.hint)
    except OSError as error:
        log.warning("The folder with the base models cannot be read: %s.", error)
