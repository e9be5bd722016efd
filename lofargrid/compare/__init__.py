"""Whether two sets of products are the same: names, shapes, frequencies and flags equal, values nearly so.

Visibilities and solutions may differ by 1e-5 of their size, images by 1e-4 of their peak. The same build of
the tools gives the same bytes, which is looked at first and needs none of the science packages.
"""

from lofargrid.compare.products import Comparison, compare_products

__all__ = ["Comparison", "compare_products"]
