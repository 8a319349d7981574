"""What a route may reach of the running studio: its settings, its store, its jobs in the background."""

from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import Engine

from app.collect.imports import ImportJobs
from app.config import Settings
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


async def _base_scan(request: Request) -> BaseScan:
    base_scan: BaseScan = request.app.state.base_scan
    return base_scan


OwnSettings = Annotated[Settings, Depends(_settings)]
Store = Annotated[Engine, Depends(_engine)]
Imports = Annotated[ImportJobs, Depends(_imports)]
Scan = Annotated[BaseScan, Depends(_base_scan)]
