"""The pages and the JSON, one module a noun."""

from fastapi import APIRouter

from app.routes import api, bases, captions, events, images, imports, media, projects, review, runs, training


def routers() -> list[APIRouter]:
    """Every router of the studio."""
    return [
        projects.router,
        images.router,
        imports.router,
        captions.router,
        media.router,
        bases.router,
        training.router,
        runs.router,
        events.router,
        review.router,
        api.router,
    ]
