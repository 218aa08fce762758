"""Every op under its name, and ``OPS``, the catalog. Layer: ops.

Star imports are for once meant (F403): the files below export op rows and nothing else.
"""

from tinyflow.ops import (
    array,
    collective,
    conv,
    elementwise,
    layout,
    linalg,
    nn,
    norm,
    pool,
    random,
    reduction,
    scan,
    select,
    state,
    transformer,
)
from tinyflow.ops import fused as fused_
from tinyflow.ops.array import *  # noqa: F403
from tinyflow.ops.catalog import Catalog, catalog
from tinyflow.ops.collective import *  # noqa: F403
from tinyflow.ops.conv import *  # noqa: F403
from tinyflow.ops.elementwise import *  # noqa: F403
from tinyflow.ops.fused import *  # noqa: F403
from tinyflow.ops.layout import *  # noqa: F403
from tinyflow.ops.linalg import *  # noqa: F403
from tinyflow.ops.nn import *  # noqa: F403
from tinyflow.ops.norm import *  # noqa: F403
from tinyflow.ops.pool import *  # noqa: F403
from tinyflow.ops.random import *  # noqa: F403
from tinyflow.ops.reduction import *  # noqa: F403
from tinyflow.ops.rules import kernel_dtypes
from tinyflow.ops.scan import *  # noqa: F403
from tinyflow.ops.select import *  # noqa: F403
from tinyflow.ops.state import *  # noqa: F403
from tinyflow.ops.transformer import *  # noqa: F403

OPS = catalog(
    *(state, random, elementwise, select, reduction, linalg, layout, array, scan),
    *(nn, transformer, conv, pool, norm, fused_, collective),
)

__all__ = ["OPS", "Catalog", "catalog", "kernel_dtypes"]
__all__ += state.__all__
__all__ += random.__all__
__all__ += elementwise.__all__
__all__ += reduction.__all__
__all__ += linalg.__all__
__all__ += layout.__all__
__all__ += nn.__all__
__all__ += conv.__all__
__all__ += pool.__all__
__all__ += norm.__all__
__all__ += select.__all__
__all__ += array.__all__
__all__ += scan.__all__
__all__ += transformer.__all__
__all__ += fused_.__all__
__all__ += collective.__all__
