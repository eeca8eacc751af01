"""The configuration that is used, of ansible.constants."""

DEFAULT_LOCAL_TMP: str
DEFAULT_STDOUT_CALLBACK: str
