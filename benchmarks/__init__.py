"""Every speed claim of this project, as ratios measured side by side in one run."""
