"""Where something is: beliefs over places.

`Localiser` tells from a single sense where it may have been sensed, `Tracker` from step to step
where a body is whose sense of its own steps (`Odometry`) drifts. `Particles` find it for a body
with no idea where it was put, and `Finder` joins both. Where nothing was surveyed, `smooth` looks
back upon a whole walk, and finds it by what it smelled twice (`calibrate_smoothing` says how much
to believe each smell), and `Landmarks` find one's own place and those of a few things at once.
`procrustes` and `coverage` judge what was found.

Where not even space is given, it is learned from numbers of actions and smells: by `ShiftSpace`
where each action shifts the body, by `NoisyShiftSpace` where it does so with errors, and by
`StepTurnSpace` where actions step and turn. `periods` tells whether the world comes back to itself.
"""

from tree_world.models.places.finder import Finder
from tree_world.models.places.graph import Closures
from tree_world.models.places.holding import calibrate_smoothing
from tree_world.models.places.judging import Alignment, coverage, procrustes, within
from tree_world.models.places.landmarks import Landmarks
from tree_world.models.places.lattices import Periods, periods
from tree_world.models.places.localiser import Localiser, Posterior
from tree_world.models.places.noisy_shifts import NoisyShiftSpace
from tree_world.models.places.odometry import Odometry
from tree_world.models.places.particles import Particles
from tree_world.models.places.shifts import ShiftSpace
from tree_world.models.places.smoother import Path, smooth
from tree_world.models.places.survey import Survey
from tree_world.models.places.tracker import Belief, Track, Tracker, calibrate_width
from tree_world.models.places.turns import StepTurnSpace

__all__ = [
    "Alignment",
    "Belief",
    "Closures",
    "Finder",
    "Landmarks",
    "Localiser",
    "NoisyShiftSpace",
    "Odometry",
    "Particles",
    "Path",
    "Periods",
    "Posterior",
    "ShiftSpace",
    "StepTurnSpace",
    "Survey",
    "Track",
    "Tracker",
    "calibrate_smoothing",
    "calibrate_width",
    "coverage",
    "periods",
    "procrustes",
    "smooth",
    "within",
]
