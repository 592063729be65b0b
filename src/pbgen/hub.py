"""Packed generators in folders and on the Hugging Face Hub, in the manner of its ModelHubMixin.

A folder or a repository holds `model.safetensors`, the packed file, and a README.md that says how to run it. Folders
need nothing but NumPy; the Hub needs `pip install 'pbgen[hub]'`.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from pbgen.contents import FileInfo, info
from pbgen.errors import PBGenError
from pbgen.files import told_as, write_atomically

FILE, CARD = "model.safetensors", "README.md"


def find(name: str | os.PathLike[str], **options: Any) -> Path:
    """The packed file in a folder, or else in the Hub's repository of that name: from its cache, or downloaded there.

    options: of `huggingface_hub.hf_hub_download`.
    """
    if Path(name).is_dir():
        return Path(name, FILE)
    hub = _hub()
    try:
        return Path(hub.hf_hub_download(os.fspath(name), FILE, library_name="pbgen", **options))
    except Exception as error:  # the network's kinds share no base
        raise _told(name, error) from None


def save(packed: Path, folder: str | os.PathLike[str], repo_id: str) -> None:
    """A packed file, and a card unless there is one, into a folder, which is made where it is missing."""
    place = Path(folder)
    with told_as(place):
        place.mkdir(parents=True, exist_ok=True)
    try:
        content = packed.read_bytes()
    except OSError as error:
        raise PBGenError(f"{packed}: cannot be read any longer: {error.strerror or error}") from None
    write_atomically(place / FILE, lambda file: file.write(content))
    if not (place / CARD).exists():
        card = model_card(info(place / FILE), repo_id)
        write_atomically(place / CARD, lambda file: file.write(card.encode()))


def push(packed: Path, repo_id: str, message: str, private: bool | None, token: str | bool | None) -> str:
    """Make the repository where it is missing and upload what `save` writes; a card that is there stays."""
    api = _hub().HfApi(token=token, library_name="pbgen")
    try:
        repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        with tempfile.TemporaryDirectory() as folder:
            save(packed, folder, repo_id)
            if api.file_exists(repo_id, CARD):
                Path(folder, CARD).unlink()
            return str(api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=message))
    except PBGenError:
        raise
    except Exception as error:  # the network's kinds share no base
        raise _told(repo_id, error) from None


def model_card(contents: FileInfo, repo_id: str) -> str:
    """README.md of a repository: what it is, what is in it, how to run it."""
    arguments = ", ".join(
        f"np.zeros({shape})" if source.integer else f"np.random.randn{shape}"
        for source in contents.inputs
        if source.noise is None
        for shape in [(1, *(64 if size is None else size for size in source.shape))]
    )
    table = "\n".join(f"    {line}" for line in str(contents).splitlines())  # no name in it can end an indented block
    return f"""---
library_name: pbgen
tags: [pbgen, binary-weights]
---

# {repo_id}

A generator of {contents.packed_bytes:,} bytes, {contents.comparison} than with float32 weights, packed by PBGen.

```python
import numpy as np
import pbgen

engine = pbgen.Engine.from_pretrained("{repo_id}")  # pip install 'pbgen[hub]'
made = engine({arguments})
```

In the browser: `pbgen web {FILE} -o page.html` makes one page that runs it, and in JavaScript:

```js
import {{ Engine }} from "pbgen";
const engine = await Engine.load("{FILE}");
```

What is in it, as `pbgen info {FILE}` tells:

{table}
"""


def _hub() -> Any:
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        raise ImportError(
            f"the Hugging Face Hub needs {error.name}: pip install 'pbgen[hub]'", name=error.name
        ) from None
    return huggingface_hub


def _told(name: str | os.PathLike[str], error: Exception) -> PBGenError:
    reason = " ".join(str(error).split())
    return PBGenError(f"{os.fspath(name)}: is no folder, and no repository of the Hub that can be had: {reason}")
