"""Dagster's code server: `python -m dagster`, with a main module that every run imports before anything else.

Runs are processes that the code server starts by multiprocessing.
"""

import runpy

from nachet_pipeline.support.quick_process import collect_seldom

collect_seldom()

if __name__ == "__main__":
    # It must not take the place of this module in sys.modules, or runs would not import this one.
    runpy.run_module("dagster", run_name="__main__", alter_sys=False)
