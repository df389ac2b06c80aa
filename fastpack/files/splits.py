"""Splits: folders of one dataset side by side, such as train and val, whose labels must mean the same."""

import os
from dataclasses import replace
from pathlib import Path

from fastpack.files.classes import HELD_OUT_SPLITS, TRAINING_SPLITS, Classes, ClassMap
from fastpack.files.escapes import escaped_name
from fastpack.files.image_folder import IMAGE_SUFFIXES, FirstNames, has_image_files, is_junk


def beside_training(root: Path, classes: Classes) -> Classes:
    """The classes of a folder called val, test or the like, beside one called train: where that has all of them and more, labels
    count in those of train, since a model that learned from train knows these numbers. Notes say so."""
    path = Path(os.path.abspath(root))
    labels = classes.labels
    if labels is None or path.name.lower() not in HELD_OUT_SPLITS:
        return classes
    for name in TRAINING_SPLITS:
        known = _class_folders(path.with_name(name))
        ours = set(classes.names)
        if unknown := ours - set(known):
            said = f"the folder {name} beside {path.name} has no class {FirstNames.of(unknown)}; labels differ there; give classes to decide"
            classes = replace(classes, notes=(*classes.notes, said)) if known else classes
        elif len(known) > len(ours):
            said = f"labels count in the classes of {name} beside {path.name}, which has {FirstNames.of(set(known) - ours)} too"
            found, has_class = labels.copy(), labels >= 0
            found[has_class] = ClassMap.between(classes.names, known).relabeled(labels[has_class])
            return replace(
                classes, labels=found, names=known, notes=(f"{said}; give classes to decide",)
            )
    return classes


def _class_folders(folder: Path) -> tuple[str, ...]:
    """Folders in it that hold images; nothing of one that is a link, or cannot be looked into."""
    try:
        if folder.is_symlink():
            return ()
        with os.scandir(folder) as entries:
            names = [
                each.name
                for each in entries
                if not is_junk(each.name) and each.is_dir(follow_symlinks=False)
            ]
        return tuple(sorted(escaped_name(name) for name in names if _holds_images(folder / name)))
    except OSError:
        return ()


def _holds_images(folder: Path) -> bool:
    """Mostly the first names tell."""
    with os.scandir(folder) as entries:
        is_there = any(
            entry.name.lower().endswith(IMAGE_SUFFIXES) and not is_junk(entry.name)
            for entry in entries
        )
    return is_there or has_image_files(folder)
