"""Lets `import torchaudio` succeed where the installed torchaudio cannot be loaded beside this torch.

encodec and transformers import torchaudio when they are imported, for functions that this project never
calls; the wheel that pip finds is a CUDA build, which raises OSError beside a CPU build of torch. Run as a
program, this file puts itself on the path of the interpreter that runs it; from then on every start of that
interpreter installs a finder, which does nothing until something imports torchaudio, and nothing then
either if the real one loads.
"""

import sys

NAME = "torchaudio"
MODULE = "_torchaudio_standin"


class _Loader:
    """The real loader, with a stand-in for what it fails to load."""

    def __init__(self, real):
        self._real = real

    def __getattr__(self, name):
        return getattr(self._real, name)

    def exec_module(self, module):
        before = dict(vars(module))
        try:
            self._real.exec_module(module)
        except (ImportError, OSError) as error:
            for name in [name for name in sys.modules if name.startswith(NAME + ".")]:
                del sys.modules[name]
            vars(module).clear()
            vars(module).update(before, __path__=[], __getattr__=_explain(error))


def _explain(error):
    reason = str(error)

    def missing(name):
        raise AttributeError(f"torchaudio.{name} is not available: torchaudio cannot be loaded ({reason})")

    return missing


class _Finder:
    """Finds torchaudio as the other finders do, and wraps its loader."""

    def find_spec(self, name, path=None, target=None):
        if name != NAME:
            return None
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader)
                return spec
        return None


def install():
    """Put the finder before all others; once, though an environment may read a .pth line twice."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _copy_to_site_packages():
    """Copy this file beside the installed packages, with the .pth line that calls it at start."""
    import py_compile
    import shutil
    import sysconfig
    from pathlib import Path

    folder = Path(sysconfig.get_path("purelib"))
    shutil.copyfile(__file__, folder / f"{MODULE}.py")
    py_compile.compile(str(folder / f"{MODULE}.py"), doraise=True)
    (folder / f"{MODULE}.pth").write_text(f"import {MODULE}; {MODULE}.install()\n", encoding="utf-8")


if __name__ == "__main__":
    _copy_to_site_packages()
