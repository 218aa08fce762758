"""From the body of a fused group to the text of one kernel."""
