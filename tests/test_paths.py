"""Files that are written whole or not at all."""

import os

from kdlib.paths import atomic


def test_files_have_the_mode_that_the_umask_leaves(tmp_path):
    before = os.umask(0)
    try:
        for mask, mode in ((0o077, 0o600), (0o002, 0o664), (0o027, 0o640)):
            os.umask(mask)
            with atomic(tmp_path / "file") as file:
                file.write(b"x")
            assert (tmp_path / "file").stat().st_mode & 0o777 == mode
    finally:
        os.umask(before)
