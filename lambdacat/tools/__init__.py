"""Tools for agents: plain functions with what is declared of them, and the parts of the research example."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lambdacat.tools.arguments import BadArguments, BadResult
    from lambdacat.tools.capability import Capability
    from lambdacat.tools.declaring import Tool, ToolOptions, tool
    from lambdacat.tools.fields import model_name, name_of_model
    from lambdacat.tools.grants import Held
    from lambdacat.tools.remembering import memory_tools
    from lambdacat.tools.toolbox import Toolbox, UnknownTool
else:
    # Loaded when first used: the research example needs none of it.
    from lambdacat.lazily import later

    __getattr__, __dir__ = later(
        __name__,
        {
            "arguments": "BadArguments BadResult",
            "capability": "Capability",
            "declaring": "Tool ToolOptions tool",
            "fields": "model_name name_of_model",
            "grants": "Held",
            "remembering": "memory_tools",
            "toolbox": "Toolbox UnknownTool",
        },
    )

__all__ = [
    "BadArguments",
    "BadResult",
    "Capability",
    "Held",
    "Tool",
    "ToolOptions",
    "Toolbox",
    "UnknownTool",
    "memory_tools",
    "model_name",
    "name_of_model",
    "tool",
]
