"""Documentation that runs, and that is there."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import tree_world

MODULES = ["tree_world"] + [
    module.name for module in pkgutil.walk_packages(tree_world.__path__, "tree_world.")
]


def test_examples_are_found():
    finder = doctest.DocTestFinder()
    examples = [
        example
        for name in MODULES
        for test in finder.find(importlib.import_module(name), name)
        for example in test.examples
    ]
    assert len(examples) > 20


@pytest.mark.parametrize("name", MODULES)
def test_examples_do_what_they_say(name):
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


def public_functions():
    for name in MODULES:
        module = importlib.import_module(name)
        for key, value in vars(module).items():
            if key.startswith("_") or getattr(value, "__module__", None) != name:
                continue
            if inspect.isfunction(value):
                yield f"{name}.{key}", value
            elif inspect.isclass(value):
                for method_name, method in vars(value).items():
                    if not method_name.startswith("_") and inspect.isfunction(method):
                        yield f"{name}.{key}.{method_name}", method


@pytest.mark.parametrize(("name", "function"), list(public_functions()))
def test_parameters_are_documented(name, function):
    documentation = inspect.getdoc(function)
    assert documentation, f"{name} has no docstring"
    parameters = [key for key in inspect.signature(function).parameters if key != "self"]
    if documentation.startswith(("See `", "Do nothing", "Make the sensor", "Palette for")):
        return
    if len(documentation.splitlines()) == 1:
        assert len(parameters) <= 3, f"{name} documents none of {parameters}"
        return
    for parameter in parameters:
        if parameter not in ("args", "kwargs", "options"):
            assert parameter in documentation, f"{name} does not document {parameter}"
