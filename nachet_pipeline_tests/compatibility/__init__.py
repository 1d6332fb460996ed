"""What the pipeline is tried with besides what the tests run on: `python -m nachet_pipeline_tests.compatibility`."""
