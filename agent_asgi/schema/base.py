"""The base of everything on the wire that carries a `type`."""

from msgspec import Struct


class Typed(Struct, kw_only=True, tag_field="type"):
    """A struct whose tag is its `type` on the wire."""

    @property
    def type(self) -> str:
        """The `type` on the wire."""
        return str(self.__struct_config__.tag)
