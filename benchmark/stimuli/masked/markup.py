"""XML of annotations, read without trust: no document types, so no entities, and a limit of size."""

from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from benchmark.errors import StimuliError
from benchmark.stimuli.plain_files import read_plain, state_of

LARGEST = 1_000_000  # bytes; the annotation of one image has a few thousand


class _DocumentType(Exception):
    """An XML file with a DOCTYPE, the only place that can define entities."""


def read_markup(path: Path) -> Element:
    """The root of an XML file. Raises StimuliError where it is no XML, too large, or has a DOCTYPE."""
    try:
        size = state_of(path).size
        if size > LARGEST:
            raise StimuliError(f"{path}: {size} bytes; expected at most {LARGEST} of one image.")
        return _parsed(read_plain(path, LARGEST))
    except OSError as error:
        raise StimuliError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except expat.ExpatError as error:
        raise StimuliError(f"{path}: not valid XML ({error}).") from error
    except _DocumentType as error:
        raise StimuliError(
            f"{path}: has a DOCTYPE, which no annotation needs. Remove it."
        ) from error


def _parsed(data: bytes) -> Element:
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.Parse(data, True)
    return builder.close()


def _refuse(*_declaration: object) -> None:
    raise _DocumentType
