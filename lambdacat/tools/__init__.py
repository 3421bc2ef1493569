"""Tools for agents: plain functions and frozen values, free of the kernel."""

from typing import TYPE_CHECKING

from lambdacat.lazily import later

if TYPE_CHECKING:
    from lambdacat.tools.sandbox import CodeFailed, LimitReached, Ran, Sandbox, SandboxUnavailable
    from lambdacat.tools.sql import Database, QueryFailed, Rows
    from lambdacat.tools.sql_postgres import PostgresDatabase
    from lambdacat.tools.sql_sqlite import SqliteDatabase

# Loaded when first used: nobody waits for a tool that is not wanted, and one has a client that is an extra.
__getattr__, __dir__ = later(
    __name__,
    {
        "sandbox": "CodeFailed LimitReached Ran Sandbox SandboxUnavailable",
        "sql": "Database QueryFailed Rows",
        "sql_sqlite": "SqliteDatabase",
        "sql_postgres": "PostgresDatabase",
    },
)


__all__ = [
    "CodeFailed",
    "Database",
    "LimitReached",
    "PostgresDatabase",
    "QueryFailed",
    "Ran",
    "Rows",
    "Sandbox",
    "SandboxUnavailable",
    "SqliteDatabase",
]
