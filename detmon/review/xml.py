"""XML from elsewhere, read without entities: a document that declares its type is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.parsers import expat

from detmon.errors import InputRefused, OperationError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


class _Unwanted(Exception):
    """It declares a document type: entities could grow without end, or read files."""


def tree(content: bytes | str, name: str) -> Element:
    """The root element. Raises InputRefused, or OperationError for what is no XML."""
    from xml.etree.ElementTree import TreeBuilder

    builder = TreeBuilder()

    def refuse(*_: object) -> None:
        raise _Unwanted

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = lambda tag, attributes: builder.start(tag, attributes)
    parser.EndElementHandler = lambda tag: builder.end(tag)
    parser.CharacterDataHandler = lambda text: builder.data(text)
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(content, True)
        return builder.close()
    except _Unwanted:
        raise InputRefused(f"{name} declares a document type", "export it again", code="xml_doctype") from None
    except (expat.ExpatError, AssertionError, LookupError, ValueError) as error:  # the last two: of its encoding
        raise OperationError(f"{name} is cut off or no XML: {error}", code="unreadable") from None
