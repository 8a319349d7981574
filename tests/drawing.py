"""Pictures and projects that tests make for themselves."""

from io import BytesIO

from PIL import Image
from sqlalchemy import Engine

from app.collect.imports import take_file
from app.config import Settings
from app.launch.base_scan import hash_listed, scan
from app.store import bases, projects
from app.store.db import read, write
from app.store.models import Base


def picture(seed: int, width: int = 96, height: int = 96, container: str = "PNG", **options: object) -> bytes:
    """Encode a picture whose pixels differ for every seed."""
    image = Image.new("RGB", (width, height), (seed * 37 % 256, seed * 91 % 256, seed * 53 % 256))
    image.paste((255, 255, 255), (width // 4, height // 4, width // 2, height // 2))
    buffer = BytesIO()
    image.save(buffer, container, **options)
    return buffer.getvalue()


def bundled_base(engine: Engine) -> Base:
    """List the bundled base, hashed."""
    scan(engine, None)
    hash_listed(engine)
    with read(engine) as session:
        return next(base for base in bases.listed(session) if base.is_bundled)


def project_with_images(settings: Settings, engine: Engine, count: int = 4, purpose: str = "style") -> int:
    """Make a project on the bundled base with captioned pictures; return its id."""
    base_id = bundled_base(engine).id
    with write(engine) as session:
        project_id = projects.create(session, "Red cats", purpose, "rdct", base_id).id  # type: ignore[arg-type]
    for seed in range(count):
        take_file(settings, engine, project_id, f"cat-{seed}.png", picture(seed))
        take_file(settings, engine, project_id, f"cat-{seed}.txt", f"a cat, number {seed}".encode())
    return project_id
