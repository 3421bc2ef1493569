"""Tools for agents: functions with what is declared of them, and ready-made ones."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lambdacat.tools.arguments import BadArguments, BadResult
    from lambdacat.tools.capability import Capability
    from lambdacat.tools.declaring import Tool, ToolOptions, tool
    from lambdacat.tools.fields import model_name, name_of_model
    from lambdacat.tools.grants import Held
    from lambdacat.tools.remembering import memory_tools
    from lambdacat.tools.sandbox import CodeFailed, LimitReached, Ran, Sandbox, SandboxUnavailable
    from lambdacat.tools.sql import Database, QueryFailed, Rows
    from lambdacat.tools.sql_postgres import PostgresDatabase
    from lambdacat.tools.sql_sqlite import SqliteDatabase
    from lambdacat.tools.toolbox import Toolbox, UnknownTool
else:
    # Loaded when first used: nobody waits for a tool that is not wanted, and some have a client that is an extra.
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
            "sandbox": "CodeFailed LimitReached Ran Sandbox SandboxUnavailable",
            "sql": "Database QueryFailed Rows",
            "sql_postgres": "PostgresDatabase",
            "sql_sqlite": "SqliteDatabase",
            "toolbox": "Toolbox UnknownTool",
        },
    )

__all__ = [
    "BadArguments",
    "BadResult",
    "Capability",
    "CodeFailed",
    "Database",
    "Held",
    "LimitReached",
    "PostgresDatabase",
    "QueryFailed",
    "Ran",
    "Rows",
    "Sandbox",
    "SandboxUnavailable",
    "SqliteDatabase",
    "Tool",
    "ToolOptions",
    "Toolbox",
    "UnknownTool",
    "memory_tools",
    "model_name",
    "name_of_model",
    "tool",
]
