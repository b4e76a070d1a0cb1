"""What `pip install` brings: the command, the configs inside the package, and the same from any folder."""

import os
import subprocess
import sys
import zipfile

import pytest
from running import CONFIGS, ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    source = out / "source"  # building writes beside the sources
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    for name in files.stdout.split("\n"):
        if name.startswith(("ganjax/", "configs/", "pyproject", "README", "LICENSE")) and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(out), "."]
    subprocess.run(command, cwd=source, check=True)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    site = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(command, check=True)
    return site


def run(*args, site, cwd):
    env = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run(args, env=env, cwd=cwd, capture_output=True, text=True, timeout=300)


def test_the_wheel_holds_the_package_and_the_configs_once(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"ganjax/configs/{path.relative_to(ROOT / 'configs')}" for path in CONFIGS} <= set(names)
    assert all(name.startswith(("ganjax/", "ganjax-")) for name in names)
    code = {f"ganjax/{path.relative_to(ROOT / 'ganjax')}" for path in (ROOT / "ganjax").rglob("*.py")}
    assert code <= set(names)


def test_a_config_is_found_by_its_name_from_any_folder(installed, tmp_path):
    code = (
        "from ganjax.config import file; import ganjax; print(ganjax.__file__); c = file.load_file('cut', []); "
        "print(c.recipe, file.find('losses'))"
    )
    done = run(sys.executable, "-c", code, site=installed, cwd=tmp_path)
    assert done.stdout.split() == [str(installed / "ganjax/__init__.py"), "cut",
                                   str(installed / "ganjax/configs/sweeps/losses.py")], done.stderr  # fmt: skip
    (tmp_path / "configs").mkdir()
    own = "from ganjax.configs.generate import dcgan\n\n\ndef get_config(arg=''):\n    return dcgan.get_config(arg)\n"
    (tmp_path / "configs" / "mine.py").write_text(own)
    code = "from ganjax.config import file; print(file.load_file('mine:debug', []).batch_size)"
    assert run(sys.executable, "-c", code, site=installed, cwd=tmp_path).stdout.strip() == "8"


def test_the_command_and_the_module_are_one_program(installed, tmp_path):
    by_module = run(sys.executable, "-m", "ganjax", "train", "--help", site=installed, cwd=tmp_path)
    by_name = run(sys.executable, str(installed / "bin" / "ganjax"), "train", "--help", site=installed, cwd=tmp_path)
    assert by_module.stdout == by_name.stdout and by_name.stdout.startswith("usage: ganjax train")
    wrong = run(
        sys.executable, "-m", "ganjax", "train", "--config=dcgan_artt", "--workdir=x", site=installed, cwd=tmp_path
    )
    assert (wrong.returncode, wrong.stderr.strip()) == (
        1,
        "error: --config: no file dcgan_artt; did you mean 'dcgan_art'?",
    )


@pytest.mark.slow
def test_it_trains_from_any_folder(installed, tmp_path, paintings):
    flags = ["--config=dcgan_art:debug", f"--config.data.path={paintings}", "--workdir=run"]
    done = run(sys.executable, "-m", "ganjax", "train", *flags, site=installed, cwd=tmp_path)
    assert done.returncode == 0 and (tmp_path / "run" / "report.html").is_file(), done.stderr
