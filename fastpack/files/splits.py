"""Splits: adjacent folders of one dataset, such as train and val."""

import os
from dataclasses import replace
from itertools import chain
from pathlib import Path

from fastpack.files.classes import HELD_OUT_SPLITS, TRAINING_SPLITS, Classes, ClassMap
from fastpack.files.escapes import escaped_name
from fastpack.files.image_tree import IMAGE_SUFFIXES, has_image_files, is_junk
from fastpack.files.name_summary import NameSummary
from fastpack.stores.store_path import StorePath, as_object, is_in_store


def with_training_classes(root: Path, classes: Classes) -> Classes:
    """Number the classes of a folder such as val like those of train beside it.

    A model trained on train knows these numbers. Applies if train has all the classes and more,
    with a note. If train lacks a class, the labels stay, with a note.
    """
    path = root if is_in_store(root) else Path(os.path.abspath(root))
    labels = classes.labels
    if labels is None or path.name.lower() not in HELD_OUT_SPLITS:
        return classes
    for name in TRAINING_SPLITS:
        known = _class_folders(path.with_name(name))
        ours = set(classes.names)
        if unknown := ours - set(known):
            lacks = f"the folder {name} beside {path.name} has no class {NameSummary.of(unknown)}"
            note = f"{lacks}; labels differ there; give classes to decide"
            classes = replace(classes, notes=(*classes.notes, note)) if known else classes
        elif len(known) > len(ours):
            more = f"which has {NameSummary.of(set(known) - ours)} too"
            note = f"labels are those of the classes of {name} beside {path.name}, {more}"
            found, has_class = labels.copy(), labels >= 0
            found[has_class] = ClassMap.between(classes.names, known).relabeled(labels[has_class])
            notes = (f"{note}; give classes to decide",)
            return replace(classes, labels=found, names=known, notes=notes)
    return classes


def _class_folders(folder: Path) -> tuple[str, ...]:
    """Return inner folders with images; () for a link or an unreadable folder."""
    if is_in_store(folder):
        return _stored_class_folders(as_object(folder))
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


def _stored_class_folders(folder: StorePath) -> tuple[str, ...]:
    """Return inner folders with images, of a folder in a store."""
    prefix, found = f"{folder.key}/", set[str]()
    for facts in chain.from_iterable(folder.store.list_pages(prefix)):
        *folders, name = facts.key.removeprefix(prefix).split("/")
        is_image = name.lower().endswith(IMAGE_SUFFIXES) and not any(map(is_junk, (*folders, name)))
        if folders and is_image:
            found.add(escaped_name(folders[0]))
    return tuple(sorted(found))


def _holds_images(folder: Path) -> bool:
    """Return True if there are images below the folder.

    Mostly its first names show one.
    """
    with os.scandir(folder) as entries:
        has_image = any(
            entry.name.lower().endswith(IMAGE_SUFFIXES) and not is_junk(entry.name)
            for entry in entries
        )
    return has_image or has_image_files(folder)
