"""What the figures that a reader can touch show, as JSON.

A figure of a chapter is drawn by Matplotlib and stands on paper, in the notebook and where scripts
do not run. On the page of the book a small script lies over it, which computes with the formulas of
the library what is seen when something is moved. What it needs for that is a *state*: places,
deviations, smells in an exact basis, colours. A cell gives it out::

    from tree_world.plotting import data

    data.read(memory, world, sensor)

Scripts hold no numbers of the library. Tests ask each script and the library the same, and compare.

=============  ===========================================================
``figure``     what a cell gives out, and how numbers are rounded
``scents``     smells as a few exact coordinates, their colours, their law
others         one module a figure, named like its script
=============  ===========================================================
"""

from tree_world.plotting.data.figure import TouchableFigure, rounded
from tree_world.plotting.data.living import living
from tree_world.plotting.data.read import read
from tree_world.plotting.data.scents import ScentBasis, scent_palette, trees_of

__all__ = [
    "ScentBasis",
    "TouchableFigure",
    "living",
    "read",
    "rounded",
    "scent_palette",
    "trees_of",
]
