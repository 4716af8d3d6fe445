"""The HMS Sovereign dialect: ``POST /calls/outbound`` in three modes (https://doc.hmsovereign.com)."""
