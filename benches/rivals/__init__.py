"""One file a rival. Each runs in an interpreter that has it; `benches.contest` starts them and gives them turns."""
