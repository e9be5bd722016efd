"""The runner: one payload on one worker node, from stage-in to ``report.json``.

Runs on machines that are not ours: standard library only, Python >= 3.9, shipped as one zipapp.
lofargrid imports `lofargrid_runner.contract` and nothing else of it.
"""
