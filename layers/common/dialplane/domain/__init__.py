"""The rules: calls, money, numbers, admission. No AWS, no carrier, no clock, no I/O may enter here."""
