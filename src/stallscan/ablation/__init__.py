"""The paper's tables, re-run: what is trained, what it answers, what stands beside the paper."""
