# Types for the part of ansible-core that the modules use; ansible-core has no type information.
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

def missing_required_lib(library: str, reason: str | None = None, url: str | None = None) -> str: ...

class AnsibleModule:
    params: Mapping[str, Any]  # a dict that modules must not change
    check_mode: bool
    tmpdir: str
    _diff: bool
    _verbosity: int
    _name: str
    def __init__(
        self,
        argument_spec: Mapping[str, Any],
        bypass_checks: bool = False,
        no_log: bool = False,
        mutually_exclusive: Sequence[Sequence[str]] | None = None,
        required_together: Sequence[Sequence[str]] | None = None,
        required_one_of: Sequence[Sequence[str]] | None = None,
        add_file_common_args: bool = False,
        supports_check_mode: bool = False,
        required_if: Sequence[Sequence[Any]] | None = None,
        required_by: Mapping[str, str | Sequence[str]] | None = None,
    ) -> None: ...
    def exit_json(self, **kwargs: Any) -> NoReturn: ...
    def fail_json(self, msg: str, **kwargs: Any) -> NoReturn: ...
    def warn(self, warning: str) -> None: ...
    def debug(self, msg: str) -> None: ...
    def log(self, msg: str, log_args: Mapping[str, Any] | None = None) -> None: ...
    def get_bin_path(self, arg: str, required: bool = False, opt_dirs: Sequence[str] | None = None) -> str | None: ...
    def run_command(
        self,
        args: str | Sequence[str],
        check_rc: bool = False,
        data: str | bytes | None = None,
        binary_data: bool = False,
        environ_update: Mapping[str, str] | None = None,
    ) -> tuple[int, str, str]: ...
