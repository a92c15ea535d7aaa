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
``widget``     the same in JupyterLab
``scents``     smells as a few exact coordinates, their colours, their law
others         one module a figure, named like its script
=============  ===========================================================
"""

from tree_world.plotting.data.bandwidth import bandwidth
from tree_world.plotting.data.drives import drives
from tree_world.plotting.data.figure import TouchableFigure, rounded
from tree_world.plotting.data.life import life
from tree_world.plotting.data.living import living
from tree_world.plotting.data.proposals import proposals
from tree_world.plotting.data.pruning import pruning
from tree_world.plotting.data.read import read
from tree_world.plotting.data.scents import ScentBasis, scent_palette, trees_of
from tree_world.plotting.data.unfolding import unfolding
from tree_world.plotting.data.walk import Walked, walk
from tree_world.plotting.data.walking import walking
from tree_world.plotting.data.whereabouts import whereabouts
from tree_world.plotting.data.width import width

__all__ = [
    "ScentBasis",
    "TouchableFigure",
    "Walked",
    "bandwidth",
    "drives",
    "life",
    "living",
    "proposals",
    "pruning",
    "read",
    "rounded",
    "scent_palette",
    "trees_of",
    "unfolding",
    "walk",
    "walking",
    "whereabouts",
    "width",
]
