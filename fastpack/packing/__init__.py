"""How a pile of images becomes files: plan, supply, pipeline, staging."""
