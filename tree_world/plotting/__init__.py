"""Every figure of the book: one function a kind, drawn in metres, x to the right and y up.

In every map **like smells mostly have like hues, strength says how much, paper means nothing, and
hatching means unknown**. Edible trees are green discs, poisonous ones orange crosses, so that shape
and colour both tell.

Each function draws on the axes it is given (new ones by default) and returns them.
`use_book_style` sets type and colours for a whole notebook; it is the only function that changes
Matplotlib's settings.

===========  ===========================================================
``style``    colours, type and sizes
``panels``   axes for maps and graphs, and what stands beside them
``palette``  smells as colours
``maps``     a world: its trees, scents, values and drives
``places``   what a memory holds, where it looks, where it takes itself to be
``life``     ways, health, survival
``charts``   what an agent knows of its world
``fares``    how agents fare: what they eat, who lives, what they learn
``words``    words, and how alike they are
``curves``   curves, intervals, distributions
``tracks``   ways that were believed, and how far off they are
``beliefs``  how sure a body is of its place, and whether rightly
``walks``    what a body gets on a walk, and the space that it learns
``spaces``   how well a learned space explains what was smelled
``ground``   measurements of others, how widely they are read, how sure that is
``costs``    time, memory, and how they grow
``layers``   what rests on what
===========  ===========================================================
"""

from tree_world.optional import from_extra

with from_extra("plot", "tree_world.plotting"):
    import matplotlib  # noqa: F401

from tree_world.plotting.beliefs import (
    plot_claims,
    plot_coverage,
    plot_ellipses,
    plot_guesses,
)
from tree_world.plotting.charts import plot_known_ground, plot_sightings
from tree_world.plotting.costs import (
    plot_growth,
    plot_latencies,
    plot_percentiles,
    plot_roofline,
    plot_size,
)
from tree_world.plotting.curves import (
    plot_distributions,
    plot_estimates,
    plot_frontier,
    plot_kernel_profile,
    plot_reliability,
)
from tree_world.plotting.fares import (
    plot_alive_by_count,
    plot_harvests,
    plot_learning,
    plot_ledger,
    plot_parts,
)
from tree_world.plotting.ground import plot_held, plot_stations, plot_widths
from tree_world.plotting.layers import plot_layers
from tree_world.plotting.life import plot_health, plot_survival, plot_trajectory
from tree_world.plotting.maps import (
    plot_drive_field,
    plot_scent_field,
    plot_sight,
    plot_value_field,
    plot_world,
)
from tree_world.plotting.palette import ScentPalette, scent_legend
from tree_world.plotting.panels import (
    MapGrid,
    graph_panels,
    legend_below,
    legend_under_figure,
    legend_within,
    map_panels,
    mark_times,
    stacked_panels,
)
from tree_world.plotting.places import (
    plot_density,
    plot_forgotten,
    plot_observations,
    plot_posterior,
    plot_reads_on_a_line,
    plot_samples,
)
from tree_world.plotting.spaces import (
    plot_fits,
    plot_losses,
    plot_occam,
    plot_unexplained,
)
from tree_world.plotting.style import (
    BLUE_TO_ORANGE,
    CLAY,
    DEFAULT_DPI,
    DENSITY_SHARES,
    EDIBLE,
    INK,
    LEAF,
    LINE,
    PAPER,
    PAPER_TO_LEAF,
    POISONOUS,
    REPAINT,
    SERIES,
    SOFT_INK,
    TEXT_WIDTH,
    UNKNOWN_FILL,
    UNKNOWN_HATCH,
    unknown_patch,
    use_book_style,
)
from tree_world.plotting.tracks import plot_drift, plot_errors_in_time, plot_paths
from tree_world.plotting.walks import (
    plot_differences,
    plot_unfolding,
    plot_ways,
    plot_what_it_gets,
)
from tree_world.plotting.words import plot_similarity

__all__ = [
    "BLUE_TO_ORANGE",
    "CLAY",
    "DEFAULT_DPI",
    "DENSITY_SHARES",
    "EDIBLE",
    "INK",
    "LEAF",
    "LINE",
    "PAPER",
    "PAPER_TO_LEAF",
    "POISONOUS",
    "REPAINT",
    "SERIES",
    "SOFT_INK",
    "TEXT_WIDTH",
    "UNKNOWN_FILL",
    "UNKNOWN_HATCH",
    "MapGrid",
    "ScentPalette",
    "graph_panels",
    "legend_below",
    "legend_under_figure",
    "legend_within",
    "map_panels",
    "mark_times",
    "plot_alive_by_count",
    "plot_claims",
    "plot_coverage",
    "plot_density",
    "plot_differences",
    "plot_distributions",
    "plot_drift",
    "plot_drive_field",
    "plot_ellipses",
    "plot_errors_in_time",
    "plot_estimates",
    "plot_fits",
    "plot_forgotten",
    "plot_frontier",
    "plot_growth",
    "plot_guesses",
    "plot_harvests",
    "plot_health",
    "plot_held",
    "plot_kernel_profile",
    "plot_known_ground",
    "plot_latencies",
    "plot_layers",
    "plot_learning",
    "plot_ledger",
    "plot_losses",
    "plot_observations",
    "plot_occam",
    "plot_parts",
    "plot_paths",
    "plot_percentiles",
    "plot_posterior",
    "plot_reads_on_a_line",
    "plot_reliability",
    "plot_roofline",
    "plot_samples",
    "plot_scent_field",
    "plot_sight",
    "plot_sightings",
    "plot_similarity",
    "plot_size",
    "plot_stations",
    "plot_survival",
    "plot_trajectory",
    "plot_unexplained",
    "plot_unfolding",
    "plot_value_field",
    "plot_ways",
    "plot_what_it_gets",
    "plot_widths",
    "plot_world",
    "scent_legend",
    "stacked_panels",
    "unknown_patch",
    "use_book_style",
]
