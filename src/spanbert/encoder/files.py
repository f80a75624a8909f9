"""The files of a model folder, read safely: nothing in one can run code, and sizes are checked before memory is taken.

Rules (reference: the project's SECURITY.md): safetensors first; `.bin` only through `torch.load(weights_only=True)`,
never retried without.
"""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from ..durable import is_folder
from ..errors import DataError, MachineError, UsageError, at, nearest
from ..models import shipped

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
_WANTED = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spm.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "spanbert.json",
    "outcomes.json",
    "checksums.json",
    "README.md",
)
_MAX_CONFIG = 1_000_000
_MAX_HEADER = 10_000_000
_MOST_TENSORS = 20_000
_MAX_OTHER = 1_000_000_000  # bytes of whatever is no weights


def locate(name: str | Path) -> Path:
    """The folder of a model: `name` itself where it is one, else a model inside the package, else a hub repository
    `owner/name`, downloaded once.
    """
    folder, inside = Path(name).expanduser(), shipped()
    if is_folder(folder):
        return folder
    if str(name) in inside:
        return inside[str(name)]
    no_folder = UsageError(
        f"{name} is not a folder",
        f"a model folder, {''.join(f'{model}, ' for model in inside)}"
        "or the name of a hub model such as SpanBERT/spanbert-base-cased",
        nearest(name, inside, "check the path"),
    )
    if folder.exists() or not re.fullmatch(r"[\w.-]+/[\w.-]+", str(name)):
        raise no_folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        listed = snapshot_download(str(name), allow_patterns=[*_WANTED, WEIGHT_FILES[0]])
        if not (Path(listed) / WEIGHT_FILES[0]).exists():
            listed = snapshot_download(str(name), allow_patterns=[*_WANTED, WEIGHT_FILES[1]])
        return Path(listed)
    except HFValidationError:  # `../model` and the like
        raise no_folder from None
    except Exception as error:  # its own errors, those of the connection, of answers that are no JSON, of the disk
        raise MachineError(
            f"there is no folder {name}, and the hub model of that name cannot be had ({type(error).__name__})",
            "a model folder, or a network and the name of a hub model",
            f"download {name} on a machine with a network and pass its folder",
        ) from None


def read_json(path: Path) -> dict[str, object]:
    """A JSON object from a model folder, size-limited."""
    with at(file=path):
        if not path.is_file():
            raise DataError(f"{path.name} is missing", "a complete model folder", "copy the folder again, all files")
        if path.stat().st_size > _MAX_CONFIG:
            raise DataError(f"{path.stat().st_size} bytes of JSON", f"at most {_MAX_CONFIG}", "check the file")
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise DataError(f"not JSON ({error})", "a JSON object", "copy the file again") from None
        if not isinstance(record, dict):
            raise DataError(f"a JSON {type(record).__name__}", "a JSON object", "copy the file again")
        return record


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder's weights as they are."""
    path = next((folder / name for name in WEIGHT_FILES if (folder / name).is_file()), None)
    if path is None:
        raise DataError(
            f"{folder} has no weights", f"one of {', '.join(WEIGHT_FILES)}", "copy the weights of the checkpoint"
        )
    with at(file=path):
        return _read_safetensors(path) if path.suffix == ".safetensors" else _read_bin(path)


def check_size(path: Path) -> None:
    """DataError for a file that is larger than it can honestly be: a hole of a terabyte would be hashed for hours."""
    if path.suffix == ".safetensors":
        with at(file=path):
            _check_header(path)
    elif path.stat().st_size > _MAX_OTHER:
        raise DataError(f"{path} of {path.stat().st_size:,} bytes", f"at most {_MAX_OTHER:,}", "copy the model again")


def _check_header(path: Path) -> None:
    with path.open("rb") as file:
        header = int.from_bytes(file.read(8), "little")
        told = file.read(min(header, _MAX_HEADER))
    tensors = told.count(b'"data_offsets"')
    if header > _MAX_HEADER:
        raise DataError(f"a header of {header} bytes", f"at most {_MAX_HEADER}", "this is no sound weights file")
    if tensors > _MOST_TENSORS:
        raise DataError(f"{tensors:,} tensors", f"at most {_MOST_TENSORS:,}", "this is no sound weights file")
    try:
        ends = [row["data_offsets"][1] for name, row in json.loads(told).items() if name != "__metadata__"]
        size = 8 + header + max(ends, default=0)
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise _damaged(f"{type(error).__name__} in the header") from None
    if path.stat().st_size != size:
        raise _damaged(f"{path.stat().st_size:,} bytes where the header tells of {size:,}")


def _damaged(error: object) -> DataError:
    return DataError(f"damaged weights ({error})", "a complete safetensors file", "copy the file again")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    _check_header(path)
    try:
        return load_file(path)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # not only SafetensorError: a size beyond all makes it raise what it likes
        raise _damaged(error) from None


def _read_bin(path: Path) -> dict[str, Tensor]:
    if _is_compressed(path):
        raise DataError("compressed weights", "a file as torch writes it", "save the checkpoint anew")
    try:
        raw = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # a damaged file can make the weights-only loader raise almost anything
        first = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise DataError(
            f"weights that cannot be loaded safely ({first})",
            "a pickle file that holds tensors and nothing else",
            "convert the checkpoint to model.safetensors on a machine you trust it on",
        ) from None
    if not isinstance(raw, dict) or not all(_is_plain(key, value) for key, value in raw.items()):
        raise DataError("an object that is not a table of tensors", "a state dict", "use the checkpoint's own file")
    return raw


def _is_compressed(path: Path) -> bool:
    """Whether it is a ZIP archive with compressed entries: torch writes none, and reads what they unpack to."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def _is_plain(key: object, value: object) -> bool:
    """A named tensor whose numbers all stand in the file: a view can claim any size of a storage of one number."""
    if not isinstance(key, str) or not isinstance(value, Tensor):
        return False
    if value.layout != torch.strided or value.device.type != "cpu":
        return False
    return value.numel() * value.element_size() <= value.untyped_storage().nbytes()
