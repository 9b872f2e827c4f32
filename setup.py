"""Carries the recipes of projects/ into the wheel, as spondylo_ml/projects."""

from pathlib import Path
from shutil import copytree, ignore_patterns

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithRecipes(build_py):
    """The usual build, and a copy of projects/; an editable install reads them from the clone."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / "spondylo_ml" / "projects"
            copytree("projects", target, dirs_exist_ok=True, ignore=ignore_patterns("*.png", "*.py"))


setup(cmdclass={"build_py": BuildWithRecipes})
