"""What a route may reach of the running studio: its settings, its store, its jobs in the background."""

from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import Engine

from app.collect.imports import ImportJobs
from app.config import Settings
from app.export.jobs import ExportJobs
from app.label.desk import Desk
from app.launch.base_scan import BaseScan


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


async def _engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


async def _imports(request: Request) -> ImportJobs:
    imports: ImportJobs = request.app.state.imports
    return imports


async def _exports(request: Request) -> ExportJobs:
    exports: ExportJobs = request.app.state.exports
    return exports


async def _base_scan(request: Request) -> BaseScan:
    base_scan: BaseScan = request.app.state.base_scan
    return base_scan


async def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


OwnSettings = Annotated[Settings, Depends(_settings)]
Store = Annotated[Engine, Depends(_engine)]
Imports = Annotated[ImportJobs, Depends(_imports)]
Exports = Annotated[ExportJobs, Depends(_exports)]
Scan = Annotated[BaseScan, Depends(_base_scan)]
LabelDesk = Annotated[Desk, Depends(_desk)]
