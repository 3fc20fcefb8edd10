"""How the library of `bench ask` was bundled: one file of a pinned package, without the address of its source map.

python docs/bundle_jspsych.py        # needs npm; the file must come out as it is
"""

import hashlib
import subprocess
import tarfile
import tempfile
from pathlib import Path

VERSION = "8.3.0"
SHA256 = "89073fe5c6cdef511a9f7e1e2138e4118753f5a435d2583e39ec255926985bae"
TARGET = Path(__file__).parent.parent / "benchmark" / "ask" / "vendor" / f"jspsych-{VERSION}.min.js"

with tempfile.TemporaryDirectory() as folder:
    subprocess.run(["npm", "pack", f"jspsych@{VERSION}"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
        lines = archive.extractfile("package/dist/index.browser.min.js").read().decode().splitlines(keepends=True)
text = "".join(line for line in lines if not line.startswith("//# sourceMappingURL"))
if hashlib.sha256(text.encode()).hexdigest() != SHA256:
    raise SystemExit(f"jspsych {VERSION} is not what was bundled before: look at it, then change SHA256 and the tests.")
TARGET.write_text(text)
