"""Labels from the names of folders."""

import numpy as np
from PIL import Image

from ganjax.data.folder import Folder


def test_a_class_is_the_first_sub_folder_or_the_whole_way_to_the_file(tmp_path):
    for place in ("impressionism/monet", "impressionism/degas", "ukiyo_e/hokusai", "."):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / place / "a.png")
    first, nested = Folder(str(tmp_path), labels=True), Folder(str(tmp_path), labels=True, nested=True)
    assert first.classes == ("impressionism", "ukiyo_e")
    assert nested.classes == ("impressionism/degas", "impressionism/monet", "ukiyo_e/hokusai")
    found = {nested.name(i): nested.read(i)[1] for i in range(len(nested))}
    assert found == {"a.png": -1, **{f"{name}/a.png": i for i, name in enumerate(nested.classes)}}
    assert first.identity != nested.identity
