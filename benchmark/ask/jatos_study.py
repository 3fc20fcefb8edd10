"""A session as a study of JATOS 3: an archive of its folder and of its description (.jas), as JATOS exports them."""

import io
import json
import re
from importlib.resources import files
from uuid import NAMESPACE_URL, uuid5
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from benchmark.ask.session import Session


def jatos_study(session: Session, html: str, completion: str) -> bytes:
    """Return the archive; the same plan is the same study. completion: a link at which JATOS ends, or a code."""
    name = f"{session.stimuli.name} session {session.number}"
    folder = re.sub(r"[^\w-]+", "-", name)
    study, component = (str(uuid5(NAMESPACE_URL, f"ask:{session.plan['id']}:{part}")) for part in ("study", "page"))
    described = json.loads((files("benchmark.ask") / "static" / "jatos.json").read_text(encoding="utf-8"))
    end = completion if completion.startswith("https://") else ""
    about = f"People name the images of {session.stimuli.name}."
    described["data"] |= {"uuid": study, "title": name, "description": about, "dirName": folder, "endRedirectUrl": end}
    described["data"]["componentList"][0]["uuid"] = component
    archive = io.BytesIO()
    with ZipFile(archive, "w") as packed:
        for place, text in ((f"{folder}/index.html", html), (f"{folder}.jas", json.dumps(described))):
            packed.writestr(ZipInfo(place), text, ZIP_DEFLATED)  # with the date of 1980: equal plans, equal bytes
    return archive.getvalue()
