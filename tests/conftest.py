"""Every annotation of the package, shapes included, is checked while its tests run."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jaxtyping

jaxtyping.install_import_hook("adgm_tf", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")
