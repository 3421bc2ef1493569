"""Language models: asked by steps, bounded by plans, paid from budgets. The package ``openai`` is loaded when asked."""

from lambdacat.tools.llm_costs import Price
from lambdacat.tools.llm_model import LLM, Model
from lambdacat.tools.llm_openai import OpenAIClient
from lambdacat.tools.llm_steps import ask_model
from lambdacat.tools.llm_values import (
    BadAnswer,
    Completion,
    Message,
    ModelBusy,
    ModelError,
    ModelRefused,
    Prompt,
    ToolCall,
    Usage,
)

__all__ = [
    "LLM",
    "BadAnswer",
    "Completion",
    "Message",
    "Model",
    "ModelBusy",
    "ModelError",
    "ModelRefused",
    "OpenAIClient",
    "Price",
    "Prompt",
    "ToolCall",
    "Usage",
    "ask_model",
]
