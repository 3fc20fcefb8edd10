"""A session as a study of JATOS 3: an archive of its folder and of its description (.jas), as JATOS exports them."""

import io
import json
import re
from uuid import NAMESPACE_URL, uuid5
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from benchmark.ask.session import Session


def jatos_study(session: Session, html: str, completion: str) -> bytes:
    """Return the archive. The same plan is the same study, which a second import updates. completion: if it is a link,
    JATOS leads there at the end."""
    name = f"{session.stimuli.name} session {session.number}"
    folder = re.sub(r"[^\w-]+", "-", name)
    study, component = (str(uuid5(NAMESPACE_URL, f"ask:{session.plan['id']}:{part}")) for part in ("study", "page"))
    page = {
        "uuid": component, "title": "page", "htmlFilePath": "index.html", "reloadable": True, "active": True,
        "comments": "", "jsonData": None,
    }  # fmt: skip
    data = {
        "uuid": study, "title": name, "description": f"People name the images of {session.stimuli.name}.",
        "groupStudy": False, "dirName": folder, "comments": "", "jsonData": None,
        "endRedirectUrl": completion if completion.startswith("https://") else "",
        "componentList": [page], "batchList": [],
    }  # fmt: skip
    archive = io.BytesIO()
    with ZipFile(archive, "w") as packed:
        for place, text in (
            (f"{folder}/index.html", html),
            (f"{folder}.jas", json.dumps({"version": "3", "data": data})),
        ):
            packed.writestr(ZipInfo(place), text, ZIP_DEFLATED)  # with the date of 1980: equal plans, equal bytes
    return archive.getvalue()
