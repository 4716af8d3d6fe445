"""A transcript in the two shapes that dialects have for it: messages with roles, and one text."""

from __future__ import annotations

from dialplane.domain.conversations import Conversation, transcript

_ROLES = {"assistant": "assistant", "callee": "user"}


def messages(conversation: Conversation) -> list[dict[str, str]]:
    """What was said and heard, in order: ``{role, content}``, with ``user`` for the callee."""
    return [{"role": _ROLES[each.speaker], "content": each.text} for each in transcript(conversation.entries)]


def text(conversation: Conversation) -> str:
    """The same as lines: ``Assistant: Good morning.``"""
    return "\n".join(f"{each['role'].capitalize()}: {each['content']}" for each in messages(conversation))
